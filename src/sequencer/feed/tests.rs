use proptest::prelude::*;

use super::*;
use crate::journal::format::EventKind;
use crate::messages::ExchangeKey;

/// An event about product `p<n>`, which is updated if `n` is even and else created.
fn event(offset: u64, product: u64) -> String {
    let kind = kind_of(product).as_str();
    format!(
        r#"{{"offset":{offset},"timestamp":"t","eventType":"{kind}","productId":"p{product}"}}"#
    )
}

fn kind_of(product: u64) -> EventKind {
    match product % 2 {
        0 => EventKind::InventoryUpdated,
        _ => EventKind::ProductCreated,
    }
}

fn about(first: u64, products: &[u64]) -> Events {
    let mut events = Events::default();
    for (offset, product) in (first..).zip(products) {
        events.push(|out| out.extend_from_slice(event(offset, *product).as_bytes()));
    }
    events
}

fn events(first: u64, count: usize) -> Events {
    about(first, &vec![0; count])
}

fn poll(index: u32, offset: u64, limit: u32, wait_ms: u32) -> Poll {
    let exchange = ExchangeKey {
        index,
        generation: 0,
    };
    let to = FeedReplyTo {
        exchange,
        acceptor: 0,
    };
    Poll {
        to,
        offset,
        limit,
        wait_ms,
        form: Form::Page,
        filter: None,
    }
}

fn of_products(poll: Poll, products: &[u64]) -> Poll {
    let products: Vec<String> = products.iter().map(|n| format!("p{n}")).collect();
    Poll {
        filter: Filter::new(&products, &[]).map(Arc::new),
        ..poll
    }
}

fn page(of: &[(u64, u64)], next: u64, has_more: bool) -> String {
    let count = of.len();
    let events: Vec<String> = of.iter().map(|(o, p)| event(*o, *p)).collect();
    let events = events.join(",");
    format!(r#"{{"events":[{events}],"nextOffset":{next},"hasMore":{has_more},"count":{count}}}"#)
}

/// What comes of a poll when it has had its turn.
fn polled(feed: &mut Feed, now_ms: u64, poll: Poll) -> Polled {
    match feed.poll(now_ms, poll) {
        Polled::Later => loop {
            match feed.answer_next_due() {
                Some(Polled::Later) => {}
                Some(polled) => break polled,
                None => break Polled::Later,
            }
        },
        polled => polled,
    }
}

/// Who is answered, and with what.
fn reply_of(polled: Polled) -> (u32, String) {
    match polled {
        Polled::Answered(FeedReply {
            to,
            answer: FeedAnswer::Page { bytes, .. },
        }) => (
            to.exchange.index,
            String::from_utf8(bytes.to_vec()).unwrap(),
        ),
        other => panic!("{other:?}"),
    }
}

fn next_due(feed: &mut Feed) -> Option<(u32, String)> {
    loop {
        match feed.answer_next_due()? {
            Polled::Later => {}
            polled => return Some(reply_of(polled)),
        }
    }
}

fn index_of_next_due(feed: &mut Feed) -> Option<u32> {
    next_due(feed).map(|(index, _)| index)
}

fn answered_with(poll: &Poll, answer: FeedAnswer) -> Polled {
    Polled::Answered(FeedReply {
        to: poll.to,
        answer,
    })
}

/// Reads the feed from `offset` to its end. Returns the pages.
fn read_to_end(feed: &mut Feed, mut offset: u64) -> Vec<String> {
    let mut pages = Vec::new();
    while offset < feed.end() {
        match feed.poll(0, poll(0, offset, 1_000, 0)) {
            Polled::Answered(FeedReply {
                answer: FeedAnswer::Page { bytes, next, .. },
                ..
            }) => {
                assert!(next > offset);
                offset = next;
                pages.push(String::from_utf8(bytes.to_vec()).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    pages
}

#[test]
fn pages_are_short_while_many_are_on_their_way_and_nothing_is_skipped() {
    let mut feed = Feed::new(10_000, 10);
    feed.publish(0, events(0, 1_500));
    feed.publish(1_500, events(1_500, 500));
    assert_eq!(2, read_to_end(&mut feed, 0).len());

    let on_their_way = feed.in_flight().send(vec![0; 1 << 28]);
    feed.publish(2_000, events(2_000, 1));
    let pages = read_to_end(&mut feed, 0);
    let (mut offset, short) = (0, pages.len());
    for page in &pages {
        assert!(page.len() < (16 << 10) + 200);
        offset += page.matches(r#"{"offset":"#).count();
    }
    assert_eq!((2_001, true), (offset, short > 8));

    drop(on_their_way);
    feed.publish(2_001, events(2_001, 1));
    assert_eq!(3, read_to_end(&mut feed, 0).len());
}

#[test]
fn pages_run_across_groups_and_say_where_to_go_on() {
    let mut feed = Feed::new(100, 10);
    feed.publish(0, events(0, 2));
    feed.publish(2, events(2, 3));
    let mut asked = |offset| reply_of(feed.poll(0, poll(0, offset, 3, 0))).1;
    assert_eq!(page(&[(1, 0), (2, 0), (3, 0)], 4, true), asked(1));
    assert_eq!(page(&[(4, 0)], 5, false), asked(4));
    assert_eq!(page(&[], 5, false), asked(5));
}

#[test]
fn the_latest_events_are_kept_in_memory_and_older_ones_are_not() {
    let mut feed = Feed::new(4, 10);
    for first in [0, 3, 6] {
        feed.publish(first, events(first, 3));
    }
    assert_eq!(2, feed.blocks.len());
    assert_eq!(5, feed.oldest());
    let older = poll(0, 4, 1, 1000);
    match feed.poll(0, older.clone()) {
        Polled::OlderThanMemory(waiter) => assert_eq!((older, 4), (waiter.poll, waiter.from)),
        other => panic!("{other:?}"),
    }
    let beyond = poll(0, 10, 1, 1000);
    let expected = answered_with(&beyond, FeedAnswer::BeyondEnd { end: 9 });
    assert_eq!(expected, feed.poll(0, beyond));
}

#[test]
fn a_waiting_poll_is_answered_by_the_next_group_or_by_time() {
    let mut feed = Feed::new(100, 2);
    assert_eq!(Polled::Later, feed.poll(0, poll(1, 0, 10, 50)));
    assert_eq!(Polled::Later, feed.poll(0, poll(2, 0, 10, 90)));
    let third = poll(3, 0, 10, 10);
    let expected = answered_with(&third, FeedAnswer::TooManyWaiters);
    assert_eq!(expected, feed.poll(0, third));
    feed.expire(49);
    assert!(!feed.has_due());
    feed.expire(50);
    assert_eq!(Some(1), index_of_next_due(&mut feed));
    feed.publish(0, events(0, 1));
    assert_eq!(Some(2), index_of_next_due(&mut feed));
    assert_eq!(None, index_of_next_due(&mut feed));
    assert_eq!(0, feed.waiters());
}

#[test]
fn a_page_that_ended_by_time_is_not_what_the_next_one_to_wait_gets() {
    let mut feed = Feed::new(100, 2);
    assert_eq!(Polled::Later, feed.poll(0, poll(1, 0, 10, 50)));
    feed.expire(50);
    assert_eq!(Some((1, page(&[], 0, false))), next_due(&mut feed));
    assert_eq!(Polled::Later, feed.poll(50, poll(2, 0, 10, 50)));
}

#[test]
fn tens_of_thousands_wait_and_each_is_answered_by_the_next_group() {
    const WAITING: u32 = 40_000;
    let mut feed = Feed::new(100, WAITING as usize);
    for index in 0..WAITING {
        assert_eq!(
            Polled::Later,
            polled(&mut feed, 0, poll(index, 0, 10, 1000))
        );
    }
    assert_eq!(WAITING as usize, feed.waiters());
    feed.publish(0, events(0, 1));
    for index in 0..WAITING {
        assert_eq!(Some(index), index_of_next_due(&mut feed));
    }
    assert_eq!(0, feed.waiters());
}

#[test]
fn a_forgotten_poll_makes_room_for_another() {
    let mut feed = Feed::new(100, 1);
    assert_eq!(Polled::Later, feed.poll(0, poll(1, 0, 10, 50)));
    let to = poll(1, 0, 0, 0).to;
    assert_eq!(Some(FeedAnswer::Forgotten), feed.forget(to));
    assert_eq!(None, feed.forget(to));
    let filtered = of_products(poll(2, 0, 10, 50), &[1, 2]);
    assert_eq!(Polled::Later, polled(&mut feed, 0, filtered.clone()));
    assert_eq!(Some(FeedAnswer::Forgotten), feed.forget(filtered.to));
    assert_eq!(None, feed.forget(filtered.to));
    assert_eq!(Polled::Later, feed.poll(0, poll(3, 0, 10, 50)));
}

#[test]
fn restored_events_are_read_like_published_ones() {
    let mut feed = Feed::new(1000, 1);
    for offset in 7..607 {
        let event = event(offset, 0);
        feed.restore(offset, event.strip_suffix('}').unwrap().as_bytes());
    }
    feed.begin_at(607);
    assert_eq!(7, feed.oldest());
    feed.publish(607, events(607, 1));
    assert_eq!(
        page(&[(605, 0), (606, 0), (607, 0)], 608, false),
        reply_of(feed.poll(0, poll(0, 605, 10, 0))).1
    );
}

#[test]
fn the_same_question_is_encoded_once() {
    let mut feed = Feed::new(100, 10);
    for index in 1..=2 {
        feed.poll(0, poll(index, 0, 10, 50));
        feed.poll(0, of_products(poll(index + 2, 0, 10, 50), &[2]));
    }
    feed.publish(0, about(0, &[1, 2]));
    let mut pages = Vec::new();
    while let Some(Polled::Answered(reply)) = feed.answer_next_due() {
        let FeedAnswer::Page { bytes, .. } = reply.answer else {
            panic!("{:?}", reply.answer);
        };
        pages.push(bytes.as_ptr());
    }
    assert_eq!(4, pages.len());
    assert_eq!(pages[0], pages[1], "about all events");
    assert_eq!(pages[2], pages[3], "about some");
    assert_ne!(pages[0], pages[2]);
}

#[test]
fn a_filter_leaves_out_and_goes_on_behind_what_it_left_out() {
    let mut feed = Feed::new(100, 10);
    feed.publish(0, about(0, &[1, 2, 3, 2, 1]));
    let mut asked = |poll| reply_of(polled(&mut feed, 0, poll)).1;
    assert_eq!(
        page(&[(1, 2), (3, 2)], 5, false),
        asked(of_products(poll(0, 0, 10, 0), &[2]))
    );
    assert_eq!(
        page(&[(1, 2)], 2, true),
        asked(of_products(poll(0, 0, 1, 0), &[2]))
    );
    assert_eq!(
        page(&[], 5, false),
        asked(of_products(poll(0, 0, 10, 0), &[9]))
    );
    let created = Filter::new(&[], &[EventKind::ProductCreated]).map(Arc::new);
    assert_eq!(
        page(&[(2, 3), (4, 1)], 5, false),
        asked(Poll {
            filter: created,
            ..poll(0, 2, 10, 0)
        })
    );
}

#[test]
fn who_waits_for_a_product_is_not_woken_by_another_and_moves_on_all_the_same() {
    let mut feed = Feed::new(100, 10);
    for (index, product) in [(1, 1), (2, 2), (3, 9)] {
        let filtered = of_products(poll(index, 0, 10, 50 + index), &[product]);
        assert_eq!(Polled::Later, polled(&mut feed, 0, filtered));
    }
    feed.publish(0, about(0, &[2, 3]));
    assert_eq!(Some((2, page(&[(0, 2)], 2, false))), next_due(&mut feed));
    assert_eq!(None, next_due(&mut feed));
    assert!(!feed.has_due());
    feed.publish(2, about(2, &[4, 1, 4]));
    assert_eq!(Some((1, page(&[(3, 1)], 5, false))), next_due(&mut feed));
    assert_eq!(None, next_due(&mut feed));
    feed.expire(53);
    assert_eq!(Some((3, page(&[], 5, false))), next_due(&mut feed));
}

#[test]
fn a_waiter_whose_events_left_memory_before_it_was_compared_looks_on_disk() {
    let mut feed = Feed::new(2, 10);
    let filtered = of_products(poll(1, 0, 10, 50), &[1]);
    assert_eq!(Polled::Later, polled(&mut feed, 0, filtered));
    feed.publish(0, about(0, &[1]));
    feed.publish(1, about(1, &[2, 2]));
    feed.publish(3, about(3, &[2, 2]));
    match feed.answer_next_due() {
        Some(Polled::OlderThanMemory(waiter)) => assert_eq!(0, waiter.from),
        other => panic!("{other:?}"),
    }
    assert!(!feed.has_due());
}

#[test]
fn what_was_read_from_disk_goes_on_in_memory() {
    let mut feed = Feed::new(2, 10);
    feed.publish(0, about(0, &[1, 2]));
    feed.publish(2, about(2, &[3, 1]));
    for (filter, expected) in [
        (&[][..], page(&[(0, 1), (1, 2), (2, 3), (3, 1)], 4, false)),
        (&[1][..], page(&[(0, 1), (3, 1)], 4, false)),
        (&[3][..], page(&[(2, 3)], 4, false)),
    ] {
        let asked = of_products(poll(0, 0, 10, 50), filter);
        let Polled::OlderThanMemory(waiter) = polled(&mut feed, 0, asked) else {
            panic!("{filter:?}");
        };
        assert_eq!(
            expected,
            reply_of(feed.answer(waiter, &about(0, &[1, 2]))).1
        );
    }
}

#[test]
fn a_stream_gets_messages_and_is_no_page() {
    let mut feed = Feed::new(100, 10);
    let stream = Poll {
        form: Form::Stream,
        ..of_products(poll(1, 0, 10, 50), &[1])
    };
    assert_eq!(Polled::Later, polled(&mut feed, 0, stream));
    feed.publish(0, about(0, &[2, 1, 1]));
    let messages: String = (1..3)
        .map(|offset| {
            let event = event(offset, 1);
            format!("id: {offset}\nevent: product_created\ndata: {event}\n\n")
        })
        .collect();
    assert_eq!(Some((1, messages)), next_due(&mut feed));
}

/// A reader that goes on from where it was told to, and what it has read.
struct Reader {
    filter: Vec<u64>,
    limit: u32,
    next: u64,
    read: Vec<(u64, u64)>,
    waits: bool,
}

impl Reader {
    fn take(&mut self, page: &str) {
        let page: serde_json::Value = serde_json::from_str(page).unwrap();
        for event in page["events"].as_array().unwrap() {
            let product = event["productId"].as_str().unwrap();
            let product = product[1..].parse().unwrap();
            self.read.push((event["offset"].as_u64().unwrap(), product));
        }
        let next = page["nextOffset"].as_u64().unwrap();
        assert!(next >= self.next);
        self.next = next;
        self.waits = false;
    }
}

proptest! {
    /// Whatever the filters, limits, groups and times: nothing is skipped, and nothing comes twice or unasked.
    #[test]
    fn every_reader_reads_exactly_what_it_asked_for(
        filters in prop::collection::vec((prop::collection::vec(0..5_u64, 0..3), 1..4_u32), 1..6),
        steps in prop::collection::vec(
            (prop::collection::vec(0..6_u64, 0..5), 0..4_usize, 0..4_u64), 1..40),
    ) {
        let mut feed = Feed::new(1_000, 100);
        let mut all = Vec::new();
        let mut readers: Vec<Reader> = filters.into_iter()
            .map(|(filter, limit)| Reader { filter, limit, next: 0, read: Vec::new(), waits: false })
            .collect();
        for (now_ms, (products, answers, wait_ms)) in steps.into_iter().enumerate() {
            let now_ms = now_ms as u64;
            feed.expire(now_ms);
            for (index, reader) in readers.iter_mut().enumerate() {
                if !reader.waits {
                    let asked = poll(index as u32, reader.next, reader.limit, wait_ms as u32);
                    match feed.poll(now_ms, of_products(asked, &reader.filter)) {
                        Polled::Later => reader.waits = true,
                        polled => reader.take(&reply_of(polled).1),
                    }
                }
            }
            if !products.is_empty() {
                let first = feed.end();
                all.extend((first..).zip(products.iter().copied()));
                feed.publish(first, about(first, &products));
            }
            // Not all are answered before the next group comes.
            for _ in 0..answers {
                if let Some((index, page)) = next_due(&mut feed) {
                    readers[index as usize].take(&page);
                }
            }
        }
        // Whoever was compared in vain before waits again, and is expired again, as at every heartbeat of a stop.
        while feed.waiters() > 0 {
            feed.expire_all();
            while let Some((index, page)) = next_due(&mut feed) {
                readers[index as usize].take(&page);
            }
        }
        for reader in &mut readers {
            prop_assert!(!reader.waits);
            while reader.next < feed.end() {
                let asked = of_products(poll(0, reader.next, reader.limit, 0), &reader.filter);
                reader.take(&reply_of(polled(&mut feed, 0, asked)).1);
            }
            let is_asked = |product: &u64| reader.filter.is_empty() || reader.filter.contains(product);
            let expected: Vec<(u64, u64)> =
                all.iter().copied().filter(|(_, product)| is_asked(product)).collect();
            prop_assert_eq!(&expected, &reader.read);
        }
        prop_assert_eq!(0, feed.waiters());
    }
}

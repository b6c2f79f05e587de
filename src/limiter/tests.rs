//! The limiter as its callers see it: who is admitted, what the budgets say, and what it remembers of whom.

use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

fn config(kind: RateLimitKind, per_minute: u32) -> RateLimit {
    RateLimit {
        enabled: true,
        kind,
        requests_per_minute: per_minute,
        global_requests_per_minute: per_minute,
        admin_requests_per_minute: 5,
        window_minutes: 1,
        clients_max: 65_536,
    }
}

fn limiter(config: &RateLimit) -> Limiter {
    let seeded = |seed| RandomState::with_seeds(seed, 2, 3, 4);
    Limiter::new(config, seeded(1), seeded(5))
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

/// How many of so many requests are admitted.
fn admitted(limiter: &Limiter, client: IpAddr, class: Class, now_ms: u64, count: usize) -> usize {
    (0..count)
        .filter(|_| limiter.decide(client, class, now_ms).admitted)
        .count()
}

fn spent_of(limiter: &Limiter, client: IpAddr, now_ms: u64) -> Option<(u64, u64)> {
    let mut busiest = Busiest::new(usize::MAX);
    for partition in 0..limiter.partition_count() {
        limiter.collect(partition, &mut busiest, now_ms);
    }
    let clients = busiest.into_sorted();
    let found = clients.iter().find(|known| known.address == client)?;
    Some((found.requests, found.admin_requests))
}

#[test]
fn each_client_has_a_budget_of_its_own() {
    let limiter = limiter(&config(RateLimitKind::Ip, 10));
    assert_eq!(10, admitted(&limiter, address(1), Class::Regular, 0, 25));
    assert_eq!(10, admitted(&limiter, address(2), Class::Regular, 0, 25));
    assert_eq!(None, limiter.spent_by_all(0));
}

#[test]
fn all_clients_share_the_global_budget_and_each_is_counted() {
    let limiter = limiter(&config(RateLimitKind::Global, 10));
    assert_eq!(7, admitted(&limiter, address(1), Class::Regular, 0, 7));
    assert_eq!(3, admitted(&limiter, address(2), Class::Regular, 0, 7));
    assert_eq!(Some((7, 0)), spent_of(&limiter, address(1), 0));
    assert_eq!(Some((3, 0)), spent_of(&limiter, address(2), 0));
    assert_eq!(Some([10, 0]), limiter.spent_by_all(0));
}

#[test]
fn with_both_a_refused_request_spends_neither() {
    let mut config = config(RateLimitKind::Both, 10);
    config.global_requests_per_minute = 15;
    let limiter = limiter(&config);
    assert_eq!(10, admitted(&limiter, address(1), Class::Regular, 0, 100));
    assert_eq!(
        Some([10, 0]),
        limiter.spent_by_all(0),
        "its client's budget was spent"
    );
    assert_eq!(5, admitted(&limiter, address(2), Class::Regular, 0, 100));
    assert_eq!(
        Some((5, 0)),
        spent_of(&limiter, address(2), 0),
        "the budget of all was spent"
    );
    let refused = limiter.decide(address(2), Class::Regular, 0);
    assert_eq!(
        (5, 0),
        (
            refused.client.unwrap().remaining,
            refused.global.unwrap().remaining
        )
    );
    assert_eq!((Scope::Global, refused.global.unwrap()), refused.tightest());
    assert_eq!(0, admitted(&limiter, address(3), Class::Regular, 0, 1));
    assert_eq!(
        None,
        spent_of(&limiter, address(3), 0),
        "who was only refused takes no room"
    );
    assert_eq!(2, limiter.client_count());
}

#[test]
fn admin_endpoints_have_budgets_of_their_own() {
    for kind in [
        RateLimitKind::Ip,
        RateLimitKind::Global,
        RateLimitKind::Both,
    ] {
        let limiter = limiter(&config(kind, 10));
        assert_eq!(
            5,
            admitted(&limiter, address(1), Class::Admin, 0, 20),
            "{kind:?}"
        );
        assert_eq!(
            10,
            admitted(&limiter, address(1), Class::Regular, 0, 20),
            "{kind:?}"
        );
        assert_eq!(Some((10, 5)), spent_of(&limiter, address(1), 0), "{kind:?}");
        let of_another = admitted(&limiter, address(2), Class::Admin, 0, 20);
        assert_eq!(
            if kind == RateLimitKind::Ip { 5 } else { 0 },
            of_another,
            "{kind:?}"
        );
    }
}

#[test]
fn a_longer_window_has_a_larger_budget() {
    let mut config = config(RateLimitKind::Both, 1_000_000_000);
    config.window_minutes = 60;
    let limiter = limiter(&config);
    let expected = Some(60_000_000_000);
    let Budgets { client, global } = limiter.budgets(Class::Regular);
    assert_eq!(
        (expected, expected, 3_600_000),
        (client, global, limiter.window_ms())
    );
}

#[test]
fn an_ipv4_address_is_one_client_in_either_form() {
    let limiter = limiter(&config(RateLimitKind::Ip, 10));
    let mapped = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    assert_eq!(10, admitted(&limiter, address(1), Class::Regular, 0, 20));
    assert_eq!(0, admitted(&limiter, mapped, Class::Regular, 0, 20));
    assert_eq!(Some((10, 0)), spent_of(&limiter, address(1), 0));
}

#[test]
fn a_refusal_says_when_one_is_admitted_again() {
    let limiter = limiter(&config(RateLimitKind::Both, 2));
    for now_ms in [10_500, 30_200] {
        assert!(limiter.decide(address(1), Class::Regular, now_ms).admitted);
    }
    let refused = limiter.decide(address(1), Class::Regular, 50_000);
    let expected = Standing {
        remaining: 0,
        grows_at_ms: 71_000,
    };
    assert_eq!(
        (false, Some(expected), Some(expected)),
        (refused.admitted, refused.client, refused.global)
    );
    assert!(!limiter.decide(address(1), Class::Regular, 70_999).admitted);
    assert!(limiter.decide(address(1), Class::Regular, 71_000).admitted);
    assert!(!limiter.decide(address(1), Class::Regular, 71_000).admitted);
}

#[test]
fn a_stamp_that_comes_late_does_not_turn_time_back() {
    let limiter = limiter(&config(RateLimitKind::Both, 10));
    assert_eq!(
        10,
        admitted(&limiter, address(1), Class::Regular, 100_000, 10)
    );
    assert_eq!(0, admitted(&limiter, address(1), Class::Regular, 0, 10));
    assert_eq!(0, admitted(&limiter, address(2), Class::Regular, 0, 10));
    assert_eq!(
        0,
        admitted(&limiter, address(1), Class::Regular, 160_999, 10)
    );
    assert_eq!(
        10,
        admitted(&limiter, address(1), Class::Regular, 161_000, 20)
    );
}

#[test]
fn threads_that_share_a_budget_spend_exactly_that() {
    const THREADS: usize = 8;
    const BUDGET: u32 = 10_000;
    for kind in [
        RateLimitKind::Ip,
        RateLimitKind::Global,
        RateLimitKind::Both,
    ] {
        let limiter = limiter(&config(kind, BUDGET));
        let (total, barrier) = (AtomicUsize::new(0), Barrier::new(THREADS));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (limiter, total, barrier) = (&limiter, &total, &barrier);
                // Of `ip`, all are one client; of the others, each is one that spends what all share.
                let client = address(if kind == RateLimitKind::Ip {
                    1
                } else {
                    thread as u32
                });
                scope.spawn(move || {
                    barrier.wait();
                    let count = admitted(limiter, client, Class::Regular, 0, BUDGET as usize);
                    total.fetch_add(count, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(BUDGET as usize, total.into_inner(), "{kind:?}");
    }
}

#[test]
fn a_million_addresses_leave_memory_bounded_and_a_steady_client_its_count() {
    const BUDGET: usize = 100;
    let limiter = limiter(&config(RateLimitKind::Ip, BUDGET as u32));
    let steady = address(0);
    let mut steady_admitted = 0;
    for number in 1..=1_000_000 {
        assert!(limiter.decide(address(number), Class::Regular, 0).admitted);
        if number % 5_000 == 0 {
            steady_admitted += admitted(&limiter, steady, Class::Regular, 0, 1);
        }
    }
    assert_eq!(BUDGET, steady_admitted, "200 were asked for");
    assert_eq!(Some((BUDGET as u64, 0)), spent_of(&limiter, steady, 0));
    assert_eq!(65_536, limiter.client_count());
    let report = limiter.report(0).expect("there is something to tell");
    assert_eq!(
        (100, 1_000_001 - 65_536),
        (report.refused, report.forgotten)
    );
}

#[test]
fn memory_follows_the_clients_of_the_last_window() {
    let limiter = limiter(&config(RateLimitKind::Ip, 10));
    for number in 0..20_000 {
        limiter.decide(address(number), Class::Regular, 0);
    }
    assert_eq!(20_000, limiter.client_count());
    for number in 20_000..60_000 {
        limiter.decide(address(number), Class::Regular, 61_000);
    }
    assert_eq!(40_000, limiter.client_count());
    assert_eq!(None, limiter.report(61_000), "their time was over");
}

#[test]
fn the_table_holds_no_more_clients_than_it_may() {
    for clients_max in [1024, 1500, 3000, 100_000] {
        let mut config = config(RateLimitKind::Ip, 10);
        config.clients_max = clients_max;
        let limiter = limiter(&config);
        for number in 0..200_000 {
            limiter.decide(address(number), Class::Regular, 0);
        }
        let count = limiter.client_count();
        assert!(
            count <= clients_max && count > clients_max * 99 / 100,
            "{count} of {clients_max}"
        );
        let largest = clients_max / limiter.partition_count();
        assert!(largest <= PARTITION_CLIENTS, "{largest} in a partition");
    }
}

#[test]
fn a_report_comes_at_most_every_ten_seconds_and_counts_what_was_refused_since() {
    let limiter = limiter(&config(RateLimitKind::Ip, 10));
    assert_eq!(None, limiter.report(0));
    admitted(&limiter, address(1), Class::Regular, 5, 13);
    let report = |refused, refused_admin| Report {
        refused,
        refused_admin,
        forgotten: 0,
    };
    assert_eq!(Some(report(3, 0)), limiter.report(10));
    admitted(&limiter, address(1), Class::Regular, 20, 4);
    admitted(&limiter, address(1), Class::Admin, 20, 7);
    assert_eq!(None, limiter.report(10_009));
    assert_eq!(Some(report(4, 2)), limiter.report(10_010));
    assert_eq!(None, limiter.report(30_000));
}

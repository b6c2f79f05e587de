//! Which events a question to the feed is about.

use memchr::memmem;

use crate::encoding;
use crate::journal::format::EventKind;

/// The most products that a filter may name: a waiting question stands in the index once for each.
pub const PRODUCTS_MAX: usize = 64;

/// Events of certain products, of certain kinds, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// As they stand in an event, quotes and all; sorted. None names all.
    products: Vec<Box<[u8]>>,
    kinds: [bool; EventKind::ALL.len()],
}

/// What a filter looks at in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: EventKind,
    /// Its product as it stands there, quotes and all.
    pub product: &'a [u8],
}

impl Filter {
    /// Events of `products` and `kinds`; an empty list names all. None if that are all events.
    pub fn new(products: &[String], kinds: &[EventKind]) -> Option<Filter> {
        if products.is_empty() && kinds.is_empty() {
            return None;
        }
        let mut encoded: Vec<Box<[u8]>> = products.iter().map(|id| encoded(id)).collect();
        encoded.sort_unstable();
        encoded.dedup();
        Some(Filter {
            products: encoded,
            kinds: EventKind::ALL.map(|kind| kinds.is_empty() || kinds.contains(&kind)),
        })
    }

    /// The products it names, each as it stands in an event; none names all.
    pub fn products(&self) -> &[Box<[u8]>] {
        &self.products
    }

    /// Whether it is about events with that subject.
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        let search = |product: &[u8]| self.products.binary_search_by(|p| p.as_ref().cmp(product));
        self.kinds[subject.kind as usize]
            && (self.products.is_empty() || search(subject.product).is_ok())
    }
}

fn encoded(id: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(id.len() + 2);
    encoding::string(&mut out, id);
    out.into_boxed_slice()
}

impl<'a> Subject<'a> {
    /// Of an event as it is served.
    ///
    /// # Panics
    /// If it is none of ours: it came out of our journal, whose lines have checksums.
    pub fn of(event: &'a [u8]) -> Subject<'a> {
        Subject::find(event).expect("an event says its kind and product in their places")
    }

    fn find(event: &'a [u8]) -> Option<Subject<'a>> {
        const KIND: &[u8] = b",\"eventType\":\"";
        const PRODUCT: &[u8] = b"\",\"productId\":";
        // Neither offset nor timestamp, which stand before it, can hold this.
        let rest = &event[memmem::find(event, KIND)? + KIND.len()..];
        let kind_end = memchr::memchr(b'"', rest)?;
        let kind = EventKind::by_name(&rest[..kind_end])?;
        let product = rest[kind_end..].strip_prefix(PRODUCT)?;
        Some(Subject {
            kind,
            product: &product[..encoding::string_end(product)?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(event: &str) -> Option<(EventKind, &str)> {
        let found = Subject::find(event.as_bytes())?;
        Some((found.kind, std::str::from_utf8(found.product).unwrap()))
    }

    #[test]
    fn the_subject_of_an_event_is_found_whatever_the_id_looks_like() {
        for id in [
            "PROD-1",
            "a\"b",
            "\\",
            "\\\"",
            ",\"productId\":\"x\"",
            "ä\u{1f642}",
        ] {
            let mut event = br#"{"offset":1,"timestamp":"2026-01-01T00:00:00.000Z","eventType":"product_deleted","productId":"#.to_vec();
            encoding::string(&mut event, id);
            event.extend_from_slice(br#","version":1,"data":{"productId":"other"}}"#);
            let filter = Filter::new(&[id.to_owned()], &[]).unwrap();
            let found = Subject::of(&event);
            assert_eq!(EventKind::ProductDeleted, found.kind, "{id}");
            assert!(filter.matches(found), "{id}");
            let other = Filter::new(&["other".to_owned()], &[]).unwrap();
            assert!(!other.matches(found), "{id}");
        }
        assert_eq!(None, subject("{}"));
        assert_eq!(
            None,
            subject(r#"{"x":1,"eventType":"unknown","productId":"a"}"#)
        );
        assert_eq!(
            None,
            subject(r#"{"x":1,"eventType":"product_deleted","productId":"a"#)
        );
    }

    #[test]
    fn a_filter_names_products_kinds_or_both() {
        let subject = |kind, product| Subject { kind, product };
        let updated = subject(EventKind::InventoryUpdated, b"\"a\"");
        let created = subject(EventKind::ProductCreated, b"\"b\"");
        let of = |products: &[&str], kinds: &[EventKind]| {
            let products: Vec<String> = products.iter().map(|id| (*id).to_owned()).collect();
            Filter::new(&products, kinds)
        };
        assert_eq!(None, of(&[], &[]));
        let matches = |filter: Option<Filter>| {
            let filter = filter.unwrap();
            (filter.matches(updated), filter.matches(created))
        };
        assert_eq!((true, false), matches(of(&["a"], &[])));
        assert_eq!((true, true), matches(of(&["b", "a", "b"], &[])));
        assert_eq!(
            (false, true),
            matches(of(&[], &[EventKind::ProductCreated]))
        );
        assert_eq!(
            (false, false),
            matches(of(&["a"], &[EventKind::ProductCreated]))
        );
        assert_eq!(of(&["a", "b"], &[]), of(&["b", "a", "a"], &[]));
    }
}

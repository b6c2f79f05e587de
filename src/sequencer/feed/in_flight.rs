//! Pages on their way: made, shared by whoever asks the same, and not yet gone from the last connection they go to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A page takes no further event beyond this many bytes, so that a store far behind cannot make the sequencer copy
/// without end.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// The same where hardly any memory is left for pages: some 40 events, which still cost little more than their bytes.
const PAGE_BYTES_MIN: usize = 16 << 10;
/// What pages on their way hold together, about, in bytes. Stores that follow share theirs; 10,000 that are behind, each
/// elsewhere, and read slowly, would hold gigabytes.
const BYTES_MAX: usize = 256 << 20;
/// One page takes at most such a part of what is left of it: pages become shorter before there is nothing left.
const PARTS: usize = 64;

/// What the pages on their way hold.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// How large the next page may become.
    pub fn page_bytes_max(&self) -> usize {
        let left = BYTES_MAX.saturating_sub(self.bytes());
        (left / PARTS).clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX)
    }

    /// Counts `page` until nobody holds it any more.
    pub fn send(&self, mut page: Vec<u8>) -> Bytes {
        if page.capacity() > page.len() + page.len() / 4 {
            page.shrink_to_fit();
        }
        self.0.fetch_add(page.capacity(), Ordering::Relaxed);
        let in_flight = self.clone();
        Bytes::from_owner(Counted { page, in_flight })
    }
}

struct Counted {
    page: Vec<u8>,
    in_flight: InFlight,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let bytes = &self.in_flight.0;
        bytes.fetch_sub(self.page.capacity(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_counted_until_the_last_who_holds_it_lets_go() {
        let in_flight = InFlight::default();
        let page = in_flight.send(b"page".to_vec());
        let shared = page.clone();
        assert_eq!((&b"page"[..], 4), (&page[..], in_flight.bytes()));
        drop(page);
        assert_eq!(4, in_flight.bytes());
        drop(shared);
        assert_eq!(0, in_flight.bytes());
    }

    #[test]
    fn pages_become_shorter_before_there_is_no_memory_left_and_never_empty() {
        let in_flight = InFlight::default();
        assert_eq!(PAGE_BYTES_MAX, in_flight.page_bytes_max());
        let (mut held, mut latest) = (Vec::new(), PAGE_BYTES_MAX);
        while latest > PAGE_BYTES_MIN {
            held.push(in_flight.send(vec![0; latest]));
            let next = in_flight.page_bytes_max();
            assert!((PAGE_BYTES_MIN..=latest).contains(&next));
            latest = next;
        }
        assert!(in_flight.bytes() <= BYTES_MAX);
        held.push(in_flight.send(vec![0; BYTES_MAX]));
        assert_eq!(PAGE_BYTES_MIN, in_flight.page_bytes_max());
        held.clear();
        assert_eq!(PAGE_BYTES_MAX, in_flight.page_bytes_max());
    }
}

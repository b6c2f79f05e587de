//! The buffers of one thread to read into. A connection that waits has none, so that tens of thousands may wait, and all
//! answers are read into the same few, which the CPU has in its caches.

use std::cell::RefCell;

/// What a new buffer holds.
const NEW_BYTES: usize = 64 << 10;
/// One that a longer answer has made larger is not kept. A page of events is at most 1 MiB and an event.
const KEPT_BYTES_MAX: usize = 2 << 20;
/// More are not kept: so many answers that are not whole yet are rare.
const KEPT_MAX: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The buffer that was given last, or a new one.
pub fn take() -> Vec<u8> {
    let kept = KEPT.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| vec![0; NEW_BYTES])
}

/// Gives back what [`take`] gave.
pub fn give(buffer: Vec<u8>) {
    if buffer.is_empty() || buffer.len() > KEPT_BYTES_MAX {
        return;
    }
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_that_was_used_last_is_used_next() {
        let mut buffer = take();
        buffer.resize(2 * NEW_BYTES, 1);
        give(buffer);
        give(Vec::new());
        assert_eq!(2 * NEW_BYTES, take().len());
        assert_eq!(NEW_BYTES, take().len());
        give(vec![0; KEPT_BYTES_MAX + 1]);
        assert_eq!(NEW_BYTES, take().len());
    }
}

//! Where a store is in the feed, and nothing else: thousands of them fit into a load generator.

use serde::Deserialize;

use super::{FeedError, Holding, Message};
use crate::client::page_end;

/// The offset that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u64);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    next_offset: u64,
}

impl Holding for Place {
    fn from_snapshot(json: &[u8]) -> Result<Place, FeedError> {
        let snapshot: Snapshot = serde_json::from_slice(json)
            .map_err(|error| FeedError::Unreadable(error.to_string()))?;
        Ok(Place(snapshot.next_offset))
    }

    fn next_offset(&self) -> u64 {
        self.0
    }

    /// Looks at what stands behind the events, not at them: so many events lead to there.
    fn take_page(&mut self, json: &[u8]) -> Result<u64, FeedError> {
        let end = page_end(json);
        let (count, next) =
            end.ok_or_else(|| FeedError::Unreadable("no page of events".to_owned()))?;
        FeedError::unless_next(self.0 + count, next)?;
        self.0 = next;
        Ok(count)
    }

    fn take_message(&mut self, message: &Message<'_>) -> Result<(), FeedError> {
        let found = message.id;
        let found =
            found.ok_or_else(|| FeedError::Unreadable("an event without an id".to_owned()))?;
        FeedError::unless_next(self.0, found)?;
        self.0 += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: u64, next: u64) -> String {
        format!(r#"{{"events":[],"nextOffset":{next},"hasMore":false,"count":{count}}}"#)
    }

    fn message(id: Option<u64>) -> Message<'static> {
        Message {
            id,
            ..Message::default()
        }
    }

    #[test]
    fn a_place_moves_by_what_it_is_brought() {
        let snapshot = br#"{"nextOffset":10,"products":[{"productId":"a"}],"count":1}"#;
        let mut place = Place::from_snapshot(snapshot).unwrap();
        assert_eq!(Ok(3), place.take_page(page(3, 13).as_bytes()));
        assert_eq!(Ok(0), place.take_page(page(0, 13).as_bytes()));
        assert_eq!(Ok(()), place.take_message(&message(Some(13))));
        assert_eq!(14, place.next_offset());
    }

    #[test]
    fn nothing_is_skipped_in_silence() {
        let mut place = Place(10);
        let skipped = |expected, found| Err(FeedError::OffsetSkipped { expected, found });
        assert_eq!(skipped(13, 14), place.take_page(page(3, 14).as_bytes()));
        assert_eq!(
            skipped(10, 11),
            place.take_message(&message(Some(11))).map(|()| 0)
        );
        assert!(place.take_message(&message(None)).is_err());
        assert!(place.take_page(b"{}").is_err());
        assert!(Place::from_snapshot(b"[]").is_err());
        assert_eq!(10, place.next_offset());
    }
}

//! What a server answers, read no further than needed.

use serde::Deserialize;

/// An answer, as long as the connection is not asked again.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// Whether it says that it is the first answer once more.
    pub is_replay: bool,
    /// The body.
    pub body: &'a [u8],
}

/// The answer to one change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAnswer {
    /// Whether it took effect.
    pub applied: bool,
    /// The product's version now.
    #[serde(default)]
    pub new_version: u64,
    /// Why not, if not.
    #[serde(default)]
    pub error_type: UpdateError,
}

/// Why a change did not take effect, as far as a store treats it differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateError {
    /// It did.
    #[default]
    None,
    /// The version was stale.
    VersionConflict,
    /// There is not so much.
    InsufficientInventory,
    /// The server has too much to do.
    Overloaded,
    /// Anything else.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<UpdateAnswer>,
}

impl Answer<'_> {
    /// As the answer to one change.
    pub fn update(&self) -> Option<UpdateAnswer> {
        sonic_rs::from_slice(self.body).ok()
    }

    /// As the answer to a batch.
    pub fn batch(&self) -> Option<Vec<UpdateAnswer>> {
        let answer: BatchAnswer = sonic_rs::from_slice(self.body).ok()?;
        Some(answer.results)
    }

    /// The version of a product that was read.
    pub fn version(&self) -> Option<u64> {
        number_behind(self.body, b"\"version\":")
    }
}

/// Of a page of events: how many, and where to go on.
pub fn page_end(page: &[u8]) -> Option<(u64, u64)> {
    // Behind the events, which are not looked at.
    const TAIL_BYTES: usize = 128;
    let tail = &page[page.len().saturating_sub(TAIL_BYTES)..];
    let count = number_behind(tail, b"\"count\":")?;
    Some((count, number_behind(tail, b"\"nextOffset\":")?))
}

/// When the last of the events in `text` took effect.
pub fn last_timestamp(text: &[u8]) -> Option<&str> {
    const MEMBER: &[u8] = b"\"timestamp\":\"";
    let at = memchr::memmem::rfind(text, MEMBER)? + MEMBER.len();
    let rest = &text[at..];
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The integer behind the last `member` in `text`.
fn number_behind(text: &[u8], member: &[u8]) -> Option<u64> {
    let at = memchr::memmem::rfind(text, member)? + member.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let digits = std::str::from_utf8(&text[at..at + digits.count()]).ok()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer<'_> {
        Answer {
            status: 200,
            is_replay: false,
            body: body.as_bytes(),
        }
    }

    #[test]
    fn an_update_says_whether_it_took_effect_and_where_the_product_stands() {
        let applied =
            r#"{"productId":"a","newQuantity":1,"newVersion":7,"applied":true,"lastUpdated":"x"}"#;
        let applied = answer(applied).update().unwrap();
        assert_eq!(
            (true, 7, UpdateError::None),
            (applied.applied, applied.new_version, applied.error_type)
        );
        let refused = r#"{"productId":"a","applied":false,"newVersion":9,"errorType":"version_conflict","errorMessage":"m"}"#;
        assert_eq!(
            UpdateError::VersionConflict,
            answer(refused).update().unwrap().error_type
        );
        let unknown = r#"{"productId":"a","applied":false,"errorType":"product_not_found"}"#;
        assert_eq!(
            UpdateError::Other,
            answer(unknown).update().unwrap().error_type
        );
        assert!(answer("{").update().is_none());
        let batch = format!("{{\"results\":[{unknown},{refused}],\"summary\":{{\"total\":2}}}}");
        assert_eq!(2, answer(&batch).batch().unwrap().len());
    }

    #[test]
    fn a_page_says_how_many_events_it_has_and_where_to_go_on() {
        let page = r#"{"events":[{"offset":3,"timestamp":"2026-01-01T00:00:00.001Z"},{"offset":4,"timestamp":"2026-01-01T00:00:00.002Z"}],"nextOffset":5,"hasMore":false,"count":2}"#;
        assert_eq!(Some((2, 5)), page_end(page.as_bytes()));
        assert_eq!(
            Some("2026-01-01T00:00:00.002Z"),
            last_timestamp(page.as_bytes())
        );
        let empty = r#"{"events":[],"nextOffset":5,"hasMore":false,"count":0}"#;
        assert_eq!(Some((0, 5)), page_end(empty.as_bytes()));
        assert_eq!(None, last_timestamp(empty.as_bytes()));
        assert_eq!(None, page_end(b""));
    }
}

//! Query parameters and cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::{Detail, Problem};

/// The parameters of a query.
pub struct Query {
    parameters: Vec<(String, String)>,
    faults: Vec<Detail>,
}

impl Query {
    /// Splits the part of the target behind `?`.
    pub fn parse(query: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Query {
            parameters: pairs.into_owned().collect(),
            faults: Vec::new(),
        }
    }

    /// The value of `name`, which may stand once.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.parameters.iter().filter(|(n, _)| n == name);
        let value = values.next().map(|(_, value)| value.clone());
        if values.next().is_some() {
            self.fault(name, "must stand once");
        }
        value
    }

    /// The values of `name`, which may stand several times.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let named = self.parameters.iter().filter(|(n, _)| n == name);
        named.map(|(_, value)| value.clone()).collect()
    }

    /// The integer `name`, from `low` to `high`.
    pub fn integer(&mut self, name: &str, low: u64, high: u64) -> Option<u64> {
        let text = self.text(name)?;
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(value) if is_decimal && (low..=high).contains(&value) => Some(value),
            _ => {
                self.fault(name, &format!("must be an integer from {low} to {high}"));
                None
            }
        }
    }

    /// `name` breaks a rule.
    pub fn fault(&mut self, name: &str, issue: &str) {
        self.faults.push(Detail {
            field: name.to_owned(),
            issue: issue.to_owned(),
        });
    }

    /// A problem that lists every fault, if there are any.
    pub fn finish(self) -> Result<(), Problem> {
        match self.faults.is_empty() {
            true => Ok(()),
            false => Err(Problem::validation(self.faults)),
        }
    }
}

/// What a cursor begins with, so that another kind can be told from it later.
const CURSOR_TAG: &[u8] = b"a:";

/// The cursor of the page after the product `id`.
pub fn cursor_after(id: &str) -> String {
    URL_SAFE_NO_PAD.encode([CURSOR_TAG, id.as_bytes()].concat())
}

/// The product after which the page of `cursor` begins; none if it is no cursor of ours.
pub fn product_before(cursor: &str) -> Option<Box<str>> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let id = std::str::from_utf8(bytes.strip_prefix(CURSOR_TAG)?).ok()?;
    Some(id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_product() {
        for id in ["PROD-001", "ä/🙂", ""] {
            assert_eq!(Some(id), product_before(&cursor_after(id)).as_deref());
        }
        for cursor in ["", "a", "!!", "YTo=", "Yjo"] {
            assert_eq!(None, product_before(cursor), "{cursor}");
        }
    }

    #[test]
    fn integers_are_plain_decimals_within_bounds() {
        let check = |query: &str, expected: Option<u64>| {
            let mut parsed = Query::parse(Some(query));
            assert_eq!(expected, parsed.integer("n", 1, 100), "{query}");
            let is_absent = !query.contains('n');
            assert_eq!(
                expected.is_some() || is_absent,
                parsed.finish().is_ok(),
                "{query}"
            );
        };
        check("n=1", Some(1));
        check("n=100", Some(100));
        check("", None);
        check("n=0", None);
        check("n=101", None);
        check("n=+5", None);
        check("n=", None);
        check("n=5.0", None);
        check("n=99999999999999999999999", None);
    }
}

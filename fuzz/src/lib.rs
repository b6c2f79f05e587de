//! What the fuzz targets share: a second opinion on JSON, and the rules that whatever is accepted must keep.

use std::cell::Cell;
use std::fmt;

use central_inventory::encoding::DEPTH_MAX;
use central_inventory::fuzzing::Refused;
use central_inventory::rules::{self, Rule};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether `text` is JSON, in the opinion of another parser than the server's.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Reads what the server has accepted, with another parser.
pub fn reread<'a, T: Deserialize<'a>>(text: &'a [u8]) -> T {
    assert!(is_json(text), "what is not JSON was accepted");
    serde_json::from_slice(text).expect("two parsers read the same")
}

/// Asserts that a body was refused for the reason given. Escaped halves of surrogate pairs are JSON by its grammar, but
/// no text: either answer will do.
pub fn assert_refusal(text: &[u8], refused: &Refused) {
    assert!(!refused.detail.is_empty() && !refused.detail.contains('\n'));
    let has_surrogates = text
        .windows(3)
        .any(|three| three.eq_ignore_ascii_case(b"\\ud"));
    match refused.code {
        "validation_error" => assert!(has_surrogates || is_json(text), "{refused:?}"),
        "invalid_json" if has_surrogates => {}
        "invalid_json" => assert!(
            !is_json(text) || depth(serde_json::Deserializer::from_slice, text).0 > DEPTH_MAX,
            "{refused:?}"
        ),
        other => panic!("a body is never refused as {other}"),
    }
}

/// Asserts that a value keeps its rule.
pub fn assert_rule(rule: Rule) {
    assert_eq!(Ok(()), rule);
}

/// Asserts that a version or a quantity is in range.
pub fn assert_quantity(quantity: u64) {
    assert_rule(rules::quantity(
        i64::try_from(quantity).expect("within 2^53"),
    ));
}

/// How deep a parser descends into `text`, and whether it read a value to its end.
pub fn depth<'a, P>(parser: impl FnOnce(&'a [u8]) -> P, text: &'a [u8]) -> (usize, bool)
where
    for<'p> &'p mut P: Deserializer<'a>,
{
    let deepest = Cell::new(0);
    let level = Level {
        depth: 0,
        deepest: &deepest,
    };
    let is_whole = level.deserialize(&mut parser(text)).is_ok();
    (deepest.get(), is_whole)
}

/// A value at some depth.
#[derive(Clone, Copy)]
struct Level<'d> {
    depth: usize,
    deepest: &'d Cell<usize>,
}

impl Level<'_> {
    fn below(self) -> Self {
        let depth = self.depth + 1;
        self.deepest.set(self.deepest.get().max(depth));
        Level { depth, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below();
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let below = self.below();
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(below)?;
        }
        Ok(())
    }
}

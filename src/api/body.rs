//! Reading a request's body, within its bounds.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::{Code, Problem};
use crate::acceptor::Acceptor;
use crate::acceptor::bodies::{Exhausted, Held};
use crate::acceptor::connection::RequestBody;
use crate::encoding;

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Judges a body by its headers, before any of it is read and before `100 Continue` invites it.
pub fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    if declared_length(headers).is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    match headers.get(CONTENT_TYPE) {
        Some(value) if !is_json(value.as_bytes()) => Err(Problem::new(
            Code::UnsupportedMediaType,
            "the Content-Type must be application/json (curl -d sends another one unless told)",
        )),
        _ => Ok(()),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

fn too_large() -> Problem {
    Problem::new(
        Code::BodyTooLarge,
        format!("a body may have at most {BODY_BYTES_MAX} bytes"),
    )
}

/// The bytes of a body, and its share of the memory for bodies.
pub struct ReadBody {
    bytes: Bytes,
    _held: Held,
}

impl std::ops::Deref for ReadBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the whole body. In the usual case it came with the head and is not copied.
pub async fn read(
    acceptor: &Acceptor,
    headers: &HeaderMap,
    mut body: RequestBody<'_>,
) -> Result<ReadBody, Problem> {
    let mut held = acceptor.bodies.hold();
    let declared = declared_length(headers).unwrap_or(0) as usize;
    held.grow_to(declared).map_err(no_memory)?;
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    let mut length = 0;
    while let Some(data) = body.next().await.map_err(|fault| {
        let detail = format!("the body could not be read: {fault}");
        Problem::new(Code::ValidationError, detail)
    })? {
        length += data.len();
        if length > BODY_BYTES_MAX {
            return Err(too_large());
        }
        held.grow_to(length).map_err(no_memory)?;
        match &mut first {
            None => first = Some(data),
            Some(before) => {
                joined.reserve(declared.saturating_sub(joined.len()));
                joined.extend_from_slice(&std::mem::take(before));
                joined.extend_from_slice(&data);
            }
        }
    }
    let bytes = match joined.is_empty() {
        true => first.unwrap_or_default(),
        false => joined.freeze(),
    };
    Ok(ReadBody { bytes, _held: held })
}

fn no_memory(_: Exhausted) -> Problem {
    Problem::new(
        Code::Overloaded,
        "as much is taken by the bodies of other requests as MAX_BODY_MEMORY_MIB allows",
    )
}

/// Reads `json`, an object, as a `T`: text that is not JSON is one problem, a member of the wrong type another.
pub fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Problem> {
    if encoding::nests_deeper_than(json, encoding::DEPTH_MAX) {
        let detail = format!("the body nests deeper than {} levels", encoding::DEPTH_MAX);
        return Err(Problem::new(Code::InvalidJson, detail));
    }
    let not_json = |detail: &str| Problem::new(Code::InvalidJson, detail);
    let text = std::str::from_utf8(json).map_err(|_| not_json("the body is not UTF-8"))?;
    if !encoding::has_sound_escapes(json) {
        return Err(not_json("the body has an escape that JSON does not have"));
    }
    let read = sonic_rs::from_str::<Object<T>>(text).map(|object| object.0);
    read.map_err(|error| match sonic_rs::from_str::<IgnoredAny>(text) {
        Err(error) => Problem::new(Code::InvalidJson, first_line(&error)),
        Ok(_) => Problem::new(Code::ValidationError, first_line(&error)),
    })
}

/// sonic-rs draws the place of an error on further lines.
fn first_line(error: &sonic_rs::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A string of a body, borrowed from it where it has no escapes. (`Option<Cow<str>>` would always copy.)
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A `T` written as an object. serde would also read a struct from an array, by the order of its members.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Collects what is wrong with the members of a body.
#[derive(Debug, Default)]
pub struct Faults {
    details: Vec<super::problem::Detail>,
}

impl Faults {
    /// `field` breaks a rule.
    pub fn add(&mut self, field: impl Into<String>, issue: &str) {
        self.details.push(super::problem::Detail {
            field: field.into(),
            issue: issue.to_owned(),
        });
    }

    /// The value of a member that must be there and keep `rule`.
    pub fn required<T>(
        &mut self,
        field: impl Fn() -> String,
        value: Option<T>,
        rule: impl FnOnce(&T) -> crate::rules::Rule,
    ) -> Option<T> {
        if value.is_none() {
            self.add(field(), "is required");
        }
        self.optional(field, value, rule)
    }

    /// The value of a member that must keep `rule` where it is there.
    pub fn optional<T>(
        &mut self,
        field: impl Fn() -> String,
        value: Option<T>,
        rule: impl FnOnce(&T) -> crate::rules::Rule,
    ) -> Option<T> {
        let value = value?;
        match rule(&value) {
            Ok(()) => Some(value),
            Err(issue) => {
                self.add(field(), issue);
                None
            }
        }
    }

    /// All of them in a sentence, for the item of a batch; none if there are none.
    pub fn as_sentence(&self) -> Option<String> {
        let one = |detail: &super::problem::Detail| format!("{} {}", detail.field, detail.issue);
        let all: Vec<String> = self.details.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// A problem that lists every fault, if there are any.
    pub fn finish(self) -> Result<(), Problem> {
        match self.details.is_empty() {
            true => Ok(()),
            false => Err(Problem::validation(self.details)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Sample<'a> {
        #[serde(borrow)]
        text: Option<Text<'a>>,
        number: Option<i64>,
    }

    fn check(json: &[u8], expected: Option<Code>) {
        let code = parse::<Sample<'_>>(json).err().map(|problem| problem.code);
        assert_eq!(expected, code, "{}", String::from_utf8_lossy(json));
    }

    #[test]
    fn what_is_not_json_is_told_from_what_has_the_wrong_type() {
        check(br#"{"text":"a","number":1,"more":[{}]}"#, None);
        check(br#"{"text":"a","#, Some(Code::InvalidJson));
        check(br#"{"text":"a"} x"#, Some(Code::InvalidJson));
        check(b"", Some(Code::InvalidJson));
        check(b"{\"text\":\"\xff\"}", Some(Code::InvalidJson));
        check(b"{\"more\":\"\xff\"}", Some(Code::InvalidJson));
        check(br#"{"text":"\u0v00"}"#, Some(Code::InvalidJson));
        check(br#"{"more":"\x"}"#, Some(Code::InvalidJson));
        check(br#"{"t\u0vext":1}"#, Some(Code::InvalidJson));
        check(br#"{"text":5}"#, Some(Code::ValidationError));
        check(br#"{"number":1.5}"#, Some(Code::ValidationError));
        check(br#"{"number":1e400}"#, Some(Code::ValidationError));
        check(
            br#"{"number":99999999999999999999}"#,
            Some(Code::ValidationError),
        );
        check(br#"{"number":1,"number":2}"#, Some(Code::ValidationError));
        check(br#"[]"#, Some(Code::ValidationError));
        check(br#"["a",1]"#, Some(Code::ValidationError));
        check(
            &[b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
            Some(Code::InvalidJson),
        );
    }

    /// sonic-rs hands such bytes out as text, which nothing may be that is not UTF-8.
    #[test]
    fn what_is_read_later_is_text_before() {
        #[derive(Deserialize, Debug)]
        struct Sample<'a> {
            #[serde(borrow)]
            price: sonic_rs::LazyValue<'a>,
        }
        let json = b"{\"price\":\"9.\xff\"}";
        assert_eq!(
            Code::InvalidJson,
            parse::<Sample<'_>>(json).unwrap_err().code
        );
        let sample: Sample<'_> = parse(br#"{"price":9.5}"#).unwrap();
        assert_eq!("9.5", sample.price.as_raw_str());
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let sample: Sample<'_> = parse(br#"{"text":"plain"}"#).unwrap();
        assert!(matches!(sample.text, Some(Text(Cow::Borrowed("plain")))));
    }
}

//! The head of a request: judged by the framing first, then read by httparse. Pure.

use std::mem::MaybeUninit;

use bytes::Bytes;
use httparse::Status;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri, Version};

use crate::acceptor::framing::{self, Fault, Length};

/// The most bytes that are read of a head, above what is allowed, so that a client hears what is.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most headers of a request.
pub const HEADERS_MAX: usize = 100;
/// What stands for the method of a request whose own cannot be read.
const NO_METHOD: &str = "UNREADABLE";

/// Why a head is refused, and the connection with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be read in more than one way.
    Ambiguous(Fault),
    /// It cannot be read.
    Unreadable(&'static str),
    /// It has no end within [`HEAD_BYTES_MAX`], or too many headers.
    TooLarge,
}

/// A head as it came.
#[derive(Debug)]
pub struct Head {
    /// What could be read of it.
    pub parts: Parts,
    /// How long the body is, if there is no doubt.
    pub length: Result<Length, Refusal>,
}

impl Head {
    /// One without an end.
    pub fn too_large() -> Head {
        Head::refused(Refusal::TooLarge)
    }

    fn refused(refusal: Refusal) -> Head {
        let mut parts = Request::new(()).into_parts().0;
        parts.method = Method::from_bytes(NO_METHOD.as_bytes()).expect("letters are a method");
        Head {
            parts,
            length: Err(refusal),
        }
    }

    /// Whether the client wants the connection to go on.
    pub fn keeps_alive(&self) -> bool {
        match self.parts.version {
            Version::HTTP_10 => names(&self.parts.headers, "keep-alive"),
            _ => !names(&self.parts.headers, "close"),
        }
    }
}

/// Whether the `Connection` headers name `option`.
pub fn names(headers: &HeaderMap, option: &str) -> bool {
    let lists = headers.get_all(CONNECTION).iter();
    let mut options = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// Reads a whole head, the empty line included.
pub fn read(head: Bytes) -> Head {
    let judged = framing::judge(&head).map_err(Refusal::Ambiguous);
    match parse(head) {
        Ok(parts) => Head {
            parts,
            length: judged,
        },
        Err(refusal) => Head::refused(judged.err().unwrap_or(refusal)),
    }
}

fn parse(head: Bytes) -> Result<Parts, Refusal> {
    let mut headers = [MaybeUninit::uninit(); HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&head, &mut headers) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Refusal::Unreadable("it has no end")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(error) => return Err(Refusal::Unreadable(describe(error))),
    }
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    let mut parts = Request::new(()).into_parts().0;
    parts.version = match request.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    parts.method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Refusal::Unreadable("the method is not a token"))?;
    parts.uri = Uri::from_maybe_shared(head.slice_ref(target.as_bytes()))
        .map_err(|_| Refusal::Unreadable("the target is not a URI"))?;
    parts.headers = HeaderMap::with_capacity(request.headers.len());
    for header in &*request.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Refusal::Unreadable("the name of a header is not a token"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value))
            .map_err(|_| Refusal::Unreadable("the value of a header has a control character"))?;
        parts.headers.append(name, value);
    }
    Ok(parts)
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::Version => "the version of HTTP must be 1.1 or 1.0",
        httparse::Error::HeaderName => "the name of a header is not a token",
        httparse::Error::HeaderValue => "the value of a header has a control character",
        _ => "the request line must be method, target and version",
    }
}

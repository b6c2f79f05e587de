//! Files that are served from memory: made once, at the start, and kept compressed.
//!
//! Whoever accepts gzip gets the bytes as they are; for others they are inflated piece by piece as they are sent, so
//! that no other request waits for a large file.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::products::is_known;
use super::respond::{self, BrokenOff, ResponseBody};

/// Bytes that are inflated at a time: well below a millisecond.
const PIECE_BYTES: usize = 64 << 10;

/// Only this server's own files and answers, and pictures within its styles. No script and no style in the page itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// How long a client may keep a file without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Its name has a version: for good.
    Immutable,
    /// It changes with the server: ask each time, with the `ETag`.
    Revalidate,
}

/// A file.
pub struct Asset {
    media_type: &'static str,
    caching: Caching,
    gzipped: Bytes,
    etag: HeaderValue,
}

impl Asset {
    /// A file that is compressed already.
    pub fn compressed(
        media_type: &'static str,
        caching: Caching,
        gzipped: impl Into<Bytes>,
    ) -> Asset {
        let gzipped = gzipped.into();
        // Weak, since the same tag names the plain and the compressed form.
        let tag = format!("W/\"{:x}-{:x}\"", gzipped.len(), crc32c::crc32c(&gzipped));
        Asset {
            media_type,
            caching,
            etag: HeaderValue::try_from(tag).expect("hexadecimal digits"),
            gzipped,
        }
    }

    /// A file that is compressed now.
    pub fn plain(media_type: &'static str, text: &str) -> Asset {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).expect("memory takes it");
        let gzipped = encoder.finish().expect("memory takes it");
        Asset::compressed(media_type, Caching::Revalidate, gzipped)
    }

    /// The file, or 304 if the client has it.
    pub fn respond(&self, request: &HeaderMap) -> Response<ResponseBody> {
        let (status, body, is_gzipped) = if is_known(request, self.etag.as_bytes()) {
            (StatusCode::NOT_MODIFIED, ResponseBody::empty(), false)
        } else if accepts_gzip(request) {
            (StatusCode::OK, self.gzipped.clone().into(), true)
        } else {
            (StatusCode::OK, inflated(self.gzipped.clone()), false)
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::OK {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        if is_gzipped {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in self.other_headers() {
            headers.insert(name, value);
        }
        response
    }

    fn other_headers(&self) -> [(HeaderName, HeaderValue); 6] {
        let caching = match self.caching {
            Caching::Immutable => "public, max-age=31536000, immutable",
            Caching::Revalidate => "no-cache",
        };
        let fixed = HeaderValue::from_static;
        [
            (ETAG, self.etag.clone()),
            (CACHE_CONTROL, fixed(caching)),
            (VARY, fixed("Accept-Encoding")),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (REFERRER_POLICY, fixed("no-referrer")),
        ]
    }

    /// What is compressed, as text.
    #[cfg(test)]
    pub fn text(&self) -> String {
        let mut text = String::new();
        GzDecoder::new(&*self.gzipped)
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

fn inflated(gzipped: Bytes) -> ResponseBody {
    let decoder = GzDecoder::new(std::io::Cursor::new(gzipped));
    respond::pieces(decoder, |mut decoder| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        match decoder
            .by_ref()
            .take(PIECE_BYTES as u64)
            .read_to_end(&mut piece)
        {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(piece)), decoder)),
            Err(_) => Some((Err(BrokenOff), decoder)),
        }
    })
}

/// Whether `Accept-Encoding` lists `gzip` or `*`, and not with a weight of 0.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(ACCEPT_ENCODING).iter();
    let codings = lists.flat_map(|list| list.to_str().unwrap_or_default().split(','));
    let weight = |parameters: &str| {
        let weight = parameters.trim().strip_prefix("q=").unwrap_or("1");
        weight.trim().parse::<f32>().unwrap_or(0.0)
    };
    let (mut of_gzip, mut of_any) = (None, None);
    for coding in codings {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, "q=1"));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => of_gzip = Some(weight(parameters)),
            "*" => of_any = Some(weight(parameters)),
            _ => {}
        }
    }
    of_gzip.or(of_any).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it() {
        let check = |accepted: &'static str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(expected, accepts_gzip(&headers), "{accepted:?}");
        };
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("*", true);
        check("gzip;q=0", false);
        check("gzip;q=0, *", false);
        check("identity", false);
        check("gzip;q=none", false);
        check("", false);
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}

//! `GET /problems/{code}`: what an error means. To a program JSON, to a person a page or plain text.

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::accept;
use super::openapi::values;
use super::problem::{Code, Problem};
use super::respond::{self, Answer, ResponseBody};

const JSON: &str = "application/json";
const HTML: &str = "text/html";
const PLAIN: &str = "text/plain";

/// What an error code means.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationJson {
    #[schema(value_type = values::ProblemCode)]
    code: &'static str,
    /// The status that it is sent with.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For a person: what it means and what to do.
    explanation: &'static str,
}

/// Explains the code called `name` in the form that `headers` prefer.
pub fn explain(name: &str, headers: &HeaderMap) -> Answer {
    let code = Code::by_name(name)
        .ok_or_else(|| Problem::new(Code::NotFound, format!("no problem with code {name}")))?;
    let mut response = match accept::preferred(headers, &[JSON, HTML, PLAIN]) {
        HTML => text(
            HeaderValue::from_static("text/html; charset=utf-8"),
            page(code),
        ),
        PLAIN => text(
            HeaderValue::from_static("text/plain; charset=utf-8"),
            paragraph(code),
        ),
        _ => json(code),
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(VARY, vary);
    Ok(response)
}

fn json(code: Code) -> Response<ResponseBody> {
    let explanation = ExplanationJson {
        code: code.as_str(),
        status: code.status().as_u16(),
        explanation: code.explanation(),
    };
    respond::json(StatusCode::OK, &explanation)
}

fn text(content_type: HeaderValue, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(text.into_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn paragraph(code: Code) -> String {
    format!(
        "{}\n\n{}\n\nHTTP status {}, code {}\n",
        code.title(),
        code.explanation(),
        code.status(),
        code.as_str()
    )
}

/// Nothing of the request stands in it, so there is nothing to escape but our own words.
fn page(code: Code) -> String {
    let (title, explanation) = (escaped(code.title()), escaped(code.explanation()));
    let (status, code) = (code.status(), code.as_str());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p>{explanation}</p>\n<p>HTTP status {status}, code <code>{code}</code></p>\n\
         </body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

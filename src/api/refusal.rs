//! The answer to a connection that there is no room for, as bytes: it is sent before anything is asked.

use super::problem::{Code, Problem};
use super::respond::ResponseBody;
use super::{REQUEST_ID, new_request_id, text};
use crate::acceptor::Acceptor;
use crate::acceptor::admission::Full;
use crate::acceptor::connection::encode;

/// A whole response that says which bound is met.
pub fn connection_refusal(acceptor: &Acceptor, full: Full) -> Vec<u8> {
    let detail = match full {
        Full::Server => "as many connections are open as MAX_CONNECTIONS allows",
        Full::Address => {
            "as many connections of this address are open as MAX_CONNECTIONS_PER_IP allows"
        }
    };
    let problem = Problem {
        closes: true,
        ..Problem::new(Code::Overloaded, detail)
    };
    let id = new_request_id(acceptor);
    let (mut head, body) = problem.into_response(text(&id)).into_parts();
    head.headers.insert(REQUEST_ID, id);
    let ResponseBody::Whole(body) = body else {
        unreachable!("a problem is there as a whole");
    };
    encode::whole(&head, &body)
}

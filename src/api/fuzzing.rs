//! The doors through which the fuzz targets (`fuzz/`) reach parsers that are private. Compiled for them only.

use std::borrow::Cow;

use shards::{Creation, Setting, Update};

use super::problem::Problem;
use super::route::Route;
use super::{admin, events, products, query, updates};
use crate::journal::canonical;
use crate::journal::line::{Line, LineError};

pub use super::events::Asked as AskedPoll;
pub use super::products::AskedPage;

/// Why a request is refused.
#[derive(Debug)]
pub struct Refused {
    /// The problem's code.
    pub code: &'static str,
    /// What it tells the caller.
    pub detail: String,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused {
            code: problem.code.as_str(),
            detail: problem.detail,
        }
    }
}

/// What a body of `POST /v1/inventory/updates` would have shards decide, item by item.
pub fn updates(json: &[u8]) -> Result<Vec<Option<Update>>, Refused> {
    Ok(updates::asked(json)?)
}

/// What a body of `POST /v1/admin/products/create` would have shards create.
pub fn creations(json: &[u8]) -> Result<Vec<Creation>, Refused> {
    Ok(admin::creations(json)?)
}

/// What a body of `PUT /v1/admin/products/set` would have shards set.
pub fn settings(json: &[u8]) -> Result<Vec<Setting>, Refused> {
    Ok(admin::settings(json)?)
}

/// What a body of `DELETE /v1/admin/products/delete` would have shards delete.
pub fn deletions(json: &[u8]) -> Result<Vec<Box<str>>, Refused> {
    Ok(admin::deletions(json)?)
}

/// What the query of `GET /v1/inventory/events` asks for.
pub fn poll(query: Option<&str>) -> Result<AskedPoll, Refused> {
    Ok(events::asked(query, None)?)
}

/// What the query of `GET /v1/inventory` asks for.
pub fn page(query: Option<&str>) -> Result<AskedPage, Refused> {
    Ok(products::asked_page(query)?)
}

/// The cursor of the page after the product `id`.
pub fn cursor_after(id: &str) -> String {
    query::cursor_after(id)
}

/// The product after which the page of `cursor` begins.
pub fn product_before(cursor: &str) -> Option<Box<str>> {
    query::product_before(cursor)
}

/// The product that a path names, if that is what it names.
pub fn product_of_path(path: &str) -> Option<Cow<'_, str>> {
    match Route::of(path)? {
        Route::Product(id) => Some(id),
        _ => None,
    }
}

/// A line of the journal as it is read by position.
pub fn line_by_position(line: &[u8]) -> Option<Line<'_>> {
    canonical::read(line)
}

/// A line of the journal as the JSON parser reads it.
pub fn line_as_json(line: &[u8]) -> Result<Line<'_>, LineError> {
    Line::read_json(line)
}

//! Reading products: one, a page, all.

use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};

use super::problem::Problem;
use super::query::{self, Query};
use super::respond::{self, Answer, BrokenOff};
use crate::acceptor::{Acceptor, Overloaded};
use crate::encoding;
use crate::messages::{
    FeedAnswer, FoundProduct, ListedProduct, Outcome, PageAfter, ShardRequest, Slice,
};
use crate::runtime::executor;

/// Products on a page unless the query says.
pub const LIMIT_DEFAULT: u64 = 50;
/// The most products on a page.
pub const LIMIT_MAX: u64 = 100;
/// Products that a shard encodes for the snapshot at a time: some 30 KB, so that no other request waits long.
const SLICE_PRODUCTS: u32 = 200;
/// How often, and how long apart, a slice that met a full lane is asked for again before the snapshot breaks off.
const SLICE_RETRIES: u32 = 500;
const SLICE_RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(10);

/// `GET /v1/inventory/{productId}`
pub async fn read(acceptor: &Rc<Acceptor>, id: &str, headers: &HeaderMap) -> Answer {
    let shard = acceptor.router.shard_of(id);
    match acceptor
        .ask(shard, |to| ShardRequest::Read(to, id.into()))
        .await
    {
        Ok(Outcome::Product(Some(product))) => Ok(respond_product(product, headers)),
        Ok(Outcome::Product(None)) => Err(Problem::product_not_found(id)),
        Ok(Outcome::StorageFailed) => Err(Problem::storage_failed()),
        Ok(other) => unreachable!("a read is answered as a read, not {other:?}"),
        Err(Overloaded) => Err(Problem::overloaded()),
    }
}

fn respond_product(
    product: FoundProduct,
    headers: &HeaderMap,
) -> hyper::Response<respond::ResponseBody> {
    let etag = HeaderValue::try_from(format!("\"{}\"", product.version)).expect("digits in quotes");
    let mut response = match is_known(headers, etag.as_bytes()) {
        true => respond::empty(StatusCode::NOT_MODIFIED),
        false => respond::json_bytes(StatusCode::OK, product.json),
    };
    response.headers_mut().insert(ETAG, etag);
    response
}

/// Whether `If-None-Match` lists `etag`, weakly compared, or is `*`.
pub fn is_known(headers: &HeaderMap, etag: &[u8]) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    tags.any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || opaque(tag) == opaque(etag)
    })
}

/// A tag without what says that it is weak.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// `GET /v1/inventory`
pub async fn list(acceptor: &Rc<Acceptor>, query: Option<&str>) -> Answer {
    let AskedPage { after, limit } = asked_page(query)?;
    let mut products = ask_all(acceptor, after, limit as u32 + 1).await?;
    products.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let has_more = products.len() > limit;
    products.truncate(limit);
    let next_cursor = products
        .last()
        .filter(|_| has_more)
        .map(|last| query::cursor_after(&last.id));
    Ok(respond::json_bytes(
        StatusCode::OK,
        encode_page(&products, next_cursor.as_deref()),
    ))
}

/// What a list asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPage {
    /// The product before the page; none for the first page.
    pub after: Option<Box<str>>,
    /// `limit`
    pub limit: usize,
}

/// Reads the query.
pub fn asked_page(query: Option<&str>) -> Result<AskedPage, Problem> {
    let mut query = Query::parse(query);
    let limit = query
        .integer("limit", 1, LIMIT_MAX)
        .unwrap_or(LIMIT_DEFAULT) as usize;
    let after = query.text("cursor").and_then(|cursor| {
        let before = query::product_before(&cursor);
        if before.is_none() {
            query.fault("cursor", "must be the nextCursor of an earlier page");
        }
        before
    });
    query.finish()?;
    Ok(AskedPage { after, limit })
}

/// One more than the page from every shard: any of them may hold all of the page.
async fn ask_all(
    acceptor: &Rc<Acceptor>,
    after: Option<Box<str>>,
    limit: u32,
) -> Result<Vec<ListedProduct>, Problem> {
    let exchange = acceptor.exchange();
    for shard in 0..acceptor.router.shard_count() {
        let after = after.clone();
        let list = |to| ShardRequest::List(to, PageAfter { after, limit });
        acceptor
            .send(&exchange, shard, list)
            .map_err(|Overloaded| Problem::overloaded())?;
    }
    let mut products = Vec::new();
    for outcome in exchange.all().await {
        match outcome {
            Outcome::List(listed) => products.extend(listed),
            Outcome::StorageFailed => return Err(Problem::storage_failed()),
            other => unreachable!("a list is answered as a list, not {other:?}"),
        }
    }
    Ok(products)
}

fn encode_page(products: &[ListedProduct], next_cursor: Option<&str>) -> Vec<u8> {
    let mut json = b"{\"items\":[".to_vec();
    for (i, product) in products.iter().enumerate() {
        if i > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&product.json);
    }
    json.push(b']');
    if let Some(cursor) = next_cursor {
        json.extend_from_slice(b",\"nextCursor\":");
        encoding::string(&mut json, cursor);
    }
    json.push(b'}');
    json
}

/// `GET /v1/inventory/snapshot`: the end of the feed first, then every shard's products slice by slice. What changes
/// meanwhile is in the feed from that end on, so the store that follows it becomes exact.
pub async fn snapshot(acceptor: &Rc<Acceptor>) -> Answer {
    let end = match acceptor.feed_end().await {
        Ok(FeedAnswer::End(end)) => end,
        Ok(other) => unreachable!("the end is answered as the end, not {other:?}"),
        Err(Overloaded) => return Err(Problem::overloaded()),
    };
    let start = SnapshotState {
        acceptor: acceptor.clone(),
        stage: Stage::Head(end),
        count: 0,
    };
    let body = respond::pieces(start, SnapshotState::next);
    Ok(respond::json_bytes(StatusCode::OK, body))
}

struct SnapshotState {
    acceptor: Rc<Acceptor>,
    stage: Stage,
    count: u64,
}

enum Stage {
    Head(u64),
    Slice {
        shard: usize,
        after: Option<Box<str>>,
    },
    Tail,
    End,
}

impl SnapshotState {
    async fn next(mut self) -> Option<(Result<Bytes, BrokenOff>, SnapshotState)> {
        let mut piece = Vec::new();
        match std::mem::replace(&mut self.stage, Stage::End) {
            Stage::Head(end) => {
                piece.extend_from_slice(b"{\"nextOffset\":");
                encoding::integer(&mut piece, end);
                piece.extend_from_slice(b",\"products\":[");
                self.stage = self.slice_or_tail(0, None);
            }
            Stage::Slice { shard, after } => match ask_slice(&self.acceptor, shard, after).await {
                Some(slice) => piece = self.take(shard, slice),
                None => return Some((Err(BrokenOff), self)),
            },
            Stage::Tail => {
                piece.extend_from_slice(b"],\"count\":");
                encoding::integer(&mut piece, self.count);
                piece.push(b'}');
            }
            Stage::End => return None,
        }
        Some((Ok(piece.into()), self))
    }

    fn take(&mut self, shard: usize, slice: Slice) -> Vec<u8> {
        let mut piece = slice.json;
        if self.count > 0 && slice.count > 0 {
            piece.insert(0, b',');
        }
        self.count += u64::from(slice.count);
        self.stage = match slice.more_after {
            Some(after) => self.slice_or_tail(shard, Some(after)),
            None => self.slice_or_tail(shard + 1, None),
        };
        piece
    }

    fn slice_or_tail(&self, shard: usize, after: Option<Box<str>>) -> Stage {
        match shard < self.acceptor.router.shard_count() {
            true => Stage::Slice { shard, after },
            false => Stage::Tail,
        }
    }
}

async fn ask_slice(acceptor: &Acceptor, shard: usize, after: Option<Box<str>>) -> Option<Slice> {
    let _turn = acceptor.slices.take().await;
    // Where the shard is on this CPU and the store reads fast, nothing here waits for I/O: updates that come meanwhile
    // would only be seen when the whole stock is sent.
    executor::let_io_run().await;
    for _ in 0..SLICE_RETRIES {
        let page = PageAfter {
            after: after.clone(),
            limit: SLICE_PRODUCTS,
        };
        match acceptor
            .ask(shard, |to| ShardRequest::Slice(to, page))
            .await
        {
            Ok(Outcome::Slice(slice)) => return Some(slice),
            Ok(Outcome::StorageFailed) => return None,
            Ok(other) => unreachable!("a slice is answered as a slice, not {other:?}"),
            Err(Overloaded) => executor::sleep(SLICE_RETRY_AFTER).await,
        }
    }
    None
}

//! Requests as they go over the wire. Each is built in the same buffer, without a copy in between.

use std::io::Write;

/// Makes requests of one store.
pub struct Requests {
    /// Everything in front of the length of an update's body.
    update_head: Vec<u8>,
    /// Everything behind the target of a read.
    read_tail: Vec<u8>,
    /// The same where a stream is wanted.
    stream_tail: Vec<u8>,
    store: String,
    run: String,
    body: Vec<u8>,
    bytes: Vec<u8>,
}

impl Requests {
    /// For the server at `authority`, by `store` with a regular `key`. The products of the run begin with `run`.
    pub fn new(authority: &str, key: &str, store: String, run: String) -> Requests {
        let update_head = format!(
            "POST /v1/inventory/updates HTTP/1.1\r\nHost: {authority}\r\nX-API-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: "
        );
        let read_tail = format!(" HTTP/1.1\r\nHost: {authority}\r\nX-API-Key: {key}\r\n\r\n");
        let stream_tail = format!(
            " HTTP/1.1\r\nHost: {authority}\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\r\n"
        );
        Requests {
            update_head: update_head.into_bytes(),
            stream_tail: stream_tail.into_bytes(),
            read_tail: read_tail.into_bytes(),
            store,
            run,
            body: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// One stock change; without a version, of whatever is current.
    pub fn update(&mut self, product: usize, delta: i64, version: Option<u64>, key: u64) -> &[u8] {
        let Requests {
            store, run, body, ..
        } = self;
        body.clear();
        write_to(body, format_args!("{{\"storeId\":\"{store}\","));
        change(body, run, store, product, delta, version, key);
        body.push(b'}');
        self.framed()
    }

    /// Several, each of whatever version is current: product, delta and key of each.
    pub fn batch(&mut self, changes: &[(usize, i64, u64)]) -> &[u8] {
        let Requests {
            store, run, body, ..
        } = self;
        body.clear();
        write_to(
            body,
            format_args!("{{\"storeId\":\"{store}\",\"updates\":["),
        );
        for (index, (product, delta, key)) in changes.iter().enumerate() {
            body.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            change(body, run, store, *product, *delta, None, *key);
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        self.framed()
    }

    /// One product.
    pub fn read(&mut self, product: usize) -> &[u8] {
        self.bytes.clear();
        let run = &self.run;
        write_to(
            &mut self.bytes,
            format_args!("GET /v1/inventory/{run}-{product:07}"),
        );
        self.bytes.extend_from_slice(&self.read_tail);
        &self.bytes
    }

    /// The events from `offset` on, waited for.
    pub fn events(&mut self, offset: u64, limit: u32, wait_seconds: u32) -> &[u8] {
        self.bytes.clear();
        write_to(
            &mut self.bytes,
            format_args!(
                "GET /v1/inventory/events?offset={offset}&limit={limit}&wait={wait_seconds}"
            ),
        );
        self.bytes.extend_from_slice(&self.read_tail);
        &self.bytes
    }

    /// The events from `offset` on, as a stream.
    pub fn stream(&mut self, offset: u64) -> &[u8] {
        self.bytes.clear();
        write_to(
            &mut self.bytes,
            format_args!("GET /v1/inventory/events?offset={offset}"),
        );
        self.bytes.extend_from_slice(&self.stream_tail);
        &self.bytes
    }

    /// All products, and where to follow from.
    pub fn snapshot(&mut self) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(b"GET /v1/inventory/snapshot");
        self.bytes.extend_from_slice(&self.read_tail);
        &self.bytes
    }

    fn framed(&mut self) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.update_head);
        write_to(&mut self.bytes, format_args!("{}\r\n\r\n", self.body.len()));
        self.bytes.extend_from_slice(&self.body);
        &self.bytes
    }
}

/// The id of a product of a run.
pub fn product_id(run: &str, product: usize) -> String {
    format!("{run}-{product:07}")
}

fn change(
    body: &mut Vec<u8>,
    run: &str,
    store: &str,
    product: usize,
    delta: i64,
    version: Option<u64>,
    key: u64,
) {
    write_to(
        body,
        format_args!(
            "\"productId\":\"{run}-{product:07}\",\"delta\":{delta},\"idempotencyKey\":\"{store}-{key:x}\","
        ),
    );
    match version {
        Some(version) => write_to(body, format_args!("\"version\":{version}")),
        None => body.extend_from_slice(b"\"anyVersion\":true"),
    }
}

fn write_to(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    bytes.write_fmt(text).expect("memory takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &[u8]) -> serde_json::Value {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn requests_are_what_the_contract_says() {
        let mut requests = Requests::new("h:1", "demo", "s1".to_owned(), "r".to_owned());
        let one = body(requests.update(7, -2, Some(5), 255));
        let expected = serde_json::json!({
            "storeId": "s1", "productId": product_id("r", 7), "delta": -2, "version": 5, "idempotencyKey": "s1-ff"
        });
        assert_eq!(expected, one);
        let any = body(requests.update(7, -2, None, 1));
        assert_eq!(
            (true, None),
            (any["anyVersion"] == true, any.get("version"))
        );
        let batch = body(requests.batch(&[(1, 1, 1), (2, -1, 2)]));
        assert_eq!(2, batch["updates"].as_array().unwrap().len());
        let read = std::str::from_utf8(requests.read(3)).unwrap();
        assert!(read.starts_with(
            "GET /v1/inventory/r-0000003 HTTP/1.1\r\nHost: h:1\r\nX-API-Key: demo\r\n\r\n"
        ));
        let events = std::str::from_utf8(requests.events(9, 1000, 30)).unwrap();
        assert!(
            events.starts_with("GET /v1/inventory/events?offset=9&limit=1000&wait=30 HTTP/1.1\r\n")
        );
    }
}

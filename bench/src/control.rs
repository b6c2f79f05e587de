//! What is asked beside the load: health, products, the listing and the feed. Blocking; none of it is measured.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use ureq::Agent;
use ureq::http::Response;

use crate::client::product_id;
use crate::report::ServerFacts;

/// For anything but a snapshot.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most that one request may create.
const CREATE_MAX: usize = 1000;
/// The most events of a page.
const PAGE_EVENTS: usize = 1000;
/// No snapshot is larger.
const SNAPSHOT_BYTES_MAX: u64 = 8 << 30;
/// What every product has at the beginning: more than is ever sold.
pub const INITIAL_STOCK: u64 = 1_000_000_000_000;

/// A client for an administrator and an auditor.
pub struct Control {
    agent: Agent,
    base: String,
    key: String,
    admin_key: String,
}

/// Where a product stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its stock.
    pub available: u64,
    /// Its version.
    pub version: u64,
}

#[derive(Deserialize)]
struct Product {
    #[serde(rename = "productId")]
    id: String,
    available: u64,
    version: u64,
}

impl Standing {
    /// Of a product as the server wrote it.
    pub fn of(product: &str) -> Option<Standing> {
        let product: Product = sonic_rs::from_str(product).ok()?;
        Some(product.standing())
    }
}

impl Product {
    fn standing(&self) -> Standing {
        Standing {
            available: self.available,
            version: self.version,
        }
    }
}

#[derive(Deserialize)]
struct Snapshot {
    products: Vec<Product>,
}

/// An event, as far as it is audited.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its offset.
    pub offset: u64,
    /// Of what kind.
    pub event_type: String,
    /// The product.
    pub product_id: String,
    /// Its version then.
    pub version: u64,
    /// The change, of an update.
    pub delta: Option<i64>,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    available: u64,
}

impl Event {
    /// The stock after it.
    pub fn available(&self) -> u64 {
        self.data.available
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    events: Vec<Event>,
    next_offset: u64,
}

#[derive(Deserialize)]
struct Health {
    version: String,
    components: Option<Components>,
}

#[derive(Deserialize)]
struct Components {
    journal: Option<Journal>,
}

#[derive(Deserialize)]
struct Journal {
    durable: Option<bool>,
}

impl Control {
    /// Of the server at `address`.
    pub fn new(address: SocketAddr, key: &str, admin_key: &str) -> Control {
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        Control {
            agent: agent.new_agent(),
            base: format!("http://{address}"),
            key: key.to_owned(),
            admin_key: admin_key.to_owned(),
        }
    }

    /// What the server says of itself.
    pub fn facts(&self) -> Result<ServerFacts, String> {
        let health: Health = self.get("/health")?;
        let journal = health.components.and_then(|components| components.journal);
        Ok(ServerFacts {
            version: health.version,
            is_debug_build: None,
            is_durable: journal.and_then(|journal| journal.durable),
        })
    }

    /// Creates the products of `run`.
    pub fn create(
        &self,
        run: &str,
        products: usize,
        mut tell: impl FnMut(usize),
    ) -> Result<(), String> {
        for first in (0..products).step_by(CREATE_MAX) {
            let last = (first + CREATE_MAX).min(products);
            let product = |number| {
                json!({"productId": product_id(run, number), "name": "A product of a benchmark",
                    "available": INITIAL_STOCK, "price": 9.99})
            };
            let list: Vec<_> = (first..last).map(product).collect();
            let body = json!({"products": list}).to_string();
            let path = "/v1/admin/products/create";
            let request = self.agent.post(format!("{}{path}", self.base));
            let request = request
                .header("X-API-Key", &self.admin_key)
                .content_type("application/json");
            let answer = request
                .send(body)
                .map_err(|error| format!("{path}: {error}"))?;
            let text = successful(path, answer)?;
            let answer: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
            let created = answer["summary"]["successfulCreations"].as_u64();
            if created != Some((last - first) as u64) {
                return Err(format!(
                    "{path}: not all products were created: {}",
                    answer["summary"]
                ));
            }
            tell(last);
        }
        Ok(())
    }

    /// The offset that comes next.
    pub fn next_offset(&self) -> Result<u64, String> {
        // Beyond the end is 410, and says where the end is.
        let path = "/v1/inventory/events?offset=9007199254740991&limit=1";
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("X-API-Key", &self.key);
        let mut answer = request.call().map_err(|error| format!("{path}: {error}"))?;
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| format!("{path}: {error}"))?;
        let problem: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        problem["nextOffset"]
            .as_u64()
            .ok_or_else(|| format!("{path}: {} without nextOffset", answer.status()))
    }

    /// Every product of `run`, by id.
    pub fn listing(&self, run: &str) -> Result<HashMap<String, Standing>, String> {
        let path = "/v1/inventory/snapshot";
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("X-API-Key", &self.key);
        let request = request.config().timeout_global(Some(10 * TIMEOUT)).build();
        let mut answer = request.call().map_err(|error| format!("{path}: {error}"))?;
        if answer.status() != 200 {
            return Err(format!("{path}: status {}", answer.status()));
        }
        let mut text = Vec::new();
        let body = answer.body_mut().with_config().limit(SNAPSHOT_BYTES_MAX);
        body.reader()
            .read_to_end(&mut text)
            .map_err(|error| format!("{path}: {error}"))?;
        let snapshot: Snapshot =
            sonic_rs::from_slice(&text).map_err(|error| format!("{path}: {error}"))?;
        let ours = snapshot
            .products
            .into_iter()
            .filter(|product| product.id.starts_with(run));
        Ok(ours
            .map(|product| {
                let standing = product.standing();
                (product.id, standing)
            })
            .collect())
    }

    /// A page of events from `offset` on, and where to go on.
    pub fn events(&self, offset: u64) -> Result<(Vec<Event>, u64), String> {
        let path = format!("/v1/inventory/events?offset={offset}&limit={PAGE_EVENTS}");
        let page: Page = self.get(&path)?;
        Ok((page.events, page.next_offset))
    }

    /// Sends an update once more that had no answer. Says whether it has taken effect, and at which version.
    pub fn repeat(
        &self,
        store: &str,
        product: &str,
        delta: i64,
        key: &str,
    ) -> Result<Option<u64>, String> {
        let path = "/v1/inventory/updates";
        let body = json!({"storeId": store, "productId": product, "delta": delta, "anyVersion": true,
            "idempotencyKey": key});
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request
            .header("X-API-Key", &self.key)
            .content_type("application/json");
        let mut answer = request
            .send(body.to_string())
            .map_err(|error| format!("{path}: {error}"))?;
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| format!("{path}: {error}"))?;
        let answer: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        Ok((answer["applied"] == true)
            .then(|| answer["newVersion"].as_u64())
            .flatten())
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("X-API-Key", &self.key);
        let answer = request.call().map_err(|error| format!("{path}: {error}"))?;
        let text = successful(path, answer)?;
        sonic_rs::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }
}

fn successful(path: &str, mut answer: Response<ureq::Body>) -> Result<String, String> {
    let body = answer.body_mut().with_config().limit(64 << 20);
    let text = body
        .read_to_string()
        .map_err(|error| format!("{path}: {error}"))?;
    match answer.status().as_u16() {
        200 => Ok(text),
        429 => Err(format!(
            "{path}: the server limits rates: start it with RATE_LIMIT_ENABLED=false to measure it"
        )),
        401 | 403 => Err(format!(
            "{path}: the key is not valid there: see --key and --admin-key"
        )),
        status => Err(format!("{path}: status {status}: {}", text.trim_end())),
    }
}

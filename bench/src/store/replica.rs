//! A copy of the catalogue, and how events keep it exact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{FeedError, Holding, Message};

/// A product as the server wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its version.
    pub version: u64,
    /// All of it.
    pub json: Box<str>,
}

/// Every product, as of an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    products: BTreeMap<String, Product>,
    next_offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    next_offset: u64,
    #[serde(borrow)]
    products: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identified {
    product_id: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
    next_offset: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    offset: u64,
    event_type: String,
    product_id: String,
    version: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Holding for Replica {
    fn from_snapshot(json: &[u8]) -> Result<Replica, FeedError> {
        let snapshot: Snapshot<'_> = read(json)?;
        let mut products = BTreeMap::new();
        for json in snapshot.products {
            let Identified {
                product_id,
                version,
            } = read(json.get().as_bytes())?;
            let json = json.get().into();
            products.insert(product_id, Product { version, json });
        }
        Ok(Replica {
            products,
            next_offset: snapshot.next_offset,
        })
    }

    fn next_offset(&self) -> u64 {
        self.next_offset
    }

    fn take_page(&mut self, json: &[u8]) -> Result<u64, FeedError> {
        let page: Page<'_> = read(json)?;
        for event in &page.events {
            self.apply(event)?;
        }
        FeedError::unless_next(self.next_offset, page.next_offset)?;
        Ok(page.events.len() as u64)
    }

    fn take_message(&mut self, message: &Message<'_>) -> Result<(), FeedError> {
        self.apply(&read(message.data.as_bytes())?)
    }
}

impl Replica {
    /// What [`Holding::from_snapshot`] reads.
    pub fn save(&self) -> Vec<u8> {
        let raw = |product: &Product| RawValue::from_string(product.json.to_string());
        let products: Result<Vec<_>, _> = self.products.values().map(raw).collect();
        let products = products.expect("each was read as JSON");
        let snapshot = Snapshot {
            next_offset: self.next_offset,
            products: products.iter().map(AsRef::as_ref).collect(),
        };
        serde_json::to_vec(&snapshot).expect("it can be written to memory")
    }

    /// The products, by id.
    pub fn products(&self) -> &BTreeMap<String, Product> {
        &self.products
    }

    /// An event not newer than what is held was in the snapshot already.
    fn apply(&mut self, event: &Event<'_>) -> Result<(), FeedError> {
        FeedError::unless_next(self.next_offset, event.offset)?;
        let held = self.products.get(&event.product_id);
        let held = held.map(|product| product.version);
        if let Some(held) = held.filter(|held| event.version > held + 1) {
            return Err(FeedError::VersionSkipped {
                product: event.product_id.clone(),
                held,
                found: event.version,
            });
        }
        self.next_offset += 1;
        if held.is_some_and(|held| event.version <= held) {
            return Ok(());
        }
        match event.event_type.as_str() {
            "product_deleted" => {
                self.products.remove(&event.product_id);
            }
            _ => {
                let product = Product {
                    version: event.version,
                    json: event.data.get().into(),
                };
                self.products.insert(event.product_id.clone(), product);
            }
        }
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, FeedError> {
    serde_json::from_slice(json).map_err(|error| FeedError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(id: &str, version: u64) -> String {
        format!(r#"{{"productId":"{id}","available":5,"version":{version}}}"#)
    }

    fn event(offset: u64, kind: &str, id: &str, version: u64) -> String {
        let data = product(id, version);
        format!(
            r#"{{"offset":{offset},"eventType":"{kind}","productId":"{id}","version":{version},"data":{data}}}"#
        )
    }

    fn page(events: &[String], next: u64) -> String {
        let events = events.join(",");
        format!(r#"{{"events":[{events}],"nextOffset":{next},"hasMore":false,"count":9}}"#)
    }

    fn replica() -> Replica {
        let products = [product("a", 3), product("b", 7)].join(",");
        let snapshot = format!(r#"{{"nextOffset":10,"products":[{products}],"count":2}}"#);
        Replica::from_snapshot(snapshot.as_bytes()).unwrap()
    }

    fn take(replica: &mut Replica, event: &str) -> Result<(), FeedError> {
        replica.take_message(&Message {
            data: event.into(),
            ..Message::default()
        })
    }

    fn versions(replica: &Replica) -> Vec<(&str, u64)> {
        let products = replica.products().iter();
        products
            .map(|(id, product)| (id.as_str(), product.version))
            .collect()
    }

    #[test]
    fn events_newer_than_the_snapshot_are_applied_and_others_are_not() {
        let mut replica = replica();
        let events = [
            event(10, "inventory_updated", "a", 2),
            event(11, "product_deleted", "a", 3),
            event(12, "inventory_updated", "a", 4),
            event(13, "product_deleted", "b", 8),
            event(14, "product_created", "c", 1),
        ];
        let page = page(&events, 15);
        assert_eq!(Ok(5), replica.take_page(page.as_bytes()));
        assert_eq!(vec![("a", 4), ("c", 1)], versions(&replica));
        assert_eq!(15, replica.next_offset());
        assert_eq!(product("a", 4), replica.products()["a"].json.as_ref());
    }

    #[test]
    fn nothing_is_skipped_in_silence() {
        let mut replica = replica();
        let ahead = event(11, "inventory_updated", "a", 4);
        let skipped = FeedError::OffsetSkipped {
            expected: 10,
            found: 11,
        };
        assert_eq!(Err(skipped), take(&mut replica, &ahead));
        let newer = event(10, "inventory_updated", "a", 5);
        let skipped = FeedError::VersionSkipped {
            product: "a".to_owned(),
            held: 3,
            found: 5,
        };
        assert_eq!(Err(skipped), take(&mut replica, &newer));
        let skipped = FeedError::OffsetSkipped {
            expected: 10,
            found: 12,
        };
        assert_eq!(Err(skipped), replica.take_page(page(&[], 12).as_bytes()));
        assert!(replica.take_page(b"{}").is_err());
        assert_eq!(10, replica.next_offset());
    }

    #[test]
    fn a_copy_that_was_saved_goes_on_where_it_was() {
        let mut replica = replica();
        let created = event(10, "product_created", "c", 1);
        take(&mut replica, &created).unwrap();
        assert_eq!(Ok(replica.clone()), Replica::from_snapshot(&replica.save()));
    }
}

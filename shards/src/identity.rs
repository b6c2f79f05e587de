//! The identity of an operation: who, on what, under which key.

/// (`storeId`, `productId`, `idempotencyKey`) in one allocation. It travels with the update from the edge and, if
/// the update is applied, moves into the idempotency memory as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    text: Box<str>,
    store_len: u8,
    product_len: u8,
}

impl Identity {
    /// The longest store or product id, in bytes, that an identity can hold.
    pub const ID_LEN_MAX: usize = u8::MAX as usize;

    /// Joins the three parts.
    ///
    /// # Panics
    /// If a store or product id is longer than [`Identity::ID_LEN_MAX`] bytes: the edge refuses those.
    pub fn new(store_id: &str, product_id: &str, key: &str) -> Identity {
        let store_len = u8::try_from(store_id.len()).expect("the edge bounds storeId");
        let product_len = u8::try_from(product_id.len()).expect("the edge bounds productId");
        let mut text = String::with_capacity(store_id.len() + product_id.len() + key.len());
        text.push_str(store_id);
        text.push_str(product_id);
        text.push_str(key);
        Identity {
            text: text.into_boxed_str(),
            store_len,
            product_len,
        }
    }

    /// `storeId`
    pub fn store_id(&self) -> &str {
        &self.text[..self.store_len as usize]
    }

    /// `productId`
    pub fn product_id(&self) -> &str {
        &self.text[self.store_len as usize..][..self.product_len as usize]
    }

    /// `idempotencyKey`
    pub fn key(&self) -> &str {
        &self.text[self.store_len as usize + self.product_len as usize..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back_and_do_not_run_into_each_other() {
        let identity = Identity::new("störe", "PROD-001", "key");
        assert_eq!(
            ("störe", "PROD-001", "key"),
            (identity.store_id(), identity.product_id(), identity.key())
        );
        assert_ne!(Identity::new("ab", "c", "d"), Identity::new("a", "bc", "d"));
        assert_ne!(Identity::new("a", "bc", "d"), Identity::new("a", "b", "cd"));
    }
}

//! The identity of an operation: who, on what, under which key.

/// (`storeId`, `productId`, `idempotencyKey`) in one allocation, which travels with the update from the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The same, borrowed.
    pub(crate) fn view(&self) -> IdentityRef<'_> {
        IdentityRef::of_parts(&self.text, self.store_len, self.product_len)
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

/// An [`Identity`], wherever its text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IdentityRef<'a> {
    text: &'a str,
    store_len: u8,
    product_len: u8,
}

impl<'a> IdentityRef<'a> {
    /// What [`IdentityRef::parts`] gave.
    pub fn of_parts(text: &'a str, store_len: u8, product_len: u8) -> IdentityRef<'a> {
        IdentityRef {
            text,
            store_len,
            product_len,
        }
    }

    /// All of the text, and how much of it is the store's id, and the product's.
    pub fn parts(self) -> (&'a str, u8, u8) {
        (self.text, self.store_len, self.product_len)
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

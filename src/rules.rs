//! The rules of values that come from outside, and what each says when it is broken. Used at the edge for requests
//! and at start for a catalogue.

use shards::QUANTITY_MAX;

/// The longest `productId` and `storeId`, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// The longest `idempotencyKey`, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// The longest `name`, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest `price`, in bytes: far more digits than any currency has.
pub const PRICE_BYTES_MAX: usize = 64;
/// Ids that would hide behind a path of the API.
pub const RESERVED_IDS: [&str; 3] = ["updates", "events", "snapshot"];

const _: () = assert!(ID_BYTES_MAX <= shards::Identity::ID_LEN_MAX);

/// What is wrong with a value: a sentence without subject, as it stands in a problem's `issue`.
pub type Rule = Result<(), &'static str>;

/// `productId`
pub fn product_id(id: &str) -> Rule {
    store_id(id)?;
    if id.contains('/') {
        return Err("must not contain '/'");
    }
    if RESERVED_IDS.contains(&id) {
        return Err("must not be one of the reserved words updates, events, snapshot");
    }
    Ok(())
}

/// `storeId`
pub fn store_id(id: &str) -> Rule {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err("must be 1 to 128 bytes");
    }
    if id.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(())
}

/// `idempotencyKey`
pub fn idempotency_key(key: &str) -> Rule {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err("must be 1 to 255 bytes");
    }
    Ok(())
}

/// `name`
pub fn name(name: &str) -> Rule {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err("must be 1 to 256 bytes");
    }
    Ok(())
}

/// `available` and `version`
pub fn quantity(value: i64) -> Rule {
    if u64::try_from(value).map_or(true, |value| value > QUANTITY_MAX) {
        return Err("must be an integer from 0 to 9007199254740991");
    }
    Ok(())
}

/// `delta`
pub fn delta(delta: i64) -> Rule {
    if delta == 0 || delta.unsigned_abs() > QUANTITY_MAX {
        return Err("must be a non-zero integer from -9007199254740991 to 9007199254740991");
    }
    Ok(())
}

/// `price`, as the text of a JSON number.
pub fn price(digits: &str) -> Rule {
    if digits.len() > PRICE_BYTES_MAX {
        return Err("must have at most 64 characters");
    }
    match digits.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(()),
        Ok(_) => Err("must be >= 0, and not too large for a double"),
        Err(_) => Err("must be a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_printable_and_not_a_path_of_the_api() {
        let check =
            |id: &str, expected: bool| assert_eq!(expected, product_id(id).is_ok(), "{id:?}");
        check("PROD-001", true);
        check("größe 42 ✓", true);
        check(&"x".repeat(128), true);
        check(&"x".repeat(129), false);
        check("", false);
        check("a/b", false);
        check("a\nb", false);
        check("a\u{85}b", false);
        check("events", false);
    }

    #[test]
    fn prices_are_numbers_from_zero_up() {
        let check =
            |digits: &str, expected: bool| assert_eq!(expected, price(digits).is_ok(), "{digits}");
        check("0", true);
        check("99.990", true);
        check("1e2", true);
        check("-0.01", false);
        check("1e999", false);
        check(&"9".repeat(65), false);
    }

    #[test]
    fn deltas_are_neither_zero_nor_beyond_what_json_reads_exactly() {
        assert!(delta(0).is_err());
        assert!(delta(-9_007_199_254_740_991).is_ok());
        assert!(delta(9_007_199_254_740_992).is_err());
        assert!(delta(i64::MIN).is_err());
        assert!(quantity(9_007_199_254_740_992).is_err());
    }
}

//! The guard before the JSON parser, which recurses without a bound: whatever the guard lets pass, JSON or not, the
//! parser descends no deeper into it; and the guard refuses no JSON that is flat enough.

#![no_main]

use central_inventory::encoding::{DEPTH_MAX, nests_deeper_than};
use central_inventory::fuzzing;
use central_inventory_fuzz::{depth, is_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if nests_deeper_than(text, DEPTH_MAX) {
        let refused = fuzzing::updates(text).expect_err("it is refused unread");
        assert_eq!("invalid_json", refused.code);
        assert!(refused.detail.contains("nests deeper"), "{refused:?}");
        let (depth, is_whole) = depth(serde_json::Deserializer::from_slice, text);
        assert!(depth > DEPTH_MAX || !is_whole || !is_json(text));
    } else {
        assert!(depth(sonic_rs::Deserializer::from_slice, text).0 <= DEPTH_MAX);
    }
});

//! Parses a wrapped site key from any text. A parsed one is written and parses again to the same,
//! and none of these secrets unwraps it.

use countersign_crypto::site_key_slots::WrappedSiteKey;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    if let Ok(wrapped) = serde_json::from_str::<WrappedSiteKey>(text) {
        let written = serde_json::to_string(&wrapped).unwrap();
        let again: WrappedSiteKey = serde_json::from_str(&written).unwrap();
        assert!(again == wrapped);
        assert!(wrapped.slots().count() <= 16);
    }
}

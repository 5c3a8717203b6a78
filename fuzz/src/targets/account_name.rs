//! Parses an account name from any text. A parsed name is written and parses again to the same
//! name.

use countersign_proto::name::{AccountName, Zone};

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    if let Ok(name) = text.parse::<AccountName>() {
        let written = name.to_string();
        assert!(written.len() <= AccountName::MAX_LENGTH);
        assert_eq!(written.parse(), Ok(name));
    }
    if let Ok(zone) = text.parse::<Zone>() {
        assert_eq!(zone.as_str().parse(), Ok(zone.clone()));
        if let Ok(name) = "maria".parse::<AccountName>() {
            assert_eq!(name.with_default_zone(&zone).zone(), Some(&zone));
        }
    }
}

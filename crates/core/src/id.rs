//! Ids: UUIDs of version 7 (RFC 9562, section 5.7), so that what was made later sorts later and is
//! stored next to what was made just before.

use std::fmt;
use std::str::FromStr;

use countersign_crypto::entropy::{Entropy, fresh};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// The text is no UUID.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{text}` is not an id; an id looks like 019523d0-5c00-7000-8000-000000000000")]
pub struct IdError {
    text: String,
}

macro_rules! id {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id that says when it was made.
            #[must_use]
            pub fn new(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
                let milliseconds = u64::try_from(now.millis()).unwrap_or(0);
                let random = fresh::<10>(entropy);
                Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
            }

            /// The id of these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes; they sort as ids do.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError { text: text.to_owned() })
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    };
}

id! {
    /// Names an account for as long as the site's memory lasts, through every change of its name.
    AccountId
}

id! {
    /// Names one session.
    SessionId
}

id! {
    /// Names one alarm.
    AlarmId
}

id! {
    /// Names one delivery of an alarm.
    DeliveryId
}

id! {
    /// Names one registration of an application: another one of the same id, made after it was deleted, has
    /// another.
    InstanceId
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_crypto::entropy::SystemEntropy;

    #[test]
    fn what_was_made_later_sorts_later() {
        let early = AccountId::new(Timestamp::from_millis(1000), &mut SystemEntropy);
        let late = AccountId::new(Timestamp::from_millis(1001), &mut SystemEntropy);
        assert!(early < late);
        assert!(early.as_bytes() < late.as_bytes());
        assert_eq!(early.to_string().parse::<AccountId>().unwrap(), early);
    }
}

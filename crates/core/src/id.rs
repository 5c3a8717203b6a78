//! Ids: UUIDs of version 7 (RFC 9562, section 5.7). They sort by creation time, so that records
//! created one after the other are stored next to each other.

use std::fmt;
use std::str::FromStr;

use countersign_crypto::entropy::{Entropy, fresh};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// The text is not a UUID.
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
            /// Makes a new id, which contains its creation time.
            #[must_use]
            pub fn new(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
                let milliseconds = u64::try_from(now.millis()).unwrap_or(0);
                let random = fresh::<10>(entropy);
                Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
            }

            /// Makes the id with these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the 16 bytes. They sort like ids.
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
    /// Identifies an account. It stays the same when the account is renamed.
    AccountId
}

id! {
    /// Identifies a session.
    SessionId
}

id! {
    /// Identifies one alarm.
    AlarmId
}

id! {
    /// Identifies one delivery of an alarm.
    DeliveryId
}

id! {
    /// Identifies one registration of an application. An application that is deleted and registered
    /// again under the same application id has a new instance id.
    InstanceId
}

id! {
    /// Names one enrolment ticket.
    TicketId
}

id! {
    /// Identifies an access token. The token itself does not contain it.
    AccessTokenId
}

id! {
    /// Names one device, through every change of its name. An id is never used again.
    DeviceId
}

id! {
    /// Identifies one message between people of two sites. The sender's site chooses it.
    MessageId
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_crypto::entropy::SystemEntropy;

    #[test]
    fn an_id_that_was_made_later_sorts_later() {
        let early = AccountId::new(Timestamp::from_millis(1000), &mut SystemEntropy);
        let late = AccountId::new(Timestamp::from_millis(1001), &mut SystemEntropy);
        assert!(early < late);
        assert!(early.as_bytes() < late.as_bytes());
        assert_eq!(early.to_string().parse::<AccountId>().unwrap(), early);
    }
}

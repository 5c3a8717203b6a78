//! Devices: a person's phones and laptops, each with a key of its own.

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::device::DeviceName;

use crate::id::{AccountId, DeviceId};
use crate::timestamp::Timestamp;

/// The most devices that one account may have.
pub const DEVICES_PER_ACCOUNT: usize = 32;
/// The time between two changes of a device's `last_seen`, in milliseconds: 1 minute. A connection
/// writes its audit entries in any case.
pub const SEEN_EVERY: u64 = 60_000;

/// A device as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Never changes and is never used again.
    pub id: DeviceId,
    /// The account of its person.
    pub account: AccountId,
    /// Its name, which its person chose.
    pub name: DeviceName,
    /// Its public key: SubjectPublicKeyInfo (RFC 5280, section 4.1) in DER.
    pub spki: Vec<u8>,
    /// SHA-256 of `spki`; unique in the site.
    pub thumbprint: Thumbprint,
    /// When it was enrolled.
    pub created: Timestamp,
    /// When a connection of it was opened or closed last, to a minute; `None` before the first.
    pub last_seen: Option<Timestamp>,
    /// 1 at first, one more with each change of the name.
    pub revision: u64,
}

impl Device {
    /// Whether `last_seen` is to be changed for a connection at `now`: it is older than
    /// [`SEEN_EVERY`], or later than `now` because the clock was set back.
    #[must_use]
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        self.last_seen
            .is_none_or(|seen| now >= seen.plus_millis(SEEN_EVERY) || now < seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_seen_once_a_minute() {
        let at = Timestamp::from_millis;
        let mut device = Device {
            id: DeviceId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            name: "phone".parse().unwrap(),
            spki: vec![3; 44],
            thumbprint: Thumbprint([4; 32]),
            created: at(0),
            last_seen: None,
            revision: 1,
        };
        assert!(device.is_seen_anew(at(0)));
        device.last_seen = Some(at(1_000));
        assert!(!device.is_seen_anew(at(60_999)));
        assert!(device.is_seen_anew(at(61_000)));
        assert!(device.is_seen_anew(at(999)), "the clock was set back");
    }
}

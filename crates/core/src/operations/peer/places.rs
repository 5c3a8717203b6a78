//! The places of messages in an inbox, as their readers see them.
//!
//! The store numbers the messages of all persons together. A number would tell a reader how many messages
//! all others received between two of the reader's own. So a place is the number, authenticated and
//! encrypted under a key of the account, as in SIV mode: the same for each reading, and of no use to
//! compare with others.

use countersign_crypto::mac::MacKey;
use data_encoding::BASE64URL_NOPAD;

use crate::id::AccountId;
use crate::site_key::RootSecret;

/// The length of the code that precedes the encrypted number, in bytes.
const CODE: usize = 32;

/// The places in the inbox of one account.
pub(super) struct Places(MacKey);

impl Places {
    pub(super) fn of(account: AccountId, root: &RootSecret) -> Self {
        Self(root.mac_key(&format!("places in the inbox of {account}")))
    }

    /// Returns the place of the message with this number.
    pub(super) fn seal(&self, number: u64) -> String {
        let mut place = self.0.authenticate(&of_number(number));
        let hidden = number ^ self.pad(&place);
        place.extend(hidden.to_be_bytes());
        BASE64URL_NOPAD.encode(&place)
    }

    /// Returns the number of the message at a place; `None` for what is no place in this inbox.
    pub(super) fn open(&self, place: &str) -> Option<u64> {
        let bytes = BASE64URL_NOPAD.decode(place.as_bytes()).ok()?;
        let (code, hidden) = bytes.split_at_checked(CODE)?;
        let number = u64::from_be_bytes(hidden.try_into().ok()?) ^ self.pad(code);
        self.0.verify(&of_number(number), code).ok()?;
        Some(number)
    }

    fn pad(&self, code: &[u8]) -> u64 {
        let pad = self.0.authenticate(&[&b"pad "[..], code].concat());
        let first = pad.first_chunk().copied();
        u64::from_be_bytes(first.unwrap_or_default())
    }
}

fn of_number(number: u64) -> Vec<u8> {
    [&b"number "[..], &number.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;

    use super::*;

    /// The places of two messages told how many messages all others received between them.
    #[test]
    fn places_tell_nothing_about_the_messages_of_others() {
        let root = RootSecret::new(Secret::from_bytes([7; 32]));
        let of = |byte| Places::of(AccountId::from_bytes([byte; 16]), &root);
        let (own, other) = (of(1), of(2));
        for number in [0, 1, 2, u64::MAX] {
            let place = own.seal(number);
            assert_eq!(own.seal(number), place, "the same for each reading");
            assert_eq!(own.open(&place), Some(number));
            assert_eq!(other.open(&place), None);
            let bytes = BASE64URL_NOPAD.decode(place.as_bytes()).unwrap();
            for at in 0..bytes.len() {
                // A place that is changed must not be compared with those of own messages.
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert_eq!(own.open(&BASE64URL_NOPAD.encode(&changed)), None);
            }
        }
        for no_place in ["", "2", "AAAA", &own.seal(3)[1..]] {
            assert_eq!(own.open(no_place), None, "{no_place}");
        }
    }
}

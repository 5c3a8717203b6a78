//! Which statements that a site signed with its keys count after the keys were replaced.

use countersign_crypto::site_key::SitePublicKey;

use super::{KeyEvent, SignedKeyEvent};

/// The difference between the clocks of a site and of a verifier that costs no honest statement, in
/// milliseconds: an hour.
pub const MAX_CLOCK_DIFFERENCE: i64 = 3_600_000;

impl KeyEvent {
    /// The last time, in milliseconds since 1970 UTC, at which a verifier may have received a statement
    /// by the key that this event replaced, by the verifier's own clock, so that the statement counts:
    /// the time of the theft that the event declares, or else [`MAX_CLOCK_DIFFERENCE`] after the event.
    #[must_use]
    pub fn previous_counts_until(&self) -> i64 {
        let replaced = self.time.saturating_add(MAX_CLOCK_DIFFERENCE);
        self.compromised_since.unwrap_or(replaced)
    }
}

/// Returns whether a statement that `key` signed counts, if the verifier received it at `received`,
/// in milliseconds since 1970 UTC by the verifier's own clock. A time within the statement proves
/// nothing: a thief of the key chooses it.
///
/// `events` are all key events of the site, which were verified. The current key's statements
/// count. Those of a replaced key count if they were received before it was replaced, with
/// [`MAX_CLOCK_DIFFERENCE`] for the two clocks; if the site declared the key stolen, they count up
/// to the time of the theft that it gave. Statements of any other key do not count.
#[must_use]
pub fn statement_counts(events: &[SignedKeyEvent], key: &SitePublicKey, received: i64) -> bool {
    let mut from = events
        .iter()
        .map(SignedKeyEvent::event)
        .skip_while(|event| event.keys != *key);
    if from.next().is_none() {
        return false;
    }
    from.next()
        .is_none_or(|next| received <= next.previous_counts_until())
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;
    use countersign_crypto::site_key::{SiteKey, SiteSeed};

    use super::*;

    fn key(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
    }

    // SES-86
    #[test]
    fn what_a_stolen_key_signed_after_the_theft_is_void() {
        const HOUR: i64 = MAX_CLOCK_DIFFERENCE;
        let first = SignedKeyEvent::first(&key(1), &key(2).public(), 1_000);
        let second = first.replaced_by(&key(1), &key(2), &key(3).public(), 2_000, Some(1_500));
        let third = second.replaced_by(&key(2), &key(3), &key(4).public(), 3_000, None);
        let events = [first, second, third];
        for (by, received, counts) in [
            (1, 0, true),
            (1, 1_500, true),
            (1, 1_501, false),
            (1, 2_000, false),
            (2, 2_000, true),
            (2, 3_000 + HOUR, true),
            (2, 3_001 + HOUR, false),
            (3, 0, true),
            (3, i64::MAX, true),
            (4, 3_000, false),
        ] {
            let counted = statement_counts(&events, &key(by).public(), received);
            assert_eq!(counted, counts, "key {by}, {received}");
        }
        // A verifier that does not know of the theft yet still counts all of them.
        assert!(statement_counts(&events[..1], &key(1).public(), 1_501));
    }
}

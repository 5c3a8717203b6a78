//! What a client, device or peer knows of a site's key events, and how it follows them.

use countersign_crypto::site_key::SitePublicKey;
use serde::{Deserialize, Serialize};

use super::{KeyEvent, NextKeyDigest, SignedKeyEvent, SiteId};

/// Maximum number of key events of a site: a rotation every week for 19 years. It bounds what a
/// hostile site can make a client verify and store.
pub const MAX_KEY_EVENTS: usize = 1_000;

/// A site's id and the newest of its key events that the holder verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSite {
    id: SiteId,
    newest: SignedKeyEvent,
}

/// Why key events are refused. What is known stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyEventsError {
    /// There are more than [`MAX_KEY_EVENTS`], or one has a number that this limit excludes.
    #[error("the site sends more than {MAX_KEY_EVENTS} key events; ask its operator")]
    TooMany,
    /// An event is missing, or the events do not start where they should.
    #[error("key event {expected} of the site is missing; ask its operator for a new URI")]
    Gap {
        /// The number of the missing event.
        expected: u64,
    },
    /// The bytes are not a page of key events.
    #[error("the site sends key events of another form; update this program if the site is newer")]
    Malformed,
    /// The site does not know an event that it gave before.
    #[error(
        "the site's newest key event is {newest} and this program knows its event {known}: the site was restored from an old backup, or a thief of an old key poses as the site. Do not log in; tell the site's operator"
    )]
    Behind {
        /// The number of the newest event that is known.
        known: u64,
        /// The number of the site's newest event.
        newest: u64,
    },
    /// No event has the pinned key.
    #[error(
        "the site has no key event with the pinned key, so it is another site or an attacker between; ask its operator for its URI"
    )]
    UnknownPin,
    /// An event has a signature that does not verify.
    #[error("key event {number} of the site has a wrong signature; this can be an attack")]
    BadSignature {
        /// The number of the event.
        number: u64,
    },
    /// An event does not follow the known one, although it has the next number: another event was
    /// verified before it, its keys are not those to which that event committed, its time is before
    /// that of the event, or it declares the key of that event stolen at a time when this was not the
    /// site's key.
    #[error(
        "key event {number} of the site contradicts what is known of it: a thief of its key may have made it. Do not log in; tell the site's operator"
    )]
    Fork {
        /// The number of the event.
        number: u64,
    },
}

impl KnownSite {
    /// Verifies all events of a site, from event 0 on, at the first contact with it. One of them
    /// must have the pinned key, which authenticates the events before it and so the site's id.
    ///
    /// # Errors
    /// [`KeyEventsError`].
    pub fn first_contact(
        pinned: &SitePublicKey,
        events: &[SignedKeyEvent],
    ) -> Result<Self, KeyEventsError> {
        let known = Self::whole(events)?;
        let has_pin = events.iter().any(|event| event.event().keys == *pinned);
        has_pin.then_some(known).ok_or(KeyEventsError::UnknownPin)
    }

    /// Verifies all events of a site, from event 0 on, without a pinned key. For the site itself,
    /// which reads its own events from its database.
    ///
    /// # Errors
    /// [`KeyEventsError`].
    pub fn whole(events: &[SignedKeyEvent]) -> Result<Self, KeyEventsError> {
        // An event out of place would not be verified, and must not count for a pin.
        for (expected, event) in (0..).zip(events) {
            if event.event().number != expected {
                return Err(KeyEventsError::Gap { expected });
            }
        }
        let gap = KeyEventsError::Gap { expected: 0 };
        let (first, rest) = events.split_first().ok_or(gap)?;
        let id = first.event().site_id().ok_or(gap)?;
        if !first.is_signed_by_itself() || !first.is_signed_by_previous(None) {
            return Err(KeyEventsError::BadSignature { number: 0 });
        }
        Self { id, newest: *first }.advance(rest)
    }

    /// The site's id.
    #[must_use]
    pub fn id(&self) -> SiteId {
        self.id
    }

    /// The newest event that was verified.
    #[must_use]
    pub fn newest(&self) -> &SignedKeyEvent {
        &self.newest
    }

    /// Whether its newest event has a greater number than that of `other`.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.newest.event().number > other.newest.event().number
    }

    /// The site's keys by the newest verified event: what the site must authenticate with.
    #[must_use]
    pub fn keys(&self) -> &SitePublicKey {
        &self.newest.event().keys
    }

    /// Follows the events after the newest known one. Events up to it may be among them; the one
    /// with its number must be the same. Returns what is known afterwards.
    ///
    /// # Errors
    /// [`KeyEventsError`].
    pub fn advance(self, events: &[SignedKeyEvent]) -> Result<Self, KeyEventsError> {
        if events.len() > MAX_KEY_EVENTS {
            return Err(KeyEventsError::TooMany);
        }
        events.iter().try_fold(self, Self::follow)
    }

    /// Whether the first of these events that cannot be followed was made by a holder of the newest
    /// known key that can be: the key signed it as the previous one or as its own. Anyone can send
    /// events that contradict what is known; only these show that the key was stolen.
    #[must_use]
    pub fn is_contradicted_by_its_key(self, events: &[SignedKeyEvent]) -> bool {
        let mut newest = self;
        for signed in events.iter().take(MAX_KEY_EVENTS) {
            match newest.follow(signed) {
                Ok(next) => newest = next,
                Err(_) => {
                    let (known, event) = (newest.newest.event(), signed.event());
                    return signed.is_signed_by_previous(Some(known))
                        || event.keys == known.keys && signed.is_signed_by_itself();
                }
            }
        }
        false
    }

    fn follow(self, signed: &SignedKeyEvent) -> Result<Self, KeyEventsError> {
        let (known, event) = (self.newest.event(), signed.event());
        let number = event.number;
        if number < known.number {
            return Ok(self);
        }
        if number == known.number {
            let same = event.digest() == known.digest();
            return same.then_some(self).ok_or(KeyEventsError::Fork { number });
        }
        let expected = known.number.saturating_add(1);
        if number != expected {
            return Err(KeyEventsError::Gap { expected });
        }
        // A site that replaces its key without end would make each of its peers verify and store
        // without end.
        if number >= MAX_KEY_EVENTS as u64 {
            return Err(KeyEventsError::TooMany);
        }
        if !continues(known, event) {
            return Err(KeyEventsError::Fork { number });
        }
        if !signed.is_signed_by_itself() || !signed.is_signed_by_previous(Some(known)) {
            return Err(KeyEventsError::BadSignature { number });
        }
        Ok(Self {
            id: self.id,
            newest: *signed,
        })
    }
}

fn continues(known: &KeyEvent, event: &KeyEvent) -> bool {
    let was_current = |since: i64| (known.time..=event.time).contains(&since);
    // The time decides which statements of the replaced key count: an earlier one would make statements void
    // without a declared theft.
    event.time >= known.time
        && event.compromised_since.is_none_or(was_current)
        && event.previous == known.digest()
        && NextKeyDigest::of(&event.keys) == known.next
}

#[cfg(test)]
mod tests {
    use countersign_crypto::secret::Secret;
    use countersign_crypto::site_key::{SiteKey, SiteSeed};

    use super::*;

    fn key(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
    }

    /// The first events of a site whose keys are 1, 2, 3 and so on.
    fn events(count: u8) -> Vec<SignedKeyEvent> {
        let first = SignedKeyEvent::first(&key(1), &key(2).public(), 0);
        let mut events = vec![first];
        for byte in 2..=count {
            let last = events[events.len() - 1];
            let (next, time) = (key(byte + 1).public(), i64::from(byte));
            events.push(last.replaced_by(&key(byte - 1), &key(byte), &next, time, None));
        }
        events
    }

    fn known(count: u8) -> KnownSite {
        KnownSite::whole(&events(count)).unwrap()
    }

    #[test]
    fn the_site_id_survives_every_rotation() {
        let id = known(1).id();
        assert_eq!(known(4).id(), id);
        assert_eq!(*known(4).keys(), key(4).public());
    }

    #[test]
    fn a_client_that_slept_three_rotations_follows_them() {
        assert_eq!(known(1).advance(&events(4)[1..]), Ok(known(4)));
        assert_eq!(known(1).advance(&events(4)), Ok(known(4)));
        assert_eq!(known(4).advance(&events(2)), Ok(known(4)));
        let gap = KeyEventsError::Gap { expected: 1 };
        assert_eq!(known(1).advance(&events(4)[2..]), Err(gap));
    }

    #[test]
    fn the_first_contact_accepts_any_key_of_the_site_and_no_other() {
        for byte in 1..=3 {
            let pinned = key(byte).public();
            let known = KnownSite::first_contact(&pinned, &events(3));
            assert_eq!(known.map(|known| known.id()), Ok(self::known(1).id()));
        }
        let other = KnownSite::first_contact(&key(9).public(), &events(3));
        assert_eq!(other, Err(KeyEventsError::UnknownPin));
    }

    /// Events up to a known one are skipped when a client follows them. At the first contact, a
    /// skipped one with the pinned key made a site of the attacker pass for the pinned one.
    #[test]
    fn an_event_out_of_place_does_not_count_for_the_pin() {
        let pinned = key(9);
        let stray = SignedKeyEvent::first(&pinned, &key(10).public(), 0);
        let mut events = events(3);
        events.push(stray);
        let refused = KnownSite::first_contact(&pinned.public(), &events);
        assert_eq!(refused, Err(KeyEventsError::Gap { expected: 3 }));
    }

    /// A thief of the current key does not have the next key, so the keys of its event are not
    /// those to which the site committed.
    #[test]
    fn an_event_of_a_thief_of_the_current_key_is_refused() {
        let last = events(3)[2];
        let thief = last.replaced_by(&key(3), &key(66), &key(67).public(), 9, None);
        let fork = KeyEventsError::Fork { number: 3 };
        assert_eq!(known(3).advance(&[thief]), Err(fork));
        // With the public half of the next key the thief still cannot sign with it.
        let mut bytes = last
            .replaced_by(&key(3), &key(4), &key(67).public(), 9, None)
            .to_bytes();
        bytes[153] ^= 1;
        let forged = SignedKeyEvent::from_bytes(&bytes).unwrap();
        let bad = KeyEventsError::BadSignature { number: 3 };
        assert_eq!(known(3).advance(&[forged]), Err(bad));
    }

    /// Anyone can send a forged event, or change a signature of a right one. Both raised the alarm
    /// of a stolen key.
    #[test]
    fn only_a_holder_of_the_known_key_makes_a_contradiction_that_counts() {
        let last = events(3)[2];
        let forged =
            |signer: u8| last.replaced_by(&key(signer), &key(66), &key(67).public(), 9, None);
        let contradicts = |event| known(3).is_contradicted_by_its_key(&[event]);
        assert!(contradicts(forged(3)));
        assert!(!contradicts(forged(99)));
        assert!(known(1).is_contradicted_by_its_key(&[events(2)[1], events(3)[2], forged(3)]));
        assert!(!known(1).is_contradicted_by_its_key(&events(4)));
        let unrelated = SignedKeyEvent::first(&key(99), &key(98).public(), 0);
        assert!(!known(1).is_contradicted_by_its_key(&[unrelated]));
        // The thief of the first key makes another event 0.
        let other = SignedKeyEvent::first(&key(1), &key(98).public(), 0);
        assert!(known(1).is_contradicted_by_its_key(&[other]));
    }

    /// A site could declare its key stolen since any time, such as one before it had the key.
    // SES-82
    #[test]
    fn a_key_is_declared_stolen_for_a_time_when_it_was_current_or_the_event_is_refused() {
        let last = events(3)[2];
        for (stolen, is_followed) in [(2, false), (3, true), (9, true), (10, false)] {
            let next = key(5).public();
            let event = last.replaced_by(&key(3), &key(4), &next, 9, Some(stolen));
            let followed = known(3).advance(&[event]);
            let fork = KeyEventsError::Fork { number: 3 };
            assert_eq!(followed.is_ok(), is_followed, "{stolen}");
            assert!(is_followed || followed == Err(fork), "{stolen}");
        }
    }

    /// An event of 1970 made all heads void that peers had countersigned, without a declared theft.
    // SES-82
    #[test]
    fn an_event_that_is_dated_before_the_one_it_follows_is_refused() {
        let (known, last) = (known(2), events(2)[1]);
        let at = |time| last.replaced_by(&key(2), &key(3), &key(4).public(), time, None);
        let fork = Err(KeyEventsError::Fork { number: 2 });
        assert_eq!(known.advance(&[at(last.event().time - 1)]), fork);
        assert!(known.advance(&[at(last.event().time)]).is_ok());
    }

    #[test]
    fn an_event_without_the_signature_of_the_previous_key_is_refused() {
        let mut bytes = events(2)[1].to_bytes();
        bytes[153 + 64] ^= 1;
        let forged = SignedKeyEvent::from_bytes(&bytes).unwrap();
        let bad = KeyEventsError::BadSignature { number: 1 };
        assert_eq!(known(1).advance(&[forged]), Err(bad));
    }

    /// The holder of two consecutive keys can make another event with a known number. A client
    /// that has seen the site's own refuses it.
    #[test]
    fn another_event_with_a_known_number_is_a_fork() {
        let fork = events(1)[0].replaced_by(&key(1), &key(2), &key(99).public(), 2, None);
        let refused = KeyEventsError::Fork { number: 1 };
        assert_eq!(known(2).advance(&[fork]), Err(refused));
        let earlier = known(1).advance(&[fork]);
        assert!(earlier.is_ok(), "which a client that slept cannot know");
    }

    #[test]
    fn an_event_changed_anywhere_is_refused() {
        let honest = events(2)[1].to_bytes();
        for at in 0..honest.len() {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            let changed = SignedKeyEvent::from_bytes(&bytes);
            let followed = changed.map(|event| known(1).advance(&[event]));
            assert!(!matches!(followed, Ok(Ok(_))), "byte {at}");
        }
    }

    /// The limit applied to the events of one message, so that a site could make its peers follow any
    /// number of events, one after another.
    #[test]
    fn the_event_with_the_last_number_is_followed_and_the_one_after_it_is_refused() {
        let first = events(1)[0];
        let numbered = |signed: SignedKeyEvent, number: u64| {
            let mut bytes = signed.to_bytes();
            bytes[1..9].copy_from_slice(&number.to_be_bytes());
            SignedKeyEvent::from_bytes(&bytes).unwrap()
        };
        let last = MAX_KEY_EVENTS as u64 - 1;
        for (number, refused) in [
            (last - 1, KeyEventsError::Fork { number: last }),
            (last, KeyEventsError::TooMany),
        ] {
            let known = KnownSite {
                newest: numbered(first, number),
                ..known(1)
            };
            let next = numbered(first, number + 1);
            assert_eq!(known.advance(&[next]), Err(refused));
        }
    }

    #[test]
    fn more_events_than_the_limit_are_refused() {
        let many = vec![events(1)[0]; MAX_KEY_EVENTS + 1];
        assert_eq!(known(1).advance(&many), Err(KeyEventsError::TooMany));
        assert_eq!(known(1).advance(&many[1..]), Ok(known(1)));
    }
}

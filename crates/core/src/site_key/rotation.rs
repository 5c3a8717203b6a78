//! A new site key: the next key becomes the current one, and another next key is made.
//!
//! ```text
//! secrets ─ open ─▶ next key ─▶ current key, wrapped with the new slots; seals the root secret
//!            └───── wrap ─────▶ the key after it
//! event n+1 = signed by the next key and by the current one
//! ```

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_crypto::site_key_slots::{NewSlot, SlotKind, SlotSecret};
use countersign_proto::site_identity::{KeyEventsError, MAX_KEY_EVENTS};

use super::RootSecret;
use super::key_record::{KeyRecord, NewKeyError, wrap};
use crate::timestamp::Timestamp;

/// The parameters of a new site key.
pub(crate) struct Rotation<'a> {
    /// The next key, which `secrets` opened.
    pub(crate) next: SiteKey,
    /// The secrets that open the next key. They open the key after it too.
    pub(crate) secrets: &'a [SlotSecret<'a>],
    /// The slots of the new current key, besides the recovery codes among the secrets.
    pub(crate) slots: &'a [NewSlot<'a>],
    /// The replaced key was stolen: what it signed after this time is void.
    pub(crate) compromised_since: Option<Timestamp>,
}

/// What is stored and used after the rotation.
pub(crate) struct Rotated {
    pub(crate) record: KeyRecord,
    pub(crate) key: SiteKey,
}

/// Why there is no new site key. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RotationError {
    /// The time is in the future, or before the replaced key was current.
    #[error("the replaced key was current from {from} to {to}; give a time between")]
    NotCurrentThen {
        /// When the key became current.
        from: Timestamp,
        /// The time of the rotation.
        to: Timestamp,
    },
    /// Clients accept at most [`MAX_KEY_EVENTS`].
    #[error("the site has {MAX_KEY_EVENTS} key events, and clients accept no more")]
    TooManyEvents,
    /// A key cannot be wrapped.
    #[error(transparent)]
    Key(#[from] NewKeyError),
    /// The event would be refused: the given keys are not those of the record.
    #[error(transparent)]
    Event(#[from] KeyEventsError),
}

impl KeyRecord {
    /// Makes the next key current. `current` is the key that it replaces, which seals `root`.
    pub(crate) fn rotated(
        &self,
        current: &SiteKey,
        root: &RootSecret,
        rotation: Rotation<'_>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Rotated, RotationError> {
        if self.events.len() >= MAX_KEY_EVENTS {
            return Err(RotationError::TooManyEvents);
        }
        let newest = self.known.newest();
        let from = Timestamp::from_millis(newest.event().time);
        // A clock that was set back must not put the new event before the one that it follows.
        let to = now.max(from);
        let compromised_since = rotation.compromised_since;
        if compromised_since.is_some_and(|since| since < from || to < since) {
            return Err(RotationError::NotCurrentThen { from, to });
        }
        let key = rotation.next;
        let after = SiteKey::from_seed(SiteSeed::generate(entropy));
        let since = compromised_since.map(Timestamp::millis);
        let event = newest.replaced_by(current, &key, &after.public(), to.millis(), since);
        // Verifies what clients verify, before anything is stored.
        let known = self.known.advance(&[event])?;
        let kept = |secret: &&SlotSecret<'_>| secret.kind() == SlotKind::RecoveryCode;
        let codes = rotation.secrets.iter().filter(kept);
        let slots: Vec<NewSlot<'_>> = rotation
            .slots
            .iter()
            .copied()
            .chain(codes.map(|secret| NewSlot::from(*secret)))
            .collect();
        let next_slots: Vec<NewSlot<'_>> = rotation
            .secrets
            .iter()
            .map(|secret| NewSlot::from(*secret))
            .collect();
        let mut events = self.events.to_vec();
        events.push(event);
        let record = Self {
            current: wrap(&key, &slots, now, entropy)?,
            next: wrap(&after, &next_slots, now, entropy)?,
            events: Arc::from(events),
            known,
            sealed_root: root.sealed_under(&key, entropy),
        };
        Ok(Rotated { record, key })
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::site_key_slots::{RecoveryCode, SlotFile};

    use super::*;
    use crate::site_key::key_record::NewKey;

    const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

    struct Scene {
        file: SlotFile,
        code: RecoveryCode,
        new: NewKey,
    }

    fn scene() -> Scene {
        let entropy = &mut SystemEntropy;
        let (file, code) = (SlotFile::generate(entropy), RecoveryCode::generate(entropy));
        let (slots, next) = ([NewSlot::File(&file)], [NewSlot::RecoveryCode(&code)]);
        let new = KeyRecord::generate(&slots, &next, NOW, entropy).unwrap();
        Scene { file, code, new }
    }

    impl Scene {
        fn rotate(
            &self,
            next: SiteKey,
            compromised_since: Option<Timestamp>,
            now: Timestamp,
        ) -> Result<Rotated, RotationError> {
            let rotation = Rotation {
                next,
                secrets: &[SlotSecret::RecoveryCode(&self.code)],
                slots: &[NewSlot::File(&self.file)],
                compromised_since,
            };
            let (new, entropy) = (&self.new, &mut SystemEntropy);
            new.record
                .rotated(&new.key, &new.root, rotation, now, entropy)
        }

        fn next(&self) -> SiteKey {
            let code = SlotSecret::RecoveryCode(&self.code);
            self.new.record.next.open(code).unwrap()
        }
    }

    #[test]
    fn a_rotated_site_keeps_its_id_and_root_secret_and_is_followed_by_those_who_knew_it() {
        let scene = scene();
        let now = NOW.plus_seconds(1);
        let rotated = scene.rotate(scene.next(), None, now).unwrap();
        let (was, is) = (&scene.new.record, &rotated.record);
        assert_eq!(is.known.id(), was.known.id());
        assert_eq!(was.known.advance(&is.events), Ok(is.known));
        assert_eq!(is.current.public(), was.next.public());
        let opened = is.current.open(SlotSecret::File(&scene.file)).unwrap();
        let root = RootSecret::open_with(&opened, &is.sealed_root).unwrap();
        assert_eq!(root.derive::<32>("a"), scene.new.root.derive::<32>("a"));
        for wrapped in [&is.current, &is.next] {
            assert!(wrapped.open(SlotSecret::RecoveryCode(&scene.code)).is_ok());
        }
        let text = serde_json::to_vec(is).unwrap();
        let read: KeyRecord = serde_json::from_slice(&text).unwrap();
        assert_eq!(read.known, is.known);
    }

    /// A thief of the current key does not have the next one, to which the site committed.
    #[test]
    fn a_rotation_to_another_key_than_the_committed_one_is_refused() {
        let scene = scene();
        let other = SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy));
        let refused = scene.rotate(other, None, NOW).err();
        let fork = RotationError::Event(KeyEventsError::Fork { number: 1 });
        assert_eq!(refused, Some(fork));
    }

    #[test]
    fn a_key_is_declared_stolen_only_for_a_time_when_it_was_current() {
        let scene = scene();
        let now = NOW.plus_seconds(10);
        for since in [NOW, now] {
            let rotated = scene.rotate(scene.next(), Some(since), now).unwrap();
            let event = *rotated.record.known.newest().event();
            assert_eq!(event.compromised_since, Some(since.millis()));
        }
        let before = Timestamp::from_millis(NOW.millis() - 1);
        for since in [before, now.plus_millis(1)] {
            let refused = scene.rotate(scene.next(), Some(since), now).err();
            let range = RotationError::NotCurrentThen { from: NOW, to: now };
            assert_eq!(refused, Some(range));
        }
    }

    #[test]
    fn an_event_is_never_before_the_event_that_it_follows() {
        let scene = scene();
        let earlier = Timestamp::from_millis(0);
        let rotated = scene.rotate(scene.next(), None, earlier).unwrap();
        assert_eq!(rotated.record.known.newest().event().time, NOW.millis());
    }

    #[test]
    fn a_record_whose_parts_do_not_belong_together_is_damaged() {
        let (one, other) = (scene().new.record, scene().new.record);
        let swapped = [
            KeyRecord {
                current: other.current.clone(),
                ..one.clone()
            },
            KeyRecord {
                next: other.next.clone(),
                ..one.clone()
            },
            KeyRecord {
                events: other.events.clone(),
                ..one.clone()
            },
            KeyRecord {
                events: Arc::from(Vec::new()),
                ..one.clone()
            },
        ];
        for record in swapped {
            let text = serde_json::to_vec(&record).unwrap();
            assert!(serde_json::from_slice::<KeyRecord>(&text).is_err());
        }
        let text = serde_json::to_vec(&one).unwrap();
        assert!(serde_json::from_slice::<KeyRecord>(&text).is_ok());
    }
}

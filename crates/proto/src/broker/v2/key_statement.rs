//! The key statement: how a site publishes its id and its public keys, signed with the site key. The
//! site's URI pins one of the site's keys, and the key events lead from that to the present one.
//!
//! ```text
//! signature = Ed25519(site key, "countersign broker 2 site" 00 | lp(id) | keys (1,281 each))
//! lp(x)     = length of x in bytes (2, big-endian) | x
//! ```

use countersign_crypto::party::PartyPublic;
use countersign_crypto::sign::Signature;
use countersign_crypto::site_key::{SiteKey, SitePublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::limits;
use super::message::bytes;
use crate::site_identity::{KnownSite, MAX_KEY_EVENTS, SignedKeyEvent};

/// The maximum length of a key statement, in bytes of JSON: four keys and all key events.
pub const MAX_LENGTH: usize = 16_384 + MAX_KEY_EVENTS * 400;
/// The maximum number of keys that a site publishes at a time.
pub const MAX_KEYS: usize = 4;

/// A site's id, public keys and key events, with a signature by the site key over id and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStatement {
    /// The site's id.
    pub id: String,
    /// The site's public keys, newest first, in base64url.
    pub keys: Vec<String>,
    /// The site's key events, from event 0 on, in base64url.
    pub events: Vec<SignedKeyEvent>,
    /// The Ed25519 signature by the site key of the newest event, 64 bytes.
    #[serde(with = "bytes")]
    pub signature: Vec<u8>,
}

/// The contents of a key statement whose signature was verified.
#[derive(Debug, Clone)]
pub struct VerifiedKeyStatement {
    /// The site's id.
    pub id: String,
    /// The site's public keys, newest first.
    pub keys: Vec<PartyPublic>,
    /// The site id and the newest key event.
    pub site: KnownSite,
}

fn signed_text(id: &str, keys: &[PartyPublic]) -> Vec<u8> {
    let mut text = b"countersign broker 2 site\0".to_vec();
    // An id is at most 128 bytes.
    let length = u16::try_from(id.len()).unwrap_or(u16::MAX);
    text.extend_from_slice(&length.to_be_bytes());
    text.extend_from_slice(id.as_bytes());
    for key in keys {
        text.extend_from_slice(&key.to_bytes());
    }
    text
}

impl KeyStatement {
    /// Signs a key statement. The newest of the events has this site key.
    #[must_use]
    pub fn issue(
        id: &str,
        keys: &[PartyPublic],
        site: &SiteKey,
        events: &[SignedKeyEvent],
    ) -> Self {
        Self {
            id: id.to_owned(),
            keys: keys
                .iter()
                .map(|key| BASE64URL_NOPAD.encode(&key.to_bytes()))
                .collect(),
            events: events.to_vec(),
            signature: site.sign(&signed_text(id, keys)).0.to_vec(),
        }
    }

    /// Follows the key events from the pinned site key to the present one, and verifies the
    /// signature with that. Returns `None` if one of them does not verify, or if the id or the number
    /// of keys is out of range.
    #[must_use]
    pub fn verify(&self, site: &SitePublicKey) -> Option<VerifiedKeyStatement> {
        self.verified(|events| KnownSite::first_contact(site, events).ok())
    }

    /// Like [`Self::verify`], for an application that kept what it learned of the site. A key
    /// statement that lacks the newest known key event is refused: a thief of a key that was
    /// replaced leaves it out.
    #[must_use]
    pub fn verify_again(&self, known: &KnownSite) -> Option<VerifiedKeyStatement> {
        self.verified(|events| {
            let whole = KnownSite::whole(events).ok()?;
            let followed = known.advance(events).ok()?;
            (whole == followed).then_some(followed)
        })
    }

    fn verified(
        &self,
        follow: impl FnOnce(&[SignedKeyEvent]) -> Option<KnownSite>,
    ) -> Option<VerifiedKeyStatement> {
        let few = (1..=MAX_KEYS).contains(&self.keys.len());
        if !few || self.id.is_empty() || self.id.len() > limits::ID {
            return None;
        }
        let key = |text: &String| {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
            PartyPublic::from_bytes(&bytes).ok()
        };
        let keys: Vec<PartyPublic> = self.keys.iter().map(key).collect::<Option<_>>()?;
        let signature = Signature(self.signature.as_slice().try_into().ok()?);
        let text = signed_text(&self.id, &keys);
        let site = follow(&self.events)?;
        site.keys().signing.verify(&text, &signature).ok()?;
        Some(VerifiedKeyStatement {
            id: self.id.clone(),
            keys,
            site,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::identity::Identity;
    use countersign_crypto::party::PartyKey;
    use countersign_crypto::secret::Secret;
    use countersign_crypto::site_key::SiteSeed;

    use super::*;

    /// The thief of a replaced key answers for the site with the events up to that key. An
    /// application that knows only the key in its URI cannot tell.
    ///
    /// [BRK-14]
    #[test]
    fn a_key_statement_without_the_newest_known_event_is_refused() {
        let site = |byte| SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])));
        let party = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
        let keys = [party.public().clone()];
        let first = SignedKeyEvent::first(&site(1), &site(2).public(), 1_000);
        let second = first.replaced_by(&site(1), &site(2), &site(3).public(), 2_000, None);
        let third = second.replaced_by(&site(2), &site(3), &site(4).public(), 3_000, None);
        let issue =
            |key, events: &[_]| KeyStatement::issue("example.org", &keys, &site(key), events);
        let uri = site(1).public();
        let known = issue(1, &[first]).verify(&uri).unwrap().site;
        let known = issue(2, &[first, second])
            .verify_again(&known)
            .unwrap()
            .site;
        let cut = issue(1, &[first]);
        assert!(cut.verify(&uri).is_some());
        assert!(cut.verify_again(&known).is_none());
        let forked = first.replaced_by(&site(1), &site(8), &site(9).public(), 2_000, None);
        assert!(issue(8, &[first, forked]).verify_again(&known).is_none());
        let newest = issue(3, &[first, second, third])
            .verify_again(&known)
            .unwrap();
        assert_eq!(newest.site.keys(), &site(3).public());
    }

    /// [BRK-14]
    #[test]
    fn only_the_site_with_the_pinned_key_is_accepted() {
        let site = |byte| SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])));
        let party = || PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
        let keys = [party().public().clone(), party().public().clone()];
        // The site key was replaced once; the application pinned the first one.
        let first = SignedKeyEvent::first(&site(1), &site(2).public(), 1_000);
        let second = first.replaced_by(&site(1), &site(2), &site(3).public(), 2_000, None);
        let events = [first, second];
        let statement = KeyStatement::issue("example.org", &keys, &site(2), &events);
        let json = serde_json::to_string(&statement).unwrap();
        assert!(json.len() < MAX_LENGTH);
        let statement: KeyStatement = serde_json::from_str(&json).unwrap();
        let verified = statement.verify(&site(1).public()).unwrap();
        assert_eq!(
            (verified.id.as_str(), verified.keys.len()),
            ("example.org", 2)
        );
        assert_eq!(verified.site.keys(), &site(2).public());
        assert!(statement.verify(&site(2).public()).is_some());
        assert!(statement.verify(&site(3).public()).is_none());
        // The replaced key signs no statement any more.
        let replaced = KeyStatement::issue("example.org", &keys, &site(1), &events);
        assert!(replaced.verify(&site(1).public()).is_none());

        let changes: [fn(&mut KeyStatement); 8] = [
            |statement| statement.id.push('x'),
            |statement| statement.id.clear(),
            |statement| statement.keys.swap(0, 1),
            |statement| statement.keys.truncate(1),
            |statement| statement.keys.clear(),
            |statement| statement.signature[5] ^= 1,
            |statement| statement.events.truncate(1),
            |statement| statement.events.clear(),
        ];
        for change in changes {
            let mut changed = statement.clone();
            change(&mut changed);
            assert!(changed.verify(&site(1).public()).is_none(), "{changed:?}");
        }
    }
}

//! How a site tells applications its id and its public keys: signed with the site key, which its URI pins.
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

/// The longest introduction, in characters of JSON: a few keys.
pub const MAX_LENGTH: usize = 16_384;
/// The most keys of a site at a time.
const MOST_KEYS: usize = 4;

/// What a site says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduction {
    /// Its id.
    pub id: String,
    /// Its public keys, the newest first, in base64url.
    pub keys: Vec<String>,
    /// Of the site key.
    #[serde(with = "bytes")]
    pub signature: Vec<u8>,
}

/// What an introduction says once it is believed.
#[derive(Debug, Clone)]
pub struct Introduced {
    /// The site's id.
    pub id: String,
    /// Its public keys, the newest first.
    pub keys: Vec<PartyPublic>,
}

fn signed(id: &str, keys: &[PartyPublic]) -> Vec<u8> {
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

impl Introduction {
    /// What the site says.
    #[must_use]
    pub fn tell(id: &str, keys: &[PartyPublic], site: &SiteKey) -> Self {
        Self {
            id: id.to_owned(),
            keys: keys
                .iter()
                .map(|key| BASE64URL_NOPAD.encode(&key.to_bytes()))
                .collect(),
            signature: site.sign(&signed(id, keys)).0.to_vec(),
        }
    }

    /// Believes it if it is of the site with this key.
    #[must_use]
    pub fn believe(&self, site: &SitePublicKey) -> Option<Introduced> {
        let few = (1..=MOST_KEYS).contains(&self.keys.len());
        if !few || self.id.is_empty() || self.id.len() > limits::ID {
            return None;
        }
        let key = |text: &String| {
            let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
            PartyPublic::from_bytes(&bytes).ok()
        };
        let keys: Vec<PartyPublic> = self.keys.iter().map(key).collect::<Option<_>>()?;
        let signature = Signature(self.signature.as_slice().try_into().ok()?);
        let text = signed(&self.id, &keys);
        site.signing.verify(&text, &signature).ok()?;
        Some(Introduced {
            id: self.id.clone(),
            keys,
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

    /// [BRK-14]
    #[test]
    fn the_site_of_the_pinned_key_is_believed_and_nobody_else() {
        let site = |byte| SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])));
        let party = || PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
        let keys = [party().public().clone(), party().public().clone()];
        let told = Introduction::tell("example.org", &keys, &site(1));
        let json = serde_json::to_string(&told).unwrap();
        assert!(json.len() < MAX_LENGTH);
        let told: Introduction = serde_json::from_str(&json).unwrap();
        let believed = told.believe(&site(1).public()).unwrap();
        assert_eq!(
            (believed.id.as_str(), believed.keys.len()),
            ("example.org", 2)
        );
        assert!(told.believe(&site(2).public()).is_none());

        let changes: [fn(&mut Introduction); 6] = [
            |told| told.id.push('x'),
            |told| told.id.clear(),
            |told| told.keys.swap(0, 1),
            |told| told.keys.truncate(1),
            |told| told.keys.clear(),
            |told| told.signature[5] ^= 1,
        ];
        for change in changes {
            let mut changed = told.clone();
            change(&mut changed);
            assert!(changed.believe(&site(1).public()).is_none(), "{changed:?}");
        }
    }
}

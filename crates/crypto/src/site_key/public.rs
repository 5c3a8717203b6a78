//! The site's public key, which clients pin, and its text form.
//!
//! ```text
//! text = base64url, unpadded (RFC 4648, section 5), 91 characters, of
//!        01 | Ed25519 key (32) | X25519 key (32) | check (3)
//! check = the first 3 bytes of SHA-256 of the 65 bytes before it
//! ```

use std::{fmt, str::FromStr};

use data_encoding::{BASE64URL_NOPAD, DecodeKind};
use serde::{Deserialize, Serialize};

use crate::{agreement::AgreementPublic, hash::sha256, sign::VerifyingKey};

const VERSION: u8 = 1;
const KEYS: usize = 64;
const CHECK: usize = 3;
const WHOLE: usize = 1 + KEYS + CHECK;

/// The public half of a [`SiteKey`](super::SiteKey). A client that has it can authenticate the
/// site. Displayed as 91 characters with a checksum, so that a typing error is not reported as an
/// attack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SitePublicKey {
    /// Verifies the site's signatures.
    pub signing: VerifyingKey,
    /// For handshakes with the site.
    pub agreement: AgreementPublic,
}

impl SitePublicKey {
    /// Both keys, the signing key first; for transcripts and associated data.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; KEYS] {
        let mut bytes = [0; KEYS];
        let (signing, agreement) = bytes.split_at_mut(32);
        signing.copy_from_slice(&self.signing.0);
        agreement.copy_from_slice(&self.agreement.0);
        bytes
    }
}

impl fmt::Display for SitePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.to_bytes();
        let check = check(VERSION, &keys);
        let whole = [&[VERSION], keys.as_slice(), check.as_slice()].concat();
        f.write_str(&BASE64URL_NOPAD.encode(&whole))
    }
}

impl fmt::Debug for SitePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SitePublicKey({self})")
    }
}

impl FromStr for SitePublicKey {
    type Err = BadSitePublicKey;

    fn from_str(text: &str) -> Result<Self, BadSitePublicKey> {
        let expected = BASE64URL_NOPAD.encode_len(WHOLE);
        if text.len() != expected {
            return Err(BadSitePublicKey::Length {
                found: text.len(),
                expected,
            });
        }
        let whole = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|error| match error.kind {
                DecodeKind::Symbol => BadSitePublicKey::Characters,
                _ => BadSitePublicKey::TypingError,
            })?;
        let (version, keys, recorded) = split(&whole).ok_or(BadSitePublicKey::TypingError)?;
        if check(version, &keys) != recorded {
            return Err(BadSitePublicKey::TypingError);
        }
        if version != VERSION {
            return Err(BadSitePublicKey::Version { found: version });
        }
        let (signing, agreement) = halves(&keys);
        Ok(Self {
            signing: VerifyingKey(signing),
            agreement: AgreementPublic(agreement),
        })
    }
}

impl TryFrom<String> for SitePublicKey {
    type Error = BadSitePublicKey;

    fn try_from(text: String) -> Result<Self, BadSitePublicKey> {
        text.parse()
    }
}

impl From<SitePublicKey> for String {
    fn from(key: SitePublicKey) -> Self {
        key.to_string()
    }
}

/// Why a text is not a site key. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSitePublicKey {
    /// There are too few or too many characters.
    #[error("a site key has {expected} characters; this has {found}. Copy it completely")]
    Length {
        /// The number of characters.
        found: usize,
        /// The required number.
        expected: usize,
    },
    /// There are characters outside base64url.
    #[error("a site key consists only of letters, digits, - and _; copy it again")]
    Characters,
    /// The checksum does not match.
    #[error("the site key has a typing error: its checksum does not match. Copy it again")]
    TypingError,
    /// The version is unknown; a newer program may support it.
    #[error("the site key has version {found}; this program supports version 1. Update it")]
    Version {
        /// The version of the key.
        found: u8,
    },
}

fn check(version: u8, keys: &[u8; KEYS]) -> [u8; CHECK] {
    let [a, b, c, ..] = sha256(&[&[version], keys.as_slice()].concat());
    [a, b, c]
}

fn split(whole: &[u8]) -> Option<(u8, [u8; KEYS], [u8; CHECK])> {
    let (version, rest) = whole.split_first()?;
    let (keys, check) = rest.split_first_chunk::<KEYS>()?;
    Some((*version, *keys, check.try_into().ok()?))
}

fn halves(keys: &[u8; KEYS]) -> ([u8; 32], [u8; 32]) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    let (a, b) = keys.split_at(32);
    first.copy_from_slice(a);
    second.copy_from_slice(b);
    (first, second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public() -> SitePublicKey {
        SitePublicKey {
            signing: VerifyingKey([1; 32]),
            agreement: AgreementPublic([2; 32]),
        }
    }

    fn parsed(text: &str) -> Result<SitePublicKey, BadSitePublicKey> {
        text.parse()
    }

    #[test]
    fn the_text_form_is_stable_and_is_read_back() {
        let text = public().to_string();
        assert_eq!(
            text,
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgKzMdo"
        );
        assert_eq!(parsed(&text), Ok(public()));
        let json = serde_json::to_string(&public()).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(
            serde_json::from_str::<SitePublicKey>(&json).unwrap(),
            public()
        );
    }

    #[test]
    fn the_bytes_are_both_keys() {
        assert_eq!(public().to_bytes(), *[[1; 32], [2; 32]].as_flattened());
    }

    #[test]
    fn the_error_tells_what_is_wrong_with_a_text() {
        let text = public().to_string();
        let length = |found| BadSitePublicKey::Length {
            found,
            expected: 91,
        };
        assert_eq!(parsed(&text[1..]), Err(length(90)));
        assert_eq!(parsed(&format!("{text}A")), Err(length(92)));
        assert_eq!(
            parsed(&text.replacen('A', "+", 1)),
            Err(BadSitePublicKey::Characters)
        );
        for (at, wrong) in [(8, "F"), (89, "A"), (90, "A"), (90, "p")] {
            let mut text = text.clone();
            text.replace_range(at..=at, wrong);
            assert_eq!(parsed(&text), Err(BadSitePublicKey::TypingError), "{text}");
        }
    }

    #[test]
    fn an_unknown_version_is_not_a_typing_error() {
        let keys = public().to_bytes();
        let whole = [&[2], keys.as_slice(), check(2, &keys).as_slice()].concat();
        assert_eq!(
            parsed(&BASE64URL_NOPAD.encode(&whole)),
            Err(BadSitePublicKey::Version { found: 2 })
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,120}|[A-Za-z0-9_-]{91}") {
            prop_assert!(parsed(&text).is_err());
        }

        #[test]
        fn every_key_reads_back(signing: [u8; 32], agreement: [u8; 32]) {
            let key = SitePublicKey {
                signing: VerifyingKey(signing),
                agreement: AgreementPublic(agreement),
            };
            prop_assert_eq!(parsed(&key.to_string()), Ok(key));
        }
    }
}

//! The keys of a party in the broker's dialog: an application, or the site. A party signs its
//! messages, and others seal messages that only it can open.
//!
//! ```text
//! seed ── identity (Ed25519, X25519)
//!      └─ "party sealing" ── X-Wing key
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::agreement::AgreementPublic;
use crate::entropy::Entropy;
use crate::hash::sha256;
use crate::identity::Identity;
use crate::kdf::derive;
use crate::pem;
use crate::sealing::hybrid::{HybridKey, HybridPublic};
use crate::sealing::{self, SealingError};
use crate::secret::SecretBytes;
use crate::sign::{Signature, VerifyingKey};

const SEALING_LABEL: &str = "party sealing";
const PEM_LABEL: &str = "COUNTERSIGN PARTY KEY";
const VERSION: u8 = 1;

/// The suite with which a message is sealed to a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealingSuite {
    /// `xwing-aes256gcm`, a post-quantum hybrid.
    XWing,
    /// `x25519-aes256gcm`.
    X25519,
}

impl SealingSuite {
    /// All suites, the preferred one first.
    pub const ALL: [Self; 2] = [Self::XWing, Self::X25519];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XWing => "xwing-aes256gcm",
            Self::X25519 => "x25519-aes256gcm",
        }
    }
}

/// The suite name is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the suites are xwing-aes256gcm and x25519-aes256gcm")]
pub struct UnknownSuite;

impl FromStr for SealingSuite {
    type Err = UnknownSuite;

    fn from_str(name: &str) -> Result<Self, UnknownSuite> {
        let known = Self::ALL.into_iter().find(|suite| suite.name() == name);
        known.ok_or(UnknownSuite)
    }
}

/// A party's private keys.
#[derive(Clone)]
pub struct PartyKey {
    identity: Arc<Identity>,
    hybrid: HybridKey,
    public: PartyPublic,
}

impl PartyKey {
    /// The party keys of an identity.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        let seed = identity.seed().0.expose();
        let hybrid = HybridKey::from_seed(derive(seed, SEALING_LABEL, &[]));
        let certificate = identity.certificate();
        let public = PartyPublic {
            signing: certificate.signing(),
            agreement: certificate.agreement(),
            hybrid: hybrid.public().clone(),
        };
        Self {
            identity,
            hybrid,
            public,
        }
    }

    /// The public keys.
    #[must_use]
    pub fn public(&self) -> &PartyPublic {
        &self.public
    }

    /// Signs `message`, which has to contain its purpose.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.identity.sign(message)
    }

    /// Opens a message that [`PartyPublic::seal`] sealed to this party with the same suite and
    /// `info`.
    ///
    /// # Errors
    /// [`SealingError`].
    pub fn open(
        &self,
        suite: SealingSuite,
        info: &[u8],
        sealed: &[u8],
    ) -> Result<SecretBytes, SealingError> {
        match suite {
            SealingSuite::XWing => self.hybrid.open(info, sealed),
            SealingSuite::X25519 => sealing::open(self.identity.agreement(), info, sealed),
        }
    }
}

impl fmt::Debug for PartyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyKey({:?})", self.public)
    }
}

/// A party's public keys.
#[derive(Clone, PartialEq, Eq)]
pub struct PartyPublic {
    /// Verifies its signatures.
    pub signing: VerifyingKey,
    /// For sealing with [`SealingSuite::X25519`].
    pub agreement: AgreementPublic,
    /// For sealing with [`SealingSuite::XWing`].
    pub hybrid: HybridPublic,
}

/// Why text or bytes are not a party's public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPartyPublic {
    /// The text is not PEM with this label.
    #[error(
        "this is not PEM with the label COUNTERSIGN PARTY KEY: `countersign key party` writes it"
    )]
    NotPem,
    /// The version is unknown.
    #[error("the public keys have an unknown version: update this program")]
    Version,
    /// The bytes have a wrong length or are not valid keys.
    #[error("these are not a party's public keys: copy them again")]
    Keys,
}

impl PartyPublic {
    /// `version (1) ‖ Ed25519 (32) ‖ X25519 (32) ‖ X-Wing (1,216)`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let hybrid = self.hybrid.as_bytes().as_slice();
        [&[VERSION][..], &self.signing.0, &self.agreement.0, hybrid].concat()
    }

    /// Parses the bytes of [`PartyPublic::to_bytes`].
    ///
    /// # Errors
    /// [`BadPartyPublic`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPartyPublic> {
        let (version, rest) = bytes.split_first().ok_or(BadPartyPublic::Keys)?;
        if *version != VERSION {
            return Err(BadPartyPublic::Version);
        }
        let (signing, rest) = rest.split_first_chunk().ok_or(BadPartyPublic::Keys)?;
        let (agreement, hybrid) = rest.split_first_chunk().ok_or(BadPartyPublic::Keys)?;
        Ok(Self {
            signing: VerifyingKey(*signing),
            agreement: AgreementPublic(*agreement),
            hybrid: HybridPublic::from_bytes(hybrid).map_err(|_| BadPartyPublic::Keys)?,
        })
    }

    /// The keys in PEM, for a file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // It cannot fail: the label is constant and valid.
        pem::encode(PEM_LABEL, &self.to_bytes()).unwrap_or_default()
    }

    /// Parses the output of [`PartyPublic::to_pem`].
    ///
    /// # Errors
    /// [`BadPartyPublic`].
    pub fn from_pem(pem: &str) -> Result<Self, BadPartyPublic> {
        let block = pem::find(pem, &[PEM_LABEL]).map_err(|_| BadPartyPublic::NotPem)?;
        if block.label != PEM_LABEL {
            return Err(BadPartyPublic::NotPem);
        }
        Self::from_bytes(&block.decode().map_err(|_| BadPartyPublic::NotPem)?)
    }

    /// Parses the keys of one or more parties in one text, in their order. Blocks with other labels
    /// are left out.
    ///
    /// # Errors
    /// [`BadPartyPublic`] if there are none, or one of them is invalid.
    pub fn all_from_pem(pem: &str) -> Result<Vec<Self>, BadPartyPublic> {
        let (begin, end) = (
            format!("-----BEGIN {PEM_LABEL}-----"),
            format!("-----END {PEM_LABEL}-----"),
        );
        let blocks = pem.split_inclusive(end.as_str());
        let blocks = blocks.filter_map(|text| text.rfind(&begin).and_then(|at| text.get(at..)));
        let keys: Vec<Self> = blocks.map(Self::from_pem).collect::<Result<_, _>>()?;
        match keys.is_empty() {
            true => Err(BadPartyPublic::NotPem),
            false => Ok(keys),
        }
    }

    /// SHA-256 of the keys, which identifies them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.to_bytes())
    }

    /// Seals a message so that only this party can open it, and only with the same `info`, which
    /// names its purpose.
    ///
    /// # Errors
    /// [`SealingError`] if the keys are invalid for sealing.
    pub fn seal(
        &self,
        suite: SealingSuite,
        info: &[u8],
        message: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, SealingError> {
        match suite {
            SealingSuite::XWing => self.hybrid.seal(info, message, entropy),
            SealingSuite::X25519 => sealing::seal(&self.agreement, info, message, entropy),
        }
    }
}

impl fmt::Debug for PartyPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = data_encoding::HEXLOWER.encode(&self.fingerprint());
        write!(f, "PartyPublic({fingerprint})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::identity::IdentitySeed;
    use crate::secret::Secret;

    fn party(byte: u8) -> PartyKey {
        let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
        PartyKey::new(Arc::new(Identity::from_seed(seed)))
    }

    #[test]
    fn a_sealed_message_opens_only_with_the_same_key_suite_and_info() {
        let (own, other) = (party(1), party(2));
        for suite in SealingSuite::ALL {
            let sealed = own
                .public()
                .seal(suite, b"use", b"message", &mut SystemEntropy)
                .unwrap();
            assert_eq!(
                own.open(suite, b"use", &sealed).unwrap().expose(),
                b"message"
            );
            assert!(other.open(suite, b"use", &sealed).is_err());
            assert!(own.open(suite, b"other", &sealed).is_err());
            for wrong in SealingSuite::ALL
                .into_iter()
                .filter(|other| *other != suite)
            {
                assert!(own.open(wrong, b"use", &sealed).is_err());
            }
            assert_eq!(suite.name().parse(), Ok(suite));
        }
    }

    #[test]
    fn public_keys_are_read_back_from_pem() {
        let public = party(1).public().clone();
        let pem = public.to_pem();
        assert!(pem.starts_with("-----BEGIN COUNTERSIGN PARTY KEY-----\n"));
        assert_eq!(PartyPublic::from_pem(&pem), Ok(public.clone()));
        let mut bytes = public.to_bytes();
        assert_eq!(
            PartyPublic::from_bytes(&bytes[1..]),
            Err(BadPartyPublic::Version)
        );
        bytes.push(0);
        assert_eq!(PartyPublic::from_bytes(&bytes), Err(BadPartyPublic::Keys));
        assert_eq!(PartyPublic::from_bytes(&[]), Err(BadPartyPublic::Keys));
        let other = pem.replace("PARTY", "OTHER");
        assert_eq!(PartyPublic::from_pem(&other), Err(BadPartyPublic::NotPem));
        assert_ne!(public.fingerprint(), party(2).public().fingerprint());
    }
}

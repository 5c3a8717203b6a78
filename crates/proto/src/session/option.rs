//! Encryption options: named bundles of login method, key exchange and record cipher. The admin
//! ranks them (`docs/protocol/session.md`, Encryption options).

use std::fmt;
use std::str::FromStr;

use countersign_crypto::hash::sha256;
use countersign_crypto::noise::RecordCipher;
use countersign_crypto::passphrase::LoginSuite;

/// An encryption option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EncryptionOption {
    /// X25519 with ML-KEM-768, AES-256-GCM: the default.
    HybridAes256Gcm,
    /// X25519 with ML-KEM-768, ChaCha20-Poly1305.
    HybridChaCha20Poly1305,
    /// X25519 alone, AES-256-GCM.
    X25519Aes256Gcm,
    /// X25519 alone, AES-128-GCM.
    X25519Aes128Gcm,
    /// X25519 alone, ChaCha20-Poly1305.
    X25519ChaCha20Poly1305,
    /// The original dialog: the account's encrypted key, and a session key sealed to it.
    /// AES-256-GCM.
    DeliveredKey,
}

/// The strength of an option, weakest first. An admin can set a minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// An attacker who knows a name can guess its pass phrase offline, and can decrypt a recording
    /// with a key that leaks later.
    Delivered,
    /// Secure against present computers. A future quantum computer may decrypt a recording.
    Classical,
    /// Secure against quantum computers too.
    Hybrid,
}

impl Strength {
    /// All strengths, weakest first.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Classical, Self::Hybrid];

    /// Its name in configuration, command line and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Classical => "classical",
            Self::Hybrid => "hybrid",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no strength with this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no strength {0:?}; they are {names}", names = Strength::ALL.map(Strength::name).join(", "))]
pub struct UnknownStrength(String);

impl FromStr for Strength {
    type Err = UnknownStrength;

    fn from_str(name: &str) -> Result<Self, UnknownStrength> {
        Self::ALL
            .into_iter()
            .find(|strength| strength.name() == name)
            .ok_or_else(|| UnknownStrength(name.to_owned()))
    }
}

impl EncryptionOption {
    /// The option's strength.
    #[must_use]
    pub fn strength(self) -> Strength {
        match self {
            Self::DeliveredKey => Strength::Delivered,
            _ if self.hybrid() => Strength::Hybrid,
            _ => Strength::Classical,
        }
    }

    /// All options of this version, strongest first.
    pub const ALL: [Self; 6] = [
        Self::HybridAes256Gcm,
        Self::HybridChaCha20Poly1305,
        Self::X25519Aes256Gcm,
        Self::X25519Aes128Gcm,
        Self::X25519ChaCha20Poly1305,
        Self::DeliveredKey,
    ];

    /// The options with forward secrecy and without offline guessing of pass phrases: all except
    /// the original dialog.
    pub const FORWARD_SECRET: [Self; 5] = [
        Self::HybridAes256Gcm,
        Self::HybridChaCha20Poly1305,
        Self::X25519Aes256Gcm,
        Self::X25519Aes128Gcm,
        Self::X25519ChaCha20Poly1305,
    ];

    /// The number of the option in the protocol.
    #[must_use]
    pub fn id(self) -> u16 {
        match self {
            Self::HybridAes256Gcm => 0x0001,
            Self::HybridChaCha20Poly1305 => 0x0002,
            Self::X25519Aes256Gcm => 0x0101,
            Self::X25519Aes128Gcm => 0x0102,
            Self::X25519ChaCha20Poly1305 => 0x0103,
            Self::DeliveredKey => 0x0201,
        }
    }

    /// Its name in configuration, command line and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HybridAes256Gcm => "hybrid-aes256gcm",
            Self::HybridChaCha20Poly1305 => "hybrid-chacha20poly1305",
            Self::X25519Aes256Gcm => "x25519-aes256gcm",
            Self::X25519Aes128Gcm => "x25519-aes128gcm",
            Self::X25519ChaCha20Poly1305 => "x25519-chacha20poly1305",
            Self::DeliveredKey => "delivered-key",
        }
    }

    fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|option| option.id() == id)
    }

    /// Whether a quantum computer cannot decrypt a recording.
    #[must_use]
    pub fn hybrid(self) -> bool {
        matches!(self, Self::HybridAes256Gcm | Self::HybridChaCha20Poly1305)
    }

    pub(crate) fn cipher(self) -> RecordCipher {
        match self {
            Self::HybridAes256Gcm | Self::X25519Aes256Gcm | Self::DeliveredKey => {
                RecordCipher::Aes256Gcm
            }
            Self::X25519Aes128Gcm => RecordCipher::Aes128Gcm,
            Self::HybridChaCha20Poly1305 | Self::X25519ChaCha20Poly1305 => {
                RecordCipher::ChaCha20Poly1305
            }
        }
    }

    pub(crate) fn login_suite(self) -> LoginSuite {
        if self.hybrid() {
            LoginSuite::Hybrid
        } else {
            LoginSuite::Classical
        }
    }
}

impl fmt::Display for EncryptionOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no encryption option with this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no encryption option {0:?}; the options are {names}", names = EncryptionOption::ALL.map(EncryptionOption::name).join(", "))]
pub struct UnknownOption(String);

impl FromStr for EncryptionOption {
    type Err = UnknownOption;

    fn from_str(name: &str) -> Result<Self, UnknownOption> {
        Self::ALL
            .into_iter()
            .find(|option| option.name() == name)
            .ok_or_else(|| UnknownOption(name.to_owned()))
    }
}

/// The id of an option list: the first 8 bytes of SHA-256 over the option numbers of OPTIONS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListId(pub [u8; 8]);

/// The options that a site enables, in the admin's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionList {
    ranked: Vec<EncryptionOption>,
    id: ListId,
}

impl OptionList {
    /// A list in this order. Repeated options are dropped.
    #[must_use]
    pub fn new(options: impl IntoIterator<Item = EncryptionOption>) -> Self {
        let mut ranked: Vec<EncryptionOption> = Vec::new();
        for option in options {
            if !ranked.contains(&option) {
                ranked.push(option);
            }
        }
        let id = list_id(&wire_ids(&ranked));
        Self { ranked, id }
    }

    /// The list's id.
    #[must_use]
    pub fn id(&self) -> ListId {
        self.id
    }

    /// The options, best first.
    #[must_use]
    pub fn ranked(&self) -> &[EncryptionOption] {
        &self.ranked
    }

    /// The value of OPTIONS: the list's id, then the options' numbers.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        [&self.id.0[..], &wire_ids(&self.ranked)].concat()
    }

    /// Parses the value of OPTIONS. Unknown options are ignored, but the id covers them.
    pub(crate) fn from_wire(value: &[u8]) -> Option<Self> {
        let (id, ids) = value.split_first_chunk::<8>()?;
        if ids.len() % 2 != 0 || list_id(ids).0 != *id {
            return None;
        }
        let known = ids
            .as_chunks::<2>()
            .0
            .iter()
            .filter_map(|id| EncryptionOption::from_id(u16::from_be_bytes(*id)));
        Some(Self {
            id: ListId(*id),
            ranked: known.collect(),
        })
    }
}

impl Default for OptionList {
    /// The default of a new site: the hybrid options.
    fn default() -> Self {
        Self::new([
            EncryptionOption::HybridAes256Gcm,
            EncryptionOption::HybridChaCha20Poly1305,
        ])
    }
}

fn wire_ids(options: &[EncryptionOption]) -> Vec<u8> {
    options
        .iter()
        .flat_map(|option| option.id().to_be_bytes())
        .collect()
}

fn list_id(ids: &[u8]) -> ListId {
    let digest = sha256(&[b"countersign/1 options\0", ids].concat());
    let mut id = [0; 8];
    id.copy_from_slice(digest.first_chunk::<8>().unwrap_or(&[0; 8]));
    ListId(id)
}

/// The value of OPTION-CHOICE: a list's id and an option of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) list: ListId,
    pub(crate) option: EncryptionOption,
}

impl Choice {
    pub(crate) fn to_wire(self) -> [u8; 10] {
        let mut wire = [0; 10];
        let (list, option) = wire.split_at_mut(8);
        list.copy_from_slice(&self.list.0);
        option.copy_from_slice(&self.option.id().to_be_bytes());
        wire
    }

    pub(crate) fn from_wire(value: &[u8]) -> Option<Self> {
        let (list, option) = value.split_first_chunk::<8>()?;
        let option = EncryptionOption::from_id(u16::from_be_bytes(option.try_into().ok()?))?;
        Some(Self {
            list: ListId(*list),
            option,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_id_depends_on_the_options_and_their_order() {
        use EncryptionOption::{HybridAes256Gcm as A, HybridChaCha20Poly1305 as B};
        assert_ne!(OptionList::new([A, B]).id(), OptionList::new([B, A]).id());
        assert_eq!(OptionList::new([A, B, A]), OptionList::default());
    }

    #[test]
    fn a_list_read_from_the_wire_is_the_list_that_was_sent() {
        let list = OptionList::new(EncryptionOption::ALL);
        assert_eq!(OptionList::from_wire(&list.wire()), Some(list));
    }

    #[test]
    fn a_list_with_a_wrong_id_is_rejected() {
        let mut wire = OptionList::default().wire();
        wire.swap(8, 10);
        wire.swap(9, 11);
        assert_eq!(OptionList::from_wire(&wire), None);
    }

    #[test]
    fn every_option_is_known_by_its_name_and_its_number() {
        for option in EncryptionOption::ALL {
            assert_eq!(option.name().parse(), Ok(option));
            let choice = Choice {
                list: OptionList::default().id(),
                option,
            };
            assert_eq!(Choice::from_wire(&choice.to_wire()), Some(choice));
        }
    }
}

//! The form of a file of a recorded session (`vectors/dialogs/README.md`).

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes, in hexadecimal in the file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hex(pub Vec<u8>);

impl Hex {
    /// As an array.
    ///
    /// # Panics
    /// When the length is another.
    #[must_use]
    pub fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

impl<T: AsRef<[u8]>> From<T> for Hex {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = HEXLOWER.decode(text.as_bytes());
        bytes.map(Self).map_err(de::Error::custom)
    }
}

/// A value with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// What it is.
    pub name: String,
    /// The value.
    pub bytes: Hex,
}

impl Named {
    /// A value with this name.
    pub fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
        }
    }
}

/// The value of this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn named<'a>(values: &'a [Named], name: &str) -> &'a [u8] {
    let found = values.iter().find(|value| value.name == name);
    &found.unwrap_or_else(|| panic!("no {name}")).bytes.0
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The client.
    Client,
    /// The site.
    Server,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// What an implementation learns from it.
    pub purpose: String,
    /// Where the protocol says it.
    pub page: String,
    /// All that was fixed.
    pub inputs: Inputs,
    /// The connections, in order: one, or a login and its resumption.
    pub connections: Vec<Connection>,
}

/// All that was fixed, but for what was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The seed of the site key.
    pub site_seed: Hex,
    /// The site's public key: Ed25519, then X25519.
    pub site_public_key: Hex,
    /// The encryption options on offer, ranked.
    pub options: Vec<String>,
    /// The limit of packets that either end has.
    pub max_packet: u32,
    /// Who logs in.
    pub account: Account,
    /// What the site says first in the session.
    pub welcome: Greeting,
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Account {
    /// A person with OPAQUE.
    Person {
        /// As USERNAME has it.
        name: String,
        /// The pass phrase.
        pass_phrase: String,
        /// The seed of the identity in the sealed CERTIFICATE.
        identity_seed: Hex,
        /// The OPRF seed of the site's OPAQUE setup.
        oprf_seed: Hex,
        /// The private key of the setup.
        server_private_key: Hex,
        /// The public key that unknown names are answered with.
        stand_in_public_key: Hex,
        /// The credential identifier.
        credential_id: Hex,
        /// The registration record.
        record: Hex,
        /// The value of CERTIFICATE.
        sealed_identity: Hex,
    },
    /// A person with a delivered key.
    DeliveredPerson {
        /// As USERNAME has it.
        name: String,
        /// The pass phrase.
        pass_phrase: String,
        /// The seed of the identity.
        identity_seed: Hex,
        /// Its certificate, in DER.
        certificate: Hex,
        /// Its private key, encrypted under the pass phrase, in DER.
        encrypted_key: Hex,
    },
    /// A service.
    Service {
        /// The seed of its identity.
        identity_seed: Hex,
        /// Its certificate, in DER.
        certificate: Hex,
    },
}

/// The values of the first packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// SESSION-ID.
    pub session: Hex,
    /// EXPIRES.
    pub expires: u64,
    /// IDLE-LIMIT.
    pub idle_limit: u32,
    /// USERNAME.
    pub account: String,
}

/// One connection, from its first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The option of the login.
    pub option: String,
    /// What each end drew, in order.
    pub client_entropy: Vec<Named>,
    /// What each end drew, in order.
    pub server_entropy: Vec<Named>,
    /// What was sent, in order.
    pub flights: Vec<Flight>,
    /// What follows from it, in the order in which it is worked out.
    pub derived: Vec<Named>,
}

impl Connection {
    /// What one end drew.
    #[must_use]
    pub fn entropy(&self, party: Party) -> &[Named] {
        match party {
            Party::Client => &self.client_entropy,
            Party::Server => &self.server_entropy,
        }
    }
}

/// What one end sends before it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flight {
    /// Who sends it.
    pub from: Party,
    /// What the program on top says in it; nothing in a login.
    pub says: Vec<Said>,
    /// As it stands on the wire.
    pub bytes: Hex,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// A part of a flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// A command in the clear.
    Clear(Spoken),
    /// A packet.
    Packet {
        /// The name of its key among the derived values.
        key: String,
        /// Its number under that key.
        number: u64,
        /// Its nonce.
        nonce: Hex,
        /// What is authenticated and not encrypted.
        associated_data: Hex,
        /// What is encrypted.
        plaintext: Hex,
        /// The commands in it.
        commands: Vec<Spoken>,
    },
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoken {
    /// Its name.
    pub command: String,
    /// Its value, without its length.
    pub value: Hex,
}

/// What a program says, and the other hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// An operation.
    Operation {
        /// MESSAGE-ID.
        id: u64,
        /// GROUP.
        group: String,
        /// COMMAND.
        command: String,
        /// PARAMS.
        params: String,
        /// Whether content follows.
        content: bool,
    },
    /// The result of one.
    Result {
        /// The operation's MESSAGE-ID.
        id: u64,
        /// CODE.
        code: u16,
        /// DATA.
        data: String,
        /// OUTPUT; empty when it is left out.
        output: String,
        /// Whether content follows.
        content: bool,
    },
    /// An event.
    Event {
        /// GROUP.
        group: String,
        /// EVENT.
        event: String,
        /// DATA.
        data: String,
    },
    /// A piece of content.
    Content {
        /// The message that it belongs to.
        id: u64,
        /// The piece.
        bytes: Hex,
    },
    /// The content of that message ends.
    ContentEnd {
        /// The message.
        id: u64,
    },
    /// An offer of new keys, for this option.
    OfferKeys(String),
    /// The offer is accepted.
    AcceptKeys,
    /// The session ends: 1 done.
    Goodbye(u8),
}

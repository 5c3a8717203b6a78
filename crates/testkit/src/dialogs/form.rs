//! The format of a recorded session (`vectors/dialogs/README.md`).

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes. Lower-case hexadecimal in the file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hex(pub Vec<u8>);

impl Hex {
    /// The bytes as an array.
    ///
    /// # Panics
    /// If the length is not `N`.
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
    /// The name.
    pub name: String,
    /// The value.
    pub bytes: Hex,
}

impl Named {
    /// A value with a name.
    pub fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.into(),
        }
    }
}

/// The bytes of the value with this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn named<'a>(values: &'a [Named], name: &str) -> &'a [u8] {
    let found = values.iter().find(|value| value.name == name);
    &found.unwrap_or_else(|| panic!("no {name}")).bytes.0
}

/// The sender of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// The client.
    Client,
    /// The site.
    Server,
}

/// A file with one recorded session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// What the file shows.
    pub purpose: String,
    /// The section of the protocol pages that it follows.
    pub page: String,
    /// The fixed inputs.
    pub inputs: Inputs,
    /// The connections in order: one login, or a login and its resumptions.
    pub connections: Vec<Connection>,
}

/// The fixed inputs, except for the entropy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The seed of the site key.
    pub site_seed: Hex,
    /// The site's public key: Ed25519, then X25519.
    pub site_public_key: Hex,
    /// The site's key events, from event 0 on.
    pub key_events: Vec<Hex>,
    /// The site's id.
    pub site_id: Hex,
    /// The encryption options on offer, in the site's order.
    pub options: Vec<String>,
    /// MAX-PACKET of both ends, in bytes.
    pub max_packet: u32,
    /// The account that logs in.
    pub account: Account,
    /// The values of the site's first packet.
    pub welcome: Greeting,
}

/// The account that logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Account {
    /// A person with OPAQUE.
    Person {
        /// The value of USERNAME.
        name: String,
        /// The pass phrase.
        pass_phrase: String,
        /// The seed of the identity in the sealed CERTIFICATE.
        identity_seed: Hex,
        /// The OPRF seed of the site's OPAQUE setup.
        oprf_seed: Hex,
        /// The private key of the setup.
        server_private_key: Hex,
        /// The public key for replies to unknown names.
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
        /// The value of USERNAME.
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

/// One connection, from its first byte on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The encryption option of the login.
    pub option: String,
    /// The random values that the client drew, in order.
    pub client_entropy: Vec<Named>,
    /// The random values that the site drew, in order.
    pub server_entropy: Vec<Named>,
    /// The flights in order.
    pub flights: Vec<RecordedFlight>,
    /// The derived values, in the order of their computation.
    pub derived: Vec<Named>,
}

impl Connection {
    /// The random values that one end drew.
    #[must_use]
    pub fn entropy(&self, party: Party) -> &[Named] {
        match party {
            Party::Client => &self.client_entropy,
            Party::Server => &self.server_entropy,
        }
    }
}

/// The bytes that one end sends before it waits for the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFlight {
    /// The sender.
    pub from: Party,
    /// The messages of the application in it; none in a login.
    pub says: Vec<SessionMessage>,
    /// The bytes on the wire.
    pub bytes: Hex,
    /// The commands and packets of the flight.
    pub parts: Vec<Part>,
}

/// A part of a flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// A plaintext command.
    Clear(WireCommand),
    /// A packet.
    Packet {
        /// The name of its key in the derived values.
        key: String,
        /// Its number under that key.
        number: u64,
        /// Its nonce.
        nonce: Hex,
        /// The associated data.
        associated_data: Hex,
        /// The plaintext.
        plaintext: Hex,
        /// The commands in the plaintext.
        commands: Vec<WireCommand>,
    },
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireCommand {
    /// Its name.
    pub command: String,
    /// Its value, without the length.
    pub value: Hex,
}

/// A message of one application to the other in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionMessage {
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
    /// The result of an operation.
    Result {
        /// The operation's MESSAGE-ID.
        id: u64,
        /// CODE.
        code: u16,
        /// DATA.
        data: String,
        /// OUTPUT; empty if the command is absent.
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
        /// The id of the message that it belongs to.
        id: u64,
        /// The bytes.
        bytes: Hex,
    },
    /// The end of a message's content.
    ContentEnd {
        /// The id of the message.
        id: u64,
    },
    /// An offer of new keys for this encryption option.
    OfferKeys(String),
    /// The acceptance of an offer of new keys.
    AcceptKeys,
    /// The end of the session, with the value of GOODBYE: 1 is "done".
    Goodbye(u8),
}

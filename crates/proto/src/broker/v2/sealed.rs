//! The sealed message: encrypted to its recipient, signed by its sender, and bound to the names and
//! keys of both.
//!
//! ```text
//! info      = "countersign broker 2" 00 | lp(type) | lp(from) | lp(to) | lp(suite)
//!           | fingerprint of the sender's keys (32) | fingerprint of the recipient's (32)
//!           | of a ticket: its id (16) | expires (8, big-endian)
//! sealed    = HPKE(recipient, info, message)
//! signature = Ed25519(sender, "countersign broker 2 signature" 00 | info | sealed)
//! lp(x)     = length of x in bytes (2, big-endian) | x
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::secret::SecretBytes;
use countersign_crypto::sign::Signature;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits;
use super::message::{Nonce, bytes, write};
use crate::json;

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// From the consumer to the site.
    #[serde(rename = "auth-request")]
    Request,
    /// From the site to the consumer.
    #[serde(rename = "auth-response")]
    Response,
    /// From the site to the provider, through the consumer.
    #[serde(rename = "auth-ticket")]
    Ticket,
    /// From the site to the provider, over its session.
    #[serde(rename = "ticket-keys")]
    TicketKeys,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "auth-request",
            Self::Response => "auth-response",
            Self::Ticket => "auth-ticket",
            Self::TicketKeys => "ticket-keys",
        }
    }
}

/// The plaintext header of a ticket. With it a provider can refuse an expired or replayed ticket
/// without public-key operations. The signature covers it, and the sealed ticket repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketHeader {
    /// The id of the ticket.
    pub id: Nonce,
    /// The end of the ticket's lifetime, by the site's clock, in milliseconds since 1970.
    pub expires: u64,
}

/// A sealed message as it is transmitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedMessage {
    /// The type of the message.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The sender's id.
    pub from: String,
    /// The recipient's id.
    pub to: String,
    /// The name of the [`SealingSuite`].
    pub suite: String,
    /// The header; present in tickets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<TicketHeader>,
    /// The fingerprint of the recipient's keys. A recipient may have several.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// The ciphertext, for the recipient.
    #[serde(with = "bytes")]
    pub sealed: Vec<u8>,
    /// The sender's signature.
    #[serde(with = "bytes")]
    pub signature: Vec<u8>,
}

/// The message failed verification: another sender, another recipient, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FailedVerification;

/// A message whose signature was verified.
pub(super) struct VerifiedMessage<T> {
    pub(super) message: T,
    /// The index of the sender's key that signed it.
    pub(super) signer: usize,
    /// The index of the recipient's key that it was sealed to.
    pub(super) key: usize,
}

/// The sender or the recipient of a message: its id, with its key, its keys or their fingerprint.
#[derive(Clone, Copy)]
pub(super) struct Endpoint<'a, K> {
    id: &'a str,
    key: K,
}

impl<'a, K> Endpoint<'a, K> {
    pub(super) const fn new(id: &'a str, key: K) -> Self {
        Self { id, key }
    }
}

fn info(
    kind: Kind,
    from: Endpoint<'_, &[u8; 32]>,
    to: Endpoint<'_, &[u8; 32]>,
    suite: SealingSuite,
    header: Option<TicketHeader>,
) -> Vec<u8> {
    let mut info = b"countersign broker 2\0".to_vec();
    for part in [kind.name(), from.id, to.id, suite.name()] {
        lp(&mut info, part);
    }
    info.extend_from_slice(from.key);
    info.extend_from_slice(to.key);
    if let Some(header) = header {
        info.extend_from_slice(&header.id.0);
        info.extend(header.expires.to_be_bytes());
    }
    info
}

/// Appends a text with its length, so that different lists of texts never give the same bytes.
pub(super) fn lp(info: &mut Vec<u8>, part: &str) {
    let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
    info.extend(length.to_be_bytes());
    info.extend_from_slice(part.as_bytes());
}

fn signed_text(info: &[u8], sealed: &[u8]) -> Vec<u8> {
    [b"countersign broker 2 signature\0", info, sealed].concat()
}

impl SealedMessage {
    pub(super) fn seal<T: Serialize>(
        kind: Kind,
        header: Option<TicketHeader>,
        from: Endpoint<'_, &PartyKey>,
        to: Endpoint<'_, &PartyPublic>,
        suite: SealingSuite,
        message: &T,
        entropy: &mut dyn Entropy,
    ) -> Option<Self> {
        let (sender, recipient) = (from.key.public().fingerprint(), to.key.fingerprint());
        let signed_by = Endpoint::new(from.id, &sender);
        let sealed_to = Endpoint::new(to.id, &recipient);
        let info = info(kind, signed_by, sealed_to, suite, header);
        let text = write(message)?;
        let sealed = to.key.seal(suite, &info, text.expose(), entropy).ok()?;
        let signature = from.key.sign(&signed_text(&info, &sealed));
        Some(Self {
            kind,
            from: from.id.to_owned(),
            to: to.id.to_owned(),
            suite: suite.name().to_owned(),
            header,
            key: recipient.to_vec(),
            sealed,
            signature: signature.0.to_vec(),
        })
    }

    /// Verifies the sender's signature, then decrypts.
    pub(super) fn verify_and_open<T: DeserializeOwned>(
        &self,
        kind: Kind,
        from: Endpoint<'_, &[PartyPublic]>,
        to: Endpoint<'_, &[PartyKey]>,
    ) -> Result<VerifiedMessage<T>, FailedVerification> {
        let fits = self.kind == kind && self.from == from.id && self.to == to.id;
        let headed = self.header.is_some() == (kind == Kind::Ticket);
        if !fits || !headed || self.sealed.len() > limits::SEALED {
            return Err(FailedVerification);
        }
        let suite: SealingSuite = self.suite.parse().map_err(|_| FailedVerification)?;
        let signature = self.signature.as_slice().try_into();
        let signature = Signature(signature.map_err(|_| FailedVerification)?);
        let recipient: &[u8; 32] = self
            .key
            .as_slice()
            .try_into()
            .map_err(|_| FailedVerification)?;
        // Finding the key first is cheap: it compares fingerprints.
        let known = |key: &PartyKey| key.public().fingerprint() == *recipient;
        let key = to.key.iter().position(known).ok_or(FailedVerification)?;
        let own = to.key.get(key).ok_or(FailedVerification)?;
        let signer = from
            .key
            .iter()
            .enumerate()
            .find_map(|(at, sender)| {
                let fingerprint = sender.fingerprint();
                let from = Endpoint::new(from.id, &fingerprint);
                let to = Endpoint::new(to.id, recipient);
                let info = info(kind, from, to, suite, self.header);
                let text = signed_text(&info, &self.sealed);
                sender.signing.verify(&text, &signature).ok()?;
                Some((at, info))
            })
            .ok_or(FailedVerification);
        let (signer, info) = signer?;
        let text: SecretBytes = own
            .open(suite, &info, &self.sealed)
            .map_err(|_| FailedVerification)?;
        let message = json::read(text.expose()).map_err(|_| FailedVerification)?;
        Ok(VerifiedMessage {
            message,
            signer,
            key,
        })
    }
}

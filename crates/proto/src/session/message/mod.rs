//! Messages: operations, results, events and their content as RISP inside packets
//! (`docs/protocol/session.md`, Messages).
//!
//! A message is MESSAGE-ID, its fields in any order, END. A long field is sent in pieces. A message
//! that does not fit into the rest of a packet is split: the next packet that continues it repeats
//! the MESSAGE-ID, so that pieces of several messages can be interleaved. A split message ends with
//! the digest of its body. Content comes last and may have any length; its receiver controls the
//! flow with credit.

mod partial;
mod reader;
mod sender;
mod write;

use countersign_crypto::hash::Sha256;

use crate::operation::{Event, Operation, Outcome};

use super::option::OptionList;

pub(crate) use reader::{MessageReader, Reading};
pub(crate) use sender::{Cancelled, Field, Sender};
pub(crate) use write::write;

/// MESSAGE-ID and its integer.
const ID_BYTES: usize = 2 + 8;
/// VERIFICATION-SHA256 and END.
const TAIL_BYTES: usize = (3 + 32) + 2;
/// The command and length of a piece of a body.
const PIECE_HEADER: usize = 2 + 4;
/// A piece shorter than this is deferred to the next packet.
const MIN_PIECE: usize = 32;

/// The MESSAGE-ID of messages about the session itself.
pub(crate) const SESSION_MESSAGE_ID: u64 = u64::MAX;

/// A message inside packets.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// An operation, and whether content follows it.
    Operation(Operation, bool),
    /// A malformed operation. It gets a failed result, and the session continues.
    BadOperation {
        id: u64,
        problem: &'static str,
    },
    /// A result, and whether content follows it.
    Outcome(Outcome, bool),
    Event(Event),
    /// A piece of the content of a message.
    Content {
        id: u64,
        bytes: Vec<u8>,
    },
    /// The content is complete and its digest is correct.
    ContentEnd {
        id: u64,
    },
    /// The peer cancels the content of a message in both directions.
    Cancelled {
        id: u64,
        /// Whether this end was receiving content.
        receiving: bool,
    },
    /// The peer grants credit for this many more bytes of a message's content.
    Credit {
        id: u64,
        bytes: u64,
    },
    /// An offer of new keys, with the session's expiry if it is accepted.
    KeyOffer(KeyExchangeMessage),
    /// The answer to an offer of new keys.
    KeyAnswer(KeyExchangeMessage),
    /// Later packets use the new key.
    Rekeyed,
    OptionsRequest,
    Options(OptionList),
    Goodbye(u8),
}

/// One end's message of a key exchange inside a session.
#[derive(Debug, PartialEq)]
pub(crate) struct KeyExchangeMessage {
    /// The option's number; 0 in an answer that declines.
    pub(crate) option: u16,
    /// X25519 key share, then ML-KEM key or ciphertext.
    pub(crate) share: Vec<u8>,
    /// The session's new expiry; sent by servers only.
    pub(crate) expires: Option<u64>,
}

fn digest_of<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    bodies.for_each(|body| digest.update(body));
    digest.finish()
}

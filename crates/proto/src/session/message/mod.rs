//! Messages: operations, results, events and their content as RISP inside packets
//! (`docs/protocol/session.md`, Messages).
//!
//! A message is MESSAGE-ID, its fields in any order, END. A long field is sent in pieces. A message that
//! does not fit what is left of a packet is cut: the next packet that goes on with it names the
//! MESSAGE-ID again, so that pieces of several messages may alternate. A cut message ends with the
//! digest of its body. Content comes last and may be of any length; its reader says how much it takes.

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
/// A piece shorter than this waits for the next packet instead.
const LEAST_PIECE: usize = 32;

/// The MESSAGE-ID of what the session's two ends say to each other about the session itself.
pub(crate) const OF_THE_SESSION: u64 = u64::MAX;

/// What the two ends say to each other inside packets.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// An operation, and whether content follows it.
    Operation(Operation, bool),
    /// An operation that cannot even be looked up; it is answered, and the session lives.
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
    /// The content is whole: its digest is right.
    ContentEnd {
        id: u64,
    },
    /// The other side abandons the content of a message, in both directions.
    Cancelled {
        id: u64,
        /// Whether this end was receiving some.
        receiving: bool,
    },
    /// The other side takes so many bytes more of a message's content.
    Credit {
        id: u64,
        bytes: u64,
    },
    /// An offer of new keys, and when the session would expire.
    KeyOffer(KeyWords),
    /// The answer to one.
    KeyAnswer(KeyWords),
    /// What follows is under the new key.
    Rekeyed,
    OptionsRequest,
    Options(OptionList),
    Goodbye(u8),
}

/// What one side says in a key exchange inside a session.
#[derive(Debug, PartialEq)]
pub(crate) struct KeyWords {
    /// The option's number; 0 in an answer that declines.
    pub(crate) option: u16,
    /// Key share, and ML-KEM key or ciphertext.
    pub(crate) share: Vec<u8>,
    /// When the session stops being accepted from then on; a server says it.
    pub(crate) expires: Option<u64>,
}

fn digest_of<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    bodies.for_each(|body| digest.update(body));
    digest.finish()
}

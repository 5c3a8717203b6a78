//! The live session: what follows a login that was proved, the same on both ends.
//!
//! ```text
//!            login proved                 GOODBYE, or a packet that does not open
//! (login) ----------------->  live  ---------------------------------------------> (closed)
//!                            |    ^
//!                            '----'  packets of operations, results, events
//! ```
//!
//! A `Link` exists only where a machine of [`super::server`] or [`super::client`] proved both ends.

use countersign_crypto::secret::Secret;

use crate::operation::{Event, Operation, Outcome};
use crate::risp::{Reader, Value};

use super::command as c;
use super::keys::Established;
use super::limits::{DEFAULT_MESSAGE_BYTES, InsidePacket};
use super::message::{self, Message, MessageReader, Reading};
use super::packet::{PacketReader, PacketWriter};
use super::refusal::{Refusal, WireError};

/// Why a session ended cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Goodbye {
    /// This end has nothing more to say.
    Done = 1,
    /// An admin cut the session, or its account was locked, deleted or changed.
    Cut = 2,
    /// The session's time is over.
    Expired = 3,
    /// The site stops.
    Stopping = 4,
}

impl Goodbye {
    pub(crate) fn from_wire(reason: u8) -> Self {
        match reason {
            2 => Self::Cut,
            3 => Self::Expired,
            4 => Self::Stopping,
            _ => Self::Done,
        }
    }

    /// The reason in words, as the audit log has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
        }
    }
}

/// A session's id: public, unique at its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

/// What a site tells the client first inside the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The session's id.
    pub session: SessionId,
    /// The account's whole name, zone included.
    pub account: String,
    /// When the session stops being accepted, milliseconds since 1970 UTC by the site's clock.
    pub expires: u64,
}

/// The server's first packet.
pub(crate) enum FirstPacket {
    Welcome(Welcome),
    Refusal(WireError),
}

/// Both directions of a live session.
pub(crate) struct Link {
    reader: PacketReader,
    writer: PacketWriter,
    messages: MessageReader,
}

impl Link {
    /// The server's end.
    pub(crate) fn server(keys: &Established) -> Self {
        Self::new(
            keys,
            Reading::Operations,
            &keys.client_to_server,
            &keys.server_to_client,
        )
    }

    /// The client's end.
    pub(crate) fn client(keys: &Established) -> Self {
        Self::new(
            keys,
            Reading::Results,
            &keys.server_to_client,
            &keys.client_to_server,
        )
    }

    fn new(keys: &Established, reading: Reading, read: &Secret<32>, write: &Secret<32>) -> Self {
        Self {
            reader: PacketReader::new(keys.cipher, read, keys.max_packet),
            writer: PacketWriter::new(keys.cipher, write, keys.max_packet),
            messages: MessageReader::new(reading, DEFAULT_MESSAGE_BYTES),
        }
    }

    /// Opens every whole packet of `input`, in place, and appends the messages that they complete.
    /// Returns how many bytes of `input` were used; the rest is to be given again with what follows it.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        got: &mut Vec<Message>,
    ) -> Result<usize, Refusal> {
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..) {
            let Some((plaintext, bytes)) = self.reader.open(rest)? else {
                break;
            };
            self.messages.read(plaintext, got)?;
            used += bytes;
        }
        Ok(used)
    }

    /// Bodies of messages may be this long, in bytes.
    pub(crate) fn set_longest_message(&mut self, bytes: usize, reading: Reading) {
        self.messages = MessageReader::new(reading, bytes);
    }

    pub(crate) fn send_operation(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let fields = [
            (c::GROUP, Value::Bytes(operation.group.as_bytes())),
            (c::COMMAND, Value::Bytes(operation.command.as_bytes())),
        ];
        let bodies = [(c::PARAMS, operation.params.get().as_bytes())];
        message::write(&mut self.writer, operation.id, &fields, &bodies)
    }

    pub(crate) fn send_outcome(&mut self, outcome: &Outcome) -> Result<(), Refusal> {
        let fields = [(c::CODE, Value::U16(outcome.code.0))];
        let bodies = [
            (c::DATA, outcome.data.get().as_bytes()),
            (c::OUTPUT, outcome.output.as_bytes()),
        ];
        message::write(&mut self.writer, outcome.id, &fields, &bodies)
    }

    pub(crate) fn send_event(&mut self, event: &Event) -> Result<(), Refusal> {
        let fields = [
            (c::GROUP, Value::Bytes(event.group.as_bytes())),
            (c::EVENT, Value::Bytes(event.event.as_bytes())),
        ];
        message::write(
            &mut self.writer,
            0,
            &fields,
            &[(c::DATA, event.data.get().as_bytes())],
        )
    }

    pub(crate) fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), Refusal> {
        if self.writer.is_open() && self.writer.room() < 3 {
            self.writer.close()?;
        }
        self.writer.put(c::GOODBYE, Value::U8(reason as u8))
    }

    /// The server's first packet. It fits the least MAX-PACKET, since names are short.
    pub(crate) fn send_welcome(&mut self, welcome: &Welcome) -> Result<(), Refusal> {
        self.writer
            .put(c::SESSION_ID, Value::Bytes(&welcome.session.0))?;
        self.writer.put(c::EXPIRES, Value::U64(welcome.expires))?;
        self.writer
            .put(c::USERNAME, Value::Bytes(welcome.account.as_bytes()))?;
        self.writer.close()
    }

    /// The server's first and last packet when the account is not accepted.
    pub(crate) fn send_refusal(&mut self, error: WireError) -> Result<(), Refusal> {
        self.writer.put(c::ERROR, Value::U8(error as u8))
    }

    /// The client's first packet, which confirms that it has the session's keys.
    pub(crate) fn send_confirmation(&mut self) -> Result<(), Refusal> {
        self.writer.put(c::NOP, Value::Nothing)
    }

    /// Reads the server's first packet: its welcome or its refusal, and the bytes that it took.
    pub(crate) fn receive_welcome(
        &mut self,
        input: &mut [u8],
    ) -> Result<Option<(FirstPacket, usize)>, Refusal> {
        const INCOMPLETE: Refusal = Refusal::BadMessage("an incomplete welcome");
        let Some((plaintext, used)) = self.reader.open(input)? else {
            return Ok(None);
        };
        let (mut session, mut account, mut expires) = (None, None, None);
        for step in Reader::new(plaintext, &InsidePacket) {
            match step? {
                (c::ERROR, Value::U8(code)) => {
                    let error = WireError::from_wire(code).ok_or(INCOMPLETE)?;
                    return Ok(Some((FirstPacket::Refusal(error), used)));
                }
                (c::SESSION_ID, Value::Bytes(id)) => session = id.try_into().ok().map(SessionId),
                (c::EXPIRES, Value::U64(at)) => expires = Some(at),
                (c::USERNAME, Value::Bytes(name)) => account = String::from_utf8(name.into()).ok(),
                _ => {}
            }
        }
        let welcome = Welcome {
            session: session.ok_or(INCOMPLETE)?,
            account: account.ok_or(INCOMPLETE)?,
            expires: expires.ok_or(INCOMPLETE)?,
        };
        Ok(Some((FirstPacket::Welcome(welcome), used)))
    }

    /// Moves all that is to be sent to the end of `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.writer.flush(out)
    }
}

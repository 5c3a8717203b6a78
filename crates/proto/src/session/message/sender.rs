//! Sends long messages and content. They are interleaved, one packet at a time, so that none delays
//! another for longer. Content also waits for the receiver's credit.

use std::collections::VecDeque;

use countersign_crypto::hash::Sha256;

use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::limits::{
    BODY_TURNS, CONTENT_QUEUED, CONTENT_TURNS, CONTENT_WINDOW, MIN_PIECE_COST, piece_cost,
};
use crate::session::packet::PacketWriter;
use crate::session::refusal::SessionRefusal;

use super::{ID_BYTES, MIN_PIECE, PIECE_HEADER, TAIL_BYTES};

/// A short field of a queued message.
pub(crate) enum Field {
    Code(Command, u16),
    Name(Command, String),
}

impl Field {
    fn put(&self, packets: &mut PacketWriter) -> Result<(), SessionRefusal> {
        match self {
            Self::Code(command, code) => packets.put(*command, Value::U16(*code)),
            Self::Name(command, name) => packets.put(*command, Value::Bytes(name.as_bytes())),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Code(..) => 4,
            Self::Name(_, name) => 3 + name.len(),
        }
    }
}

/// A body that is sent in pieces.
struct Body {
    command: Command,
    bytes: Vec<u8>,
    sent: usize,
}

/// The queued content of a message.
struct Content {
    queued: VecDeque<Vec<u8>>,
    /// How many bytes of the first queued piece were sent.
    sent: usize,
    queued_bytes: usize,
    credit: u64,
    started: bool,
    ended: bool,
    /// Cancelled before its first piece. The message itself is still sent, with CANCEL in the place
    /// of content.
    cancelled: bool,
}

/// A message that is being sent.
struct Sending {
    id: u64,
    fields: Vec<Field>,
    begun: bool,
    cut: bool,
    bodies: VecDeque<Body>,
    content: Option<Content>,
    digest: Sha256,
}

/// The interleaved messages of one direction.
#[derive(Default)]
pub(crate) struct Sender {
    messages: VecDeque<Sending>,
    queued_bytes: usize,
}

/// The state of content that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The peer has received part of it: send CANCEL now.
    Started,
    /// The peer has received none of it. CANCEL follows the message itself.
    NotStarted,
}

/// The result of one turn.
enum Turn {
    /// The message was sent completely.
    Done,
    /// There is more to send.
    More,
    /// Nothing can be sent until more content or credit arrives.
    Waits,
}

impl Sender {
    /// Queues a message.
    pub(crate) fn push(
        &mut self,
        id: u64,
        fields: Vec<Field>,
        bodies: impl IntoIterator<Item = (Command, Vec<u8>)>,
        content: bool,
    ) {
        let bodies: VecDeque<Body> = bodies
            .into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(command, bytes)| Body {
                command,
                bytes,
                sent: 0,
            })
            .collect();
        self.queued_bytes += bodies.iter().map(|body| body.bytes.len()).sum::<usize>();
        self.messages.push_back(Sending {
            id,
            fields,
            begun: false,
            cut: false,
            bodies,
            content: content.then(|| Content {
                queued: VecDeque::new(),
                sent: 0,
                queued_bytes: 0,
                credit: CONTENT_WINDOW,
                started: false,
                ended: false,
                cancelled: false,
            }),
            digest: Sha256::new(),
        });
    }

    /// The number of queued body bytes. Content is not counted: it waits for the peer's credit,
    /// which may be among the bytes that are read meanwhile.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether the content queue of that message has room. `false` if there is no such message.
    pub(crate) fn wants_content(&self, id: u64) -> bool {
        self.content(id)
            .is_some_and(|content| !content.ended && content.queued_bytes < CONTENT_QUEUED)
    }

    /// Queues content of a message. Content of a cancelled message is dropped.
    pub(crate) fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        let length = bytes.len();
        if let Some(content) = self.content_mut(id)
            && !content.ended
            && length > 0
        {
            content.queued_bytes += length;
            content.queued.push_back(bytes);
        }
    }

    /// Reports that the content of that message is complete.
    pub(crate) fn end_content(&mut self, id: u64) {
        if let Some(content) = self.content_mut(id) {
            content.ended = true;
        }
    }

    /// Adds the peer's credit of `bytes`. It is ignored for a finished message.
    pub(crate) fn credit(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal> {
        if let Some(content) = self.content_mut(id) {
            content.credit =
                content
                    .credit
                    .checked_add(bytes)
                    .ok_or(SessionRefusal::BadMessage(
                        "more credit than can be counted",
                    ))?;
        }
        Ok(())
    }

    /// Cancels the content of a message. Returns its state, or `None` if none is left to send.
    pub(crate) fn cancel(&mut self, id: u64) -> Option<Cancelled> {
        let found = |message: &Sending| message.id == id && message.content.is_some();
        let at = self.messages.iter().position(found)?;
        let message = self.messages.get_mut(at)?;
        let before = message.queued_bytes();
        let content = message.content.as_mut()?;
        content.queued.clear();
        content.queued_bytes = 0;
        content.ended = true;
        let begun = content.started;
        let cancelled = if begun {
            Cancelled::Started
        } else if std::mem::replace(&mut content.cancelled, true) {
            return None;
        } else {
            Cancelled::NotStarted
        };
        self.queued_bytes -= before - message.queued_bytes();
        if begun {
            self.messages.remove(at);
        }
        Some(cancelled)
    }

    /// Fills packets until `enough` returns true or nothing can be sent.
    pub(crate) fn fill(
        &mut self,
        packets: &mut PacketWriter,
        enough: impl Fn(&PacketWriter) -> bool,
    ) -> Result<(), SessionRefusal> {
        let mut waiting = 0;
        while waiting < self.messages.len() && !enough(packets) {
            let may_begin = self.may_start();
            let Some(mut message) = self.messages.pop_front() else {
                break;
            };
            let kind = usize::from(message.content.is_some());
            if !message.begun && !may_begin.get(kind).copied().unwrap_or_default() {
                self.messages.push_back(message);
                waiting += 1;
                continue;
            }
            let before = message.queued_bytes();
            let turn = message.turn(packets)?;
            self.queued_bytes -= before - message.queued_bytes();
            match turn {
                Turn::Done => waiting = 0,
                Turn::More => {
                    self.messages.push_back(message);
                    waiting = 0;
                }
                Turn::Waits => {
                    self.messages.push_back(message);
                    waiting += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether a message without content, and one with content, may start.
    fn may_start(&self) -> [bool; 2] {
        let begun = |content| {
            self.messages
                .iter()
                .filter(|message| message.begun && message.content.is_some() == content)
                .count()
        };
        [begun(false) < BODY_TURNS, begun(true) < CONTENT_TURNS]
    }

    fn content(&self, id: u64) -> Option<&Content> {
        let mut messages = self.messages.iter();
        messages
            .find(|message| message.id == id && message.content.is_some())?
            .content
            .as_ref()
    }

    fn content_mut(&mut self, id: u64) -> Option<&mut Content> {
        let mut messages = self.messages.iter_mut();
        messages
            .find(|message| message.id == id && message.content.is_some())?
            .content
            .as_mut()
    }
}

impl Sending {
    /// The number of its body bytes that are not sent yet.
    fn queued_bytes(&self) -> usize {
        self.bodies
            .iter()
            .map(|body| body.bytes.len() - body.sent)
            .sum()
    }

    /// Sends as much as fits into one packet.
    fn turn(&mut self, packets: &mut PacketWriter) -> Result<Turn, SessionRefusal> {
        if self.begun && !self.has_something() {
            return Ok(Turn::Waits);
        }
        let fixed: usize = match self.begun {
            true => 0,
            false => self.fields.iter().map(Field::length).sum(),
        };
        if packets.room() < ID_BYTES + fixed + PIECE_HEADER + MIN_PIECE + TAIL_BYTES {
            packets.close()?;
        }
        packets.put(c::MESSAGE_ID, Value::U64(self.id))?;
        if !self.begun {
            self.begun = true;
            for field in &self.fields {
                field.put(packets)?;
            }
        }
        while let Some(body) = self.bodies.front_mut() {
            let rest = body.bytes.get(body.sent..).unwrap_or_default();
            let Some(room) = room_for(packets, rest.len()) else {
                self.cut = true;
                return Ok(Turn::More);
            };
            let piece = rest.get(..room).unwrap_or(rest);
            packets.put(body.command, Value::Bytes(piece))?;
            self.digest.update(piece);
            body.sent += piece.len();
            if body.sent == body.bytes.len() {
                self.bodies.pop_front();
            }
        }
        let Some(content) = &mut self.content else {
            if self.cut {
                self.end(packets)?;
            } else {
                packets.put(c::END, Value::Nothing)?;
            }
            return Ok(Turn::Done);
        };
        if content.cancelled {
            if packets.room() < PIECE_HEADER + TAIL_BYTES {
                return Ok(Turn::More);
            }
            packets.put(c::CONTENT, Value::Bytes(&[]))?;
            packets.put(c::CANCEL, Value::Bytes(&self.id.to_be_bytes()))?;
            return Ok(Turn::Done);
        }
        match content.turn(packets, &mut self.digest)? {
            Turn::Done => {
                self.end(packets)?;
                Ok(Turn::Done)
            }
            turn => Ok(turn),
        }
    }

    fn has_something(&self) -> bool {
        !self.bodies.is_empty()
            || self.content.as_ref().is_none_or(|content| {
                !content.started
                    || (content.queued.is_empty() && content.ended)
                    || (!content.queued.is_empty() && content.credit >= MIN_PIECE_COST)
            })
    }

    fn end(&mut self, packets: &mut PacketWriter) -> Result<(), SessionRefusal> {
        let digest = std::mem::take(&mut self.digest).finish();
        packets.put(c::VERIFICATION_SHA256, Value::Bytes(&digest))?;
        packets.put(c::END, Value::Nothing)
    }
}

impl Content {
    fn turn(
        &mut self,
        packets: &mut PacketWriter,
        digest: &mut Sha256,
    ) -> Result<Turn, SessionRefusal> {
        while let Some(piece) = self.queued.front() {
            if self.credit < MIN_PIECE_COST {
                break;
            }
            let rest = piece.get(self.sent..).unwrap_or_default();
            let Some(room) = room_for(packets, rest.len()) else {
                return Ok(Turn::More);
            };
            let affordable = usize::try_from(self.credit).unwrap_or(usize::MAX);
            let sent = rest.get(..room.min(affordable)).unwrap_or(rest);
            packets.put(c::CONTENT, Value::Bytes(sent))?;
            digest.update(sent);
            self.started = true;
            self.credit -= piece_cost(sent.len());
            self.sent += sent.len();
            self.queued_bytes -= sent.len();
            if self.sent == piece.len() {
                self.queued.pop_front();
                self.sent = 0;
            }
        }
        if self.queued.is_empty() && self.ended && self.started {
            return Ok(Turn::Done);
        }
        if !self.started {
            if packets.room() < PIECE_HEADER + TAIL_BYTES {
                return Ok(Turn::More);
            }
            // Tells the receiver at once that content follows, even if none is queued yet.
            self.started = true;
            packets.put(c::CONTENT, Value::Bytes(&[]))?;
            if self.ended {
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::Waits)
    }
}

/// How many of the `rest` bytes of a body fit into this packet. `None` to defer them to the next
/// packet.
fn room_for(packets: &PacketWriter, rest: usize) -> Option<usize> {
    let room = packets.room().saturating_sub(PIECE_HEADER + TAIL_BYTES);
    (room >= rest || room >= MIN_PIECE).then_some(room.min(rest))
}

//! Long messages and content: they take turns, a packet each, so that none makes another wait for more
//! than that; content also waits until its reader asks for more.

use std::collections::VecDeque;

use countersign_crypto::hash::Sha256;

use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::limits::{
    BODY_TURNS, CONTENT_QUEUED, CONTENT_TURNS, CONTENT_WINDOW, LEAST_PIECE_COST, piece_cost,
};
use crate::session::packet::PacketWriter;
use crate::session::refusal::SessionRefusal;

use super::{ID_BYTES, LEAST_PIECE, PIECE_HEADER, TAIL_BYTES};

/// A short field of a message that is sent later.
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

/// Bytes that are sent in pieces.
struct Body {
    command: Command,
    bytes: Vec<u8>,
    sent: usize,
}

/// The content of a message: what waits to be sent of it.
struct Content {
    queued: VecDeque<Vec<u8>>,
    /// Bytes of the first queued piece that are sent.
    sent: usize,
    queued_bytes: usize,
    credit: u64,
    begun: bool,
    ended: bool,
    /// Given up before it began: that is said in its place, so that the message itself arrives.
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

/// The messages of one direction that take turns.
#[derive(Default)]
pub(crate) struct Sender {
    messages: VecDeque<Sending>,
    queued_bytes: usize,
}

/// How far content had come when it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The other side has seen some of it and is to be told.
    Begun,
    /// The other side has not, and will be told when it is the message's turn.
    NotBegun,
}

/// What a turn came to.
enum Turn {
    /// The message is sent whole.
    Done,
    /// There is more to send.
    More,
    /// There is nothing to send until more content or credit comes.
    Waits,
}

impl Sender {
    /// Takes a message whose parts are sent when it is its turn.
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
                begun: false,
                ended: false,
                cancelled: false,
            }),
            digest: Sha256::new(),
        });
    }

    /// Bytes of bodies that wait for their turn. Content is not counted: it waits for its reader, and what
    /// is read from the other side meanwhile may be that reader's credit.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether the content of that message has room in memory for more; `false` when there is no such.
    pub(crate) fn wants_content(&self, id: u64) -> bool {
        self.content(id)
            .is_some_and(|content| !content.ended && content.queued_bytes < CONTENT_QUEUED)
    }

    /// Appends to the content of a message. What comes for one that was cancelled is dropped.
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

    /// The content of that message is all there.
    pub(crate) fn end_content(&mut self, id: u64) {
        if let Some(content) = self.content_mut(id) {
            content.ended = true;
        }
    }

    /// The reader takes so many bytes more. For a message that is gone it means nothing any more.
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

    /// Gives the content of a message up; whether there was any left to send.
    pub(crate) fn cancel(&mut self, id: u64) -> Option<Cancelled> {
        let found = |message: &Sending| message.id == id && message.content.is_some();
        let at = self.messages.iter().position(found)?;
        let message = self.messages.get_mut(at)?;
        let before = message.queued_bytes();
        let content = message.content.as_mut()?;
        content.queued.clear();
        content.queued_bytes = 0;
        content.ended = true;
        let begun = content.begun;
        let cancelled = if begun {
            Cancelled::Begun
        } else if std::mem::replace(&mut content.cancelled, true) {
            return None;
        } else {
            Cancelled::NotBegun
        };
        self.queued_bytes -= before - message.queued_bytes();
        if begun {
            self.messages.remove(at);
        }
        Some(cancelled)
    }

    /// Fills packets until `enough` says so or nothing can be sent.
    pub(crate) fn fill(
        &mut self,
        packets: &mut PacketWriter,
        enough: impl Fn(&PacketWriter) -> bool,
    ) -> Result<(), SessionRefusal> {
        let mut waiting = 0;
        while waiting < self.messages.len() && !enough(packets) {
            let may_begin = self.may_begin();
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

    /// Whether a message without content, and one with content, may begin.
    fn may_begin(&self) -> [bool; 2] {
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
    /// Bytes of its bodies that are not sent yet.
    fn queued_bytes(&self) -> usize {
        self.bodies
            .iter()
            .map(|body| body.bytes.len() - body.sent)
            .sum()
    }

    /// Sends what fits one packet.
    fn turn(&mut self, packets: &mut PacketWriter) -> Result<Turn, SessionRefusal> {
        if self.begun && !self.has_something() {
            return Ok(Turn::Waits);
        }
        let fixed: usize = match self.begun {
            true => 0,
            false => self.fields.iter().map(Field::length).sum(),
        };
        if packets.room() < ID_BYTES + fixed + PIECE_HEADER + LEAST_PIECE + TAIL_BYTES {
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
                !content.begun
                    || (content.queued.is_empty() && content.ended)
                    || (!content.queued.is_empty() && content.credit >= LEAST_PIECE_COST)
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
            if self.credit < LEAST_PIECE_COST {
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
            self.begun = true;
            self.credit -= piece_cost(sent.len());
            self.sent += sent.len();
            self.queued_bytes -= sent.len();
            if self.sent == piece.len() {
                self.queued.pop_front();
                self.sent = 0;
            }
        }
        if self.queued.is_empty() && self.ended && self.begun {
            return Ok(Turn::Done);
        }
        if !self.begun {
            if packets.room() < PIECE_HEADER + TAIL_BYTES {
                return Ok(Turn::More);
            }
            // Tells the reader at once that the message has content, also when none is there yet.
            self.begun = true;
            packets.put(c::CONTENT, Value::Bytes(&[]))?;
            if self.ended {
                return Ok(Turn::Done);
            }
        }
        Ok(Turn::Waits)
    }
}

/// How much of a body of `rest` bytes the packet takes; `None` when the next packet should.
fn room_for(packets: &PacketWriter, rest: usize) -> Option<usize> {
    let room = packets.room().saturating_sub(PIECE_HEADER + TAIL_BYTES);
    (room >= rest || room >= LEAST_PIECE).then_some(room.min(rest))
}

//! Assembles messages from the contents of packets, and forwards content as it arrives.

use std::collections::HashMap;

use crate::risp::{Command, Reader, Value};
use crate::session::command as c;
use crate::session::limits::{
    COMMANDS_IN_PACKET, CONTENT_WINDOW, InsidePacket, KEY_SHARE_BYTES, PARTIAL_MESSAGES,
};
use crate::session::option::OptionList;
use crate::session::refusal::SessionRefusal;

use super::partial::{Content, Partial, is_field};
use super::{Message, SESSION_MESSAGE_ID};

/// The reading end, which determines the messages that the peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server reads operations.
    Operations,
    /// The client reads results and events.
    Results,
}

/// Assembles messages from the contents of packets.
pub(crate) struct MessageReader {
    reading: Reading,
    max_message: usize,
    partial: HashMap<u64, Partial>,
    /// The number of body bytes buffered in `partial`.
    buffered: usize,
}

impl MessageReader {
    /// A reader for messages with bodies of at most `max_message` bytes. All partial messages
    /// together may have that many bytes too.
    pub(crate) fn new(reading: Reading, max_message: usize) -> Self {
        Self {
            reading,
            max_message,
            partial: HashMap::new(),
            buffered: 0,
        }
    }

    /// Sets the maximum length of bodies.
    pub(crate) fn limit(&mut self, max_message: usize) {
        self.max_message = max_message;
    }

    /// Reads one packet's contents and appends the completed messages. Returns whether the packet
    /// was the last one of its direction under its key.
    pub(crate) fn read(
        &mut self,
        plaintext: &[u8],
        got: &mut Vec<Message>,
    ) -> Result<bool, SessionRefusal> {
        let mut current: Option<(u64, Partial)> = None;
        let mut reader = Reader::new(plaintext, &InsidePacket);
        let mut commands = 0;
        let mut last_under_key = false;
        for step in reader.by_ref() {
            let (command, value) = step?;
            commands += 1;
            if commands > COMMANDS_IN_PACKET {
                return Err(SessionRefusal::BadMessage("too many commands in a packet"));
            }
            if last_under_key {
                return Err(SessionRefusal::BadMessage(
                    "a command after the keys changed",
                ));
            }
            match (command, value) {
                (c::NOP, _) => {}
                (c::MESSAGE_ID, Value::U64(id)) => {
                    self.put_aside(current.take())?;
                    current = Some((id, self.take_up(id)));
                }
                (c::GOODBYE, Value::U8(reason)) => got.push(Message::Goodbye(reason)),
                (c::CREDIT, Value::Bytes(value)) => got.push(credit(value)?),
                (c::CANCEL, Value::Bytes(value)) => {
                    self.put_aside(current.take())?;
                    let id = id_of(value)?;
                    let receiving = self.forget(id);
                    got.push(Message::Cancelled { id, receiving });
                }
                (c::REKEYED, _) => {
                    got.push(Message::Rekeyed);
                    last_under_key = true;
                }
                (c::OPTIONS_REQUEST, _) => got.push(Message::OptionsRequest),
                (c::OPTIONS, Value::Bytes(list)) => {
                    let list = OptionList::from_wire(list)
                        .ok_or(SessionRefusal::BadMessage("a malformed option list"))?;
                    got.push(Message::Options(list));
                }
                (c::END, _) => {
                    let (id, message) = current.take().ok_or(OUTSIDE)?;
                    last_under_key = matches!(message.rekey_answer, Some(option) if option != 0);
                    got.extend(message.complete(id, self.reading)?);
                }
                (c::CONTENT, Value::Bytes(piece)) => {
                    let (id, message) = current.as_mut().ok_or(OUTSIDE)?;
                    let reading = self.reading;
                    message.content_piece(*id, piece, reading, got)?;
                }
                (command, value) => self.field(&mut current, command, value)?,
            }
        }
        if reader.consumed() != plaintext.len() {
            return Err(SessionRefusal::BadMessage(
                "a packet that ends inside a command",
            ));
        }
        self.put_aside(current)?;
        Ok(last_under_key)
    }

    /// Reports that pieces of a message's content that count as `bytes` were consumed. Returns the
    /// credit to send to the peer, once it is large enough to be worth a command.
    pub(crate) fn consumed(&mut self, id: u64, bytes: u64) -> Option<u64> {
        let content = self.content_mut(id)?;
        content.used = content.used.saturating_add(bytes);
        if content.used < CONTENT_WINDOW / 4 {
            return None;
        }
        let granted = std::mem::take(&mut content.used);
        content.window = content.window.saturating_add(granted);
        Some(granted)
    }

    /// Ignores the rest of a message's content. Returns whether any is expected.
    pub(crate) fn cancel(&mut self, id: u64) -> bool {
        let content = self.content_mut(id).filter(|content| !content.cancelled);
        content.map(|content| content.cancelled = true).is_some()
    }

    fn content_mut(&mut self, id: u64) -> Option<&mut Content> {
        self.partial.get_mut(&id)?.content.as_deref_mut()
    }

    /// Processes one field. Unknown commands are ignored.
    fn field(
        &mut self,
        current: &mut Option<(u64, Partial)>,
        command: Command,
        value: Value<'_>,
    ) -> Result<(), SessionRefusal> {
        let Some((id, message)) = current else {
            return if is_field(command) {
                Err(OUTSIDE)
            } else {
                Ok(())
            };
        };
        let max_value = match *id {
            SESSION_MESSAGE_ID => KEY_SHARE_BYTES,
            _ => self.max_message.saturating_sub(self.buffered),
        };
        message.field(command, value, max_value)
    }

    fn put_aside(&mut self, current: Option<(u64, Partial)>) -> Result<(), SessionRefusal> {
        let Some((id, mut message)) = current else {
            return Ok(());
        };
        if self.partial.len() >= PARTIAL_MESSAGES {
            return Err(SessionRefusal::BadMessage(
                "too many half received messages",
            ));
        }
        message.cut = true;
        self.buffered += message.buffered();
        self.partial.insert(id, message);
        Ok(())
    }

    fn take_up(&mut self, id: u64) -> Partial {
        let message = self.partial.remove(&id).unwrap_or_default();
        self.buffered = self.buffered.saturating_sub(message.buffered());
        message
    }

    /// Drops a partial message. Returns whether the application already received part of it.
    fn forget(&mut self, id: u64) -> bool {
        let content = self.take_up(id).content;
        content.is_some_and(|content| !content.cancelled)
    }
}

const OUTSIDE: SessionRefusal = SessionRefusal::BadMessage("a field outside a message");

fn credit(value: &[u8]) -> Result<Message, SessionRefusal> {
    let (id, bytes) = value.split_first_chunk::<8>().ok_or(SHORT)?;
    let bytes = bytes.try_into().map_err(|_| SHORT)?;
    Ok(Message::Credit {
        id: u64::from_be_bytes(*id),
        bytes: u64::from_be_bytes(bytes),
    })
}

fn id_of(value: &[u8]) -> Result<u64, SessionRefusal> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| SHORT)
}

const SHORT: SessionRefusal = SessionRefusal::BadMessage("CREDIT or CANCEL of the wrong length");

//! Puts messages together from the contents of packets, and hands content on as it comes.

use std::collections::HashMap;

use countersign_crypto::hash::Sha256;

use crate::operation::{Code, Event, LONGEST_NAME, Operation, Outcome, is_name};
use crate::risp::{Command, Reader, Value};
use crate::session::command as c;
use crate::session::limits::{
    COMMANDS_IN_PACKET, CONTENT_WINDOW, InsidePacket, KEY_SHARE_BYTES, PARTIAL_MESSAGES, piece_cost,
};
use crate::session::option::OptionList;
use crate::session::refusal::Refusal;

use super::{KeyWords, Message, OF_THE_SESSION, digest_of};

/// Which end reads: each may send only what is its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The server reads operations.
    Operations,
    /// The client reads results and events.
    Results,
}

/// A message of which some has arrived.
#[derive(Debug, Default)]
struct Partial {
    group: Option<String>,
    command: Option<String>,
    event: Option<String>,
    code: Option<u16>,
    rekey: Option<u16>,
    rekey_answer: Option<u16>,
    expires: Option<u64>,
    body: Vec<u8>,
    output: Vec<u8>,
    verification: Option<[u8; 32]>,
    cut: bool,
    content: Option<Box<Content>>,
}

/// The content of a message, which is not kept.
#[derive(Debug)]
struct Content {
    digest: Sha256,
    /// What may still arrive before more is asked for, in bytes.
    window: u64,
    /// What was used of it since more was asked for, in bytes.
    used: u64,
    /// Nobody wants it any more; it is passed over until its sender stops.
    unwanted: bool,
}

/// Puts messages together from the contents of packets.
pub(crate) struct MessageReader {
    reading: Reading,
    longest: usize,
    partial: HashMap<u64, Partial>,
    /// Bytes of bodies held in `partial`.
    held: usize,
}

impl MessageReader {
    /// Reads messages whose bodies are at most `longest` bytes, and never holds more than that of all
    /// half received ones together.
    pub(crate) fn new(reading: Reading, longest: usize) -> Self {
        Self {
            reading,
            longest,
            partial: HashMap::new(),
            held: 0,
        }
    }

    /// Takes bodies of at most this many bytes from now on.
    pub(crate) fn limit(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// Reads one packet's contents and appends the messages that it completes. Whether the packet was
    /// the last of its direction under its key.
    pub(crate) fn read(
        &mut self,
        plaintext: &[u8],
        got: &mut Vec<Message>,
    ) -> Result<bool, Refusal> {
        let mut current: Option<(u64, Partial)> = None;
        let mut reader = Reader::new(plaintext, &InsidePacket);
        let mut commands = 0;
        let mut last_under_key = false;
        for step in reader.by_ref() {
            let (command, value) = step?;
            commands += 1;
            if commands > COMMANDS_IN_PACKET {
                return Err(Refusal::BadMessage("too many commands in a packet"));
            }
            if last_under_key {
                return Err(Refusal::BadMessage("a command after the keys changed"));
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
                        .ok_or(Refusal::BadMessage("a malformed option list"))?;
                    got.push(Message::Options(list));
                }
                (c::END, _) => {
                    let (id, message) = current.take().ok_or(OUTSIDE)?;
                    last_under_key = matches!(message.rekey_answer, Some(option) if option != 0);
                    got.extend(self.complete(id, message)?);
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
            return Err(Refusal::BadMessage("a packet that ends inside a command"));
        }
        self.put_aside(current)?;
        Ok(last_under_key)
    }

    /// Pieces of a message's content were used that count for so many bytes. How much more its sender is
    /// to be told that it may send, once that is worth telling.
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

    /// Passes over what still comes of a message's content; whether any is coming.
    pub(crate) fn cancel(&mut self, id: u64) -> bool {
        let content = self.content_mut(id).filter(|content| !content.unwanted);
        content.map(|content| content.unwanted = true).is_some()
    }

    fn content_mut(&mut self, id: u64) -> Option<&mut Content> {
        self.partial.get_mut(&id)?.content.as_deref_mut()
    }

    /// Takes in one field. Commands of later versions are passed over.
    fn field(
        &mut self,
        current: &mut Option<(u64, Partial)>,
        command: Command,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let Some((id, message)) = current else {
            return if is_field(command) {
                Err(OUTSIDE)
            } else {
                Ok(())
            };
        };
        match (command, value) {
            (c::GROUP, Value::Bytes(text)) => set_once(&mut message.group, name(text)?),
            (c::COMMAND, Value::Bytes(text)) => set_once(&mut message.command, name(text)?),
            (c::EVENT, Value::Bytes(text)) => set_once(&mut message.event, name(text)?),
            (c::CODE, Value::U16(code)) => set_once(&mut message.code, code),
            (c::REKEY, Value::U16(option)) => set_once(&mut message.rekey, option),
            (c::REKEY_ANSWER, Value::U16(option)) => set_once(&mut message.rekey_answer, option),
            (c::EXPIRES, Value::U64(expires)) => set_once(&mut message.expires, expires),
            (c::VERIFICATION_SHA256, Value::Bytes(digest)) => {
                let digest = digest
                    .try_into()
                    .map_err(|_| Refusal::BadMessage("a short digest"))?;
                set_once(&mut message.verification, digest)
            }
            (c::PARAMS | c::DATA | c::KEY_SHARE | c::OUTPUT, Value::Bytes(piece)) => {
                if message.content.is_some() {
                    return Err(Refusal::BadMessage("a body after content"));
                }
                match command {
                    c::OUTPUT => message.output.extend_from_slice(piece),
                    _ => message.body.extend_from_slice(piece),
                }
                let longest = match *id {
                    OF_THE_SESSION => KEY_SHARE_BYTES,
                    _ => self.longest.saturating_sub(self.held),
                };
                if message.held() > longest {
                    return Err(Refusal::BadMessage("longer than a message may be"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn put_aside(&mut self, current: Option<(u64, Partial)>) -> Result<(), Refusal> {
        let Some((id, mut message)) = current else {
            return Ok(());
        };
        if self.partial.len() >= PARTIAL_MESSAGES {
            return Err(Refusal::BadMessage("too many half received messages"));
        }
        message.cut = true;
        self.held += message.held();
        self.partial.insert(id, message);
        Ok(())
    }

    fn take_up(&mut self, id: u64) -> Partial {
        let message = self.partial.remove(&id).unwrap_or_default();
        self.held = self.held.saturating_sub(message.held());
        message
    }

    /// Drops what there is of a message; whether somebody was given some of it and waits for the rest.
    fn forget(&mut self, id: u64) -> bool {
        let content = self.take_up(id).content;
        content.is_some_and(|content| !content.unwanted)
    }

    fn complete(&self, id: u64, message: Partial) -> Result<Option<Message>, Refusal> {
        if let Some(content) = message.content {
            if content.unwanted {
                return Ok(None);
            }
            if message.verification != Some(content.digest.finish()) {
                return Err(Refusal::BadMessage("its digest does not match"));
            }
            return Ok(Some(Message::ContentEnd { id }));
        }
        if message.cut || message.verification.is_some() {
            let digest = digest_of([&message.body[..], &message.output[..]].into_iter());
            if message.verification != Some(digest) {
                return Err(Refusal::BadMessage("its digest does not match"));
            }
        }
        if id == OF_THE_SESSION {
            return message.of_the_session().map(Some);
        }
        message.head(id, self.reading, false).map(Some)
    }
}

impl Partial {
    /// Bytes that are held of it.
    fn held(&self) -> usize {
        self.body.len() + self.output.len()
    }

    /// Takes in a piece of content. With the first one, what stands before it is complete.
    fn content_piece(
        &mut self,
        id: u64,
        piece: &[u8],
        reading: Reading,
        got: &mut Vec<Message>,
    ) -> Result<(), Refusal> {
        if self.event.is_some() {
            return Err(Refusal::BadMessage("an event with content"));
        }
        if self.content.is_none() {
            let mut digest = Sha256::new();
            digest.update(&self.body);
            digest.update(&self.output);
            let head = std::mem::take(self);
            self.cut = head.cut;
            let message = head.head(id, reading, true)?;
            let unwanted = matches!(message, Message::BadOperation { .. });
            got.push(message);
            self.content = Some(Box::new(Content {
                digest,
                window: CONTENT_WINDOW,
                used: 0,
                unwanted,
            }));
        }
        let Some(content) = &mut self.content else {
            return Ok(());
        };
        if piece.is_empty() {
            return Ok(());
        }
        let cost = piece_cost(piece.len());
        content.window = content
            .window
            .checked_sub(cost)
            .ok_or(Refusal::BadMessage("more content than was asked for"))?;
        if !content.unwanted {
            content.digest.update(piece);
            got.push(Message::Content {
                id,
                bytes: piece.to_vec(),
            });
        }
        Ok(())
    }

    fn head(self, id: u64, reading: Reading, content: bool) -> Result<Message, Refusal> {
        match reading {
            Reading::Operations => Ok(self.operation(id, content)),
            Reading::Results => self.result(id, content),
        }
    }

    fn operation(self, id: u64, content: bool) -> Message {
        let names = self.group.zip(self.command);
        let Some((group, command)) =
            names.filter(|(group, command)| is_name(group) && is_name(command))
        else {
            return Message::BadOperation {
                id,
                problem: "it names no group or no command",
            };
        };
        let Some(params) = json(self.body) else {
            return Message::BadOperation {
                id,
                problem: "its params are not JSON",
            };
        };
        let operation = Operation {
            id,
            group,
            command,
            params,
        };
        Message::Operation(operation, content)
    }

    fn result(self, id: u64, content: bool) -> Result<Message, Refusal> {
        let data = json(self.body).ok_or(Refusal::BadMessage("data that is not JSON"))?;
        if let Some(event) = self.event {
            let group = self
                .group
                .ok_or(Refusal::BadMessage("an event without a group"))?;
            return Ok(Message::Event(Event { group, event, data }));
        }
        let code = self
            .code
            .ok_or(Refusal::BadMessage("a result without a code"))?;
        let output = String::from_utf8(self.output)
            .map_err(|_| Refusal::BadMessage("output that is not UTF-8"))?;
        let outcome = Outcome {
            id,
            code: Code(code),
            data,
            output,
        };
        Ok(Message::Outcome(outcome, content))
    }

    fn of_the_session(self) -> Result<Message, Refusal> {
        let words = |option| KeyWords {
            option,
            share: self.body,
            expires: self.expires,
        };
        match (self.rekey, self.rekey_answer) {
            (Some(option), None) => Ok(Message::KeyOffer(words(option))),
            (None, Some(option)) => Ok(Message::KeyAnswer(words(option))),
            _ => Err(Refusal::BadMessage("a message of the session that is none")),
        }
    }
}

const OUTSIDE: Refusal = Refusal::BadMessage("a field outside a message");

/// Whether a command means something in a message only.
fn is_field(command: Command) -> bool {
    matches!(
        command,
        c::GROUP
            | c::COMMAND
            | c::EVENT
            | c::CODE
            | c::PARAMS
            | c::DATA
            | c::OUTPUT
            | c::KEY_SHARE
            | c::REKEY
            | c::REKEY_ANSWER
            | c::VERIFICATION_SHA256
    )
}

fn credit(value: &[u8]) -> Result<Message, Refusal> {
    let (id, bytes) = value.split_first_chunk::<8>().ok_or(SHORT)?;
    let bytes = bytes.try_into().map_err(|_| SHORT)?;
    Ok(Message::Credit {
        id: u64::from_be_bytes(*id),
        bytes: u64::from_be_bytes(bytes),
    })
}

fn id_of(value: &[u8]) -> Result<u64, Refusal> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| SHORT)
}

const SHORT: Refusal = Refusal::BadMessage("CREDIT or CANCEL of the wrong length");

fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::BadMessage("a field given twice")),
    }
}

fn name(text: &[u8]) -> Result<String, Refusal> {
    if text.len() > LONGEST_NAME {
        return Err(Refusal::BadMessage("a name that is too long"));
    }
    String::from_utf8(text.to_vec()).map_err(|_| Refusal::BadMessage("a name that is not UTF-8"))
}

fn json(body: Vec<u8>) -> Option<Box<serde_json::value::RawValue>> {
    if body.is_empty() {
        return serde_json::value::RawValue::from_string("{}".to_owned()).ok();
    }
    serde_json::value::RawValue::from_string(String::from_utf8(body).ok()?).ok()
}

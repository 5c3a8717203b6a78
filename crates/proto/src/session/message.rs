//! Messages: operations, results and events as RISP inside packets (`docs/protocol/session.md`, Messages).
//!
//! A message is MESSAGE-ID, its fields in any order, END. A long field is sent in pieces. A message that
//! does not fit what is left of a packet is cut: the next packet names the MESSAGE-ID again and goes on,
//! so that pieces of several messages may alternate. A cut message ends with the digest of its body.

use std::collections::HashMap;

use countersign_crypto::hash::Sha256;

use crate::operation::{Code, Event, Operation, Outcome, is_name};
use crate::risp::{Command, Reader, Value};

use super::command as c;
use super::limits::{COMMANDS_IN_PACKET, InsidePacket, PARTIAL_MESSAGES};
use super::packet::PacketWriter;
use super::refusal::Refusal;

/// MESSAGE-ID and its integer.
const ID_BYTES: usize = 2 + 8;
/// VERIFICATION-SHA256 and END.
const TAIL_BYTES: usize = (3 + 32) + 2;
/// The command and length of a piece of a body.
const PIECE_HEADER: usize = 2 + 4;
/// A piece shorter than this waits for the next packet instead.
const LEAST_PIECE: usize = 32;

/// What the two ends say to each other inside packets.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Operation(Operation),
    /// An operation that cannot even be looked up; it is answered, and the session lives.
    BadOperation {
        id: u64,
        problem: &'static str,
    },
    Outcome(Outcome),
    Event(Event),
    Goodbye(u8),
}

/// Writes one message: `fields` are short and stay whole, `bodies` are cut where a packet ends.
pub(crate) fn write(
    packets: &mut PacketWriter,
    id: u64,
    fields: &[(Command, Value<'_>)],
    bodies: &[(Command, &[u8])],
) -> Result<(), Refusal> {
    let fixed: usize = fields.iter().map(|(_, value)| 3 + length(value)).sum();
    if packets.room() < ID_BYTES + fixed + LEAST_PIECE + TAIL_BYTES {
        packets.close()?;
    }
    packets.put(c::MESSAGE_ID, Value::U64(id))?;
    for (command, value) in fields {
        packets.put(*command, *value)?;
    }
    let mut cut = false;
    for (command, body) in bodies {
        let mut rest = *body;
        while !rest.is_empty() {
            let room = packets.room().saturating_sub(PIECE_HEADER + TAIL_BYTES);
            if room < rest.len() && room < LEAST_PIECE {
                go_on_in_next_packet(packets, id)?;
                cut = true;
                continue;
            }
            let (piece, later) = rest.split_at(room.min(rest.len()));
            packets.put(*command, Value::Bytes(piece))?;
            rest = later;
        }
    }
    if cut {
        let digest = digest_of(bodies.iter().map(|(_, body)| *body));
        packets.put(c::VERIFICATION_SHA256, Value::Bytes(&digest))?;
    }
    packets.put(c::END, Value::Nothing)
}

fn go_on_in_next_packet(packets: &mut PacketWriter, id: u64) -> Result<(), Refusal> {
    packets.close()?;
    packets.put(c::MESSAGE_ID, Value::U64(id))
}

fn length(value: &Value<'_>) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

fn digest_of<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    bodies.for_each(|body| digest.update(body));
    digest.finish()
}

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
    body: Vec<u8>,
    output: Vec<u8>,
    verification: Option<[u8; 32]>,
    cut: bool,
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

    /// Reads one packet's contents and appends the messages that it completes.
    pub(crate) fn read(&mut self, plaintext: &[u8], got: &mut Vec<Message>) -> Result<(), Refusal> {
        let mut current: Option<(u64, Partial)> = None;
        let mut reader = Reader::new(plaintext, &InsidePacket);
        let mut commands = 0;
        for step in reader.by_ref() {
            let (command, value) = step?;
            commands += 1;
            if commands > COMMANDS_IN_PACKET {
                return Err(Refusal::BadMessage("too many commands in a packet"));
            }
            match (command, value) {
                (c::NOP, _) => {}
                (c::MESSAGE_ID, Value::U64(id)) => {
                    self.put_aside(current.take())?;
                    current = Some((id, self.take_up(id)));
                }
                (c::GOODBYE, Value::U8(reason)) => got.push(Message::Goodbye(reason)),
                (c::END, _) => {
                    let (id, message) = current.take().ok_or(OUTSIDE)?;
                    got.push(self.complete(id, message)?);
                }
                (command, value) => self.field(&mut current, command, value)?,
            }
        }
        if reader.consumed() != plaintext.len() {
            return Err(Refusal::BadMessage("a packet that ends inside a command"));
        }
        self.put_aside(current)
    }

    /// Takes in one field. Commands of later versions are passed over.
    fn field(
        &mut self,
        current: &mut Option<(u64, Partial)>,
        command: Command,
        value: Value<'_>,
    ) -> Result<(), Refusal> {
        let Some((_, message)) = current else {
            return if matches!(command, c::GROUP | c::COMMAND | c::EVENT | c::CODE)
                || matches!(
                    command,
                    c::PARAMS | c::DATA | c::OUTPUT | c::VERIFICATION_SHA256
                ) {
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
            (c::VERIFICATION_SHA256, Value::Bytes(digest)) => {
                let digest = digest
                    .try_into()
                    .map_err(|_| Refusal::BadMessage("a short digest"))?;
                set_once(&mut message.verification, digest)
            }
            (c::PARAMS | c::DATA, Value::Bytes(piece)) => {
                message.body.extend_from_slice(piece);
                self.bounded(message.body.len() + message.output.len())
            }
            (c::OUTPUT, Value::Bytes(piece)) => {
                message.output.extend_from_slice(piece);
                self.bounded(message.body.len() + message.output.len())
            }
            _ => Ok(()),
        }
    }

    fn bounded(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes + self.held > self.longest {
            return Err(Refusal::BadMessage("longer than a message may be"));
        }
        Ok(())
    }

    fn put_aside(&mut self, current: Option<(u64, Partial)>) -> Result<(), Refusal> {
        let Some((id, mut message)) = current else {
            return Ok(());
        };
        if self.partial.len() >= PARTIAL_MESSAGES {
            return Err(Refusal::BadMessage("too many half received messages"));
        }
        message.cut = true;
        self.held += message.body.len() + message.output.len();
        self.partial.insert(id, message);
        Ok(())
    }

    fn take_up(&mut self, id: u64) -> Partial {
        let message = self.partial.remove(&id).unwrap_or_default();
        self.held = self
            .held
            .saturating_sub(message.body.len() + message.output.len());
        message
    }

    fn complete(&self, id: u64, message: Partial) -> Result<Message, Refusal> {
        if message.cut || message.verification.is_some() {
            let digest = digest_of([&message.body[..], &message.output[..]].into_iter());
            if message.verification != Some(digest) {
                return Err(Refusal::BadMessage("its digest does not match"));
            }
        }
        match self.reading {
            Reading::Operations => Ok(operation(id, message)),
            Reading::Results => result(id, message),
        }
    }
}

const OUTSIDE: Refusal = Refusal::BadMessage("a field outside a message");

fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::BadMessage("a field given twice")),
    }
}

fn name(text: &[u8]) -> Result<String, Refusal> {
    String::from_utf8(text.to_vec()).map_err(|_| Refusal::BadMessage("a name that is not UTF-8"))
}

fn operation(id: u64, message: Partial) -> Message {
    let names = message.group.zip(message.command);
    let Some((group, command)) =
        names.filter(|(group, command)| is_name(group) && is_name(command))
    else {
        return Message::BadOperation {
            id,
            problem: "it names no group or no command",
        };
    };
    let Some(params) = json(message.body) else {
        return Message::BadOperation {
            id,
            problem: "its params are not JSON",
        };
    };
    Message::Operation(Operation {
        id,
        group,
        command,
        params,
    })
}

fn result(id: u64, message: Partial) -> Result<Message, Refusal> {
    let data = json(message.body).ok_or(Refusal::BadMessage("data that is not JSON"))?;
    if let Some(event) = message.event {
        let group = message
            .group
            .ok_or(Refusal::BadMessage("an event without a group"))?;
        return Ok(Message::Event(Event { group, event, data }));
    }
    let code = message
        .code
        .ok_or(Refusal::BadMessage("a result without a code"))?;
    let output = String::from_utf8(message.output)
        .map_err(|_| Refusal::BadMessage("output that is not UTF-8"))?;
    Ok(Message::Outcome(Outcome {
        id,
        code: Code(code),
        data,
        output,
    }))
}

fn json(body: Vec<u8>) -> Option<Box<serde_json::value::RawValue>> {
    if body.is_empty() {
        return serde_json::value::RawValue::from_string("{}".to_owned()).ok();
    }
    serde_json::value::RawValue::from_string(String::from_utf8(body).ok()?).ok()
}

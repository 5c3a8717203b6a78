//! A partly received message: collects its fields and completes it.

use countersign_crypto::hash::Sha256;

use crate::operation::{Code, Event, MAX_NAME, Operation, Outcome, is_name};
use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::limits::{CONTENT_WINDOW, piece_cost};
use crate::session::refusal::SessionRefusal;

use super::reader::Reading;
use super::{KeyExchangeMessage, Message, SESSION_MESSAGE_ID, digest_of};

/// A partly received message.
#[derive(Debug, Default)]
pub(super) struct Partial {
    group: Option<String>,
    command: Option<String>,
    event: Option<String>,
    code: Option<u16>,
    rekey: Option<u16>,
    pub(super) rekey_answer: Option<u16>,
    expires: Option<u64>,
    body: Vec<u8>,
    output: Vec<u8>,
    verification: Option<[u8; 32]>,
    pub(super) cut: bool,
    pub(super) content: Option<Box<Content>>,
}

/// The state of a message's content. The content itself is not buffered.
#[derive(Debug)]
pub(super) struct Content {
    digest: Sha256,
    /// How many bytes may still arrive without further credit.
    pub(super) window: u64,
    /// How many bytes were consumed since the last credit.
    pub(super) used: u64,
    /// The content was cancelled and is ignored until the sender stops.
    pub(super) cancelled: bool,
}

impl Partial {
    /// Processes one field. `max_body` is the maximum total length of bodies in bytes. Unknown
    /// commands are ignored.
    pub(super) fn field(
        &mut self,
        command: Command,
        value: Value<'_>,
        max_body: usize,
    ) -> Result<(), SessionRefusal> {
        match (command, value) {
            (c::GROUP, Value::Bytes(text)) => set_once(&mut self.group, name(text)?),
            (c::COMMAND, Value::Bytes(text)) => set_once(&mut self.command, name(text)?),
            (c::EVENT, Value::Bytes(text)) => set_once(&mut self.event, name(text)?),
            (c::CODE, Value::U16(code)) => set_once(&mut self.code, code),
            (c::REKEY, Value::U16(option)) => set_once(&mut self.rekey, option),
            (c::REKEY_ANSWER, Value::U16(option)) => set_once(&mut self.rekey_answer, option),
            (c::EXPIRES, Value::U64(expires)) => set_once(&mut self.expires, expires),
            (c::VERIFICATION_SHA256, Value::Bytes(digest)) => {
                let digest = digest
                    .try_into()
                    .map_err(|_| SessionRefusal::BadMessage("a short digest"))?;
                set_once(&mut self.verification, digest)
            }
            (c::PARAMS | c::DATA | c::KEY_SHARE | c::OUTPUT, Value::Bytes(piece)) => {
                if self.content.is_some() {
                    return Err(SessionRefusal::BadMessage("a body after content"));
                }
                match command {
                    c::OUTPUT => self.output.extend_from_slice(piece),
                    _ => self.body.extend_from_slice(piece),
                }
                if self.buffered() > max_body {
                    return Err(SessionRefusal::BadMessage("longer than a message may be"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The complete message, or the end of its content. `None` if it was cancelled.
    pub(super) fn complete(
        self,
        id: u64,
        reading: Reading,
    ) -> Result<Option<Message>, SessionRefusal> {
        if let Some(content) = self.content {
            if content.cancelled {
                return Ok(None);
            }
            if self.verification != Some(content.digest.finish()) {
                return Err(SessionRefusal::BadMessage("its digest does not match"));
            }
            return Ok(Some(Message::ContentEnd { id }));
        }
        if self.cut || self.verification.is_some() {
            let digest = digest_of([&self.body[..], &self.output[..]].into_iter());
            if self.verification != Some(digest) {
                return Err(SessionRefusal::BadMessage("its digest does not match"));
            }
        }
        if id == SESSION_MESSAGE_ID {
            return self.of_the_session().map(Some);
        }
        self.head(id, reading, false).map(Some)
    }

    /// The number of buffered bytes.
    pub(super) fn buffered(&self) -> usize {
        self.body.len() + self.output.len()
    }

    /// Processes a piece of content. The first one completes the message before it.
    pub(super) fn content_piece(
        &mut self,
        id: u64,
        piece: &[u8],
        reading: Reading,
        got: &mut Vec<Message>,
    ) -> Result<(), SessionRefusal> {
        if self.event.is_some() {
            return Err(SessionRefusal::BadMessage("an event with content"));
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
                cancelled: unwanted,
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
            .ok_or(SessionRefusal::BadMessage(
                "more content than was asked for",
            ))?;
        if !content.cancelled {
            content.digest.update(piece);
            got.push(Message::Content {
                id,
                bytes: piece.to_vec(),
            });
        }
        Ok(())
    }

    fn head(self, id: u64, reading: Reading, content: bool) -> Result<Message, SessionRefusal> {
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

    fn result(self, id: u64, content: bool) -> Result<Message, SessionRefusal> {
        let data = json(self.body).ok_or(SessionRefusal::BadMessage("data that is not JSON"))?;
        if let Some(event) = self.event {
            let group = self
                .group
                .ok_or(SessionRefusal::BadMessage("an event without a group"))?;
            return Ok(Message::Event(Event { group, event, data }));
        }
        let code = self
            .code
            .ok_or(SessionRefusal::BadMessage("a result without a code"))?;
        let output = String::from_utf8(self.output)
            .map_err(|_| SessionRefusal::BadMessage("output that is not UTF-8"))?;
        let outcome = Outcome {
            id,
            code: Code(code),
            data,
            output,
        };
        Ok(Message::Outcome(outcome, content))
    }

    fn of_the_session(self) -> Result<Message, SessionRefusal> {
        let words = |option| KeyExchangeMessage {
            option,
            share: self.body,
            expires: self.expires,
        };
        match (self.rekey, self.rekey_answer) {
            (Some(option), None) => Ok(Message::KeyOffer(words(option))),
            (None, Some(option)) => Ok(Message::KeyAnswer(words(option))),
            _ => Err(SessionRefusal::BadMessage(
                "a message of the session that is none",
            )),
        }
    }
}

/// Whether a command is a field of a message.
pub(super) fn is_field(command: Command) -> bool {
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

fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), SessionRefusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(SessionRefusal::BadMessage("a field given twice")),
    }
}

fn name(text: &[u8]) -> Result<String, SessionRefusal> {
    if text.len() > MAX_NAME {
        return Err(SessionRefusal::BadMessage("a name that is too long"));
    }
    String::from_utf8(text.to_vec())
        .map_err(|_| SessionRefusal::BadMessage("a name that is not UTF-8"))
}

fn json(body: Vec<u8>) -> Option<Box<serde_json::value::RawValue>> {
    if body.is_empty() {
        return serde_json::value::RawValue::from_string("{}".to_owned()).ok();
    }
    serde_json::value::RawValue::from_string(String::from_utf8(body).ok()?).ok()
}

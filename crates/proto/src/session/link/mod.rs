//! The link: an authenticated connection's packets, messages and keys, which are the same on both
//! ends.
//!
//! ```text
//!            login authenticated           GOODBYE, or a packet that fails to decrypt
//! (login) ----------------->  live  ---------------------------------------------> (closed)
//!                            |    ^
//!                            '----'  packets of operations, results, events
//! ```
//!
//! Only the state machines of [`super::server`] and [`super::client`] make a `Link`, once both ends
//! are authenticated.

mod welcome;

use countersign_crypto::entropy::Entropy;

use crate::operation::{Event, Operation, Outcome};
use crate::risp::Value;

use super::command as c;
use super::keys::Established;
use super::limits::{
    DEFAULT_MESSAGE_BYTES, MAX_UNINTERLEAVED, REKEY_AFTER, REKEY_RETRY_DIVISOR, SEALED_AHEAD,
};
use super::live::Goodbye;
use super::message::{
    self, Cancelled, Field, KeyExchangeMessage, Message, MessageReader, Reading,
    SESSION_MESSAGE_ID, Sender,
};
use super::option::{EncryptionOption, OptionList};
use super::packet::{PacketReader, PacketWriter};
use super::refusal::SessionRefusal;
use super::rekey::{End, NewKeys, Rekeying};

pub(crate) use welcome::FirstPacket;

/// Both directions of a live session.
pub(crate) struct Link {
    reader: PacketReader,
    writer: PacketWriter,
    messages: MessageReader,
    sender: Sender,
    keys: Rekeying,
    rekey_after: u64,
    /// The number of bytes transferred when the peer declined new keys.
    declined_at: Option<u64>,
}

impl Link {
    /// The server's end.
    pub(crate) fn server(established: &Established) -> Self {
        Self::new(End::Server, Reading::Operations, established)
    }

    /// The client's end.
    pub(crate) fn client(established: &Established) -> Self {
        Self::new(End::Client, Reading::Results, established)
    }

    fn new(end: End, reading: Reading, established: &Established) -> Self {
        let (from_client, from_server) =
            (&established.client_to_server, &established.server_to_client);
        let (read, write) = match end {
            End::Client => (from_server, from_client),
            End::Server => (from_client, from_server),
        };
        let (option, max_packet) = (established.option, established.max_packet);
        Self {
            reader: PacketReader::new(option, read, max_packet),
            writer: PacketWriter::new(option, write, max_packet),
            messages: MessageReader::new(reading, DEFAULT_MESSAGE_BYTES),
            sender: Sender::default(),
            keys: Rekeying::new(end, established),
            rekey_after: REKEY_AFTER,
            declined_at: None,
        }
    }

    /// Decrypts every complete packet of `input` in place and appends the messages that they
    /// complete. Returns the number of bytes used. Pass the rest again, together with the bytes
    /// that follow.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        got: &mut Vec<Message>,
    ) -> Result<usize, SessionRefusal> {
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..) {
            let Some((plaintext, bytes)) = self.reader.open(rest)? else {
                break;
            };
            let before = got.len();
            let last_under_key = self.messages.read(plaintext, got)?;
            used += bytes;
            if last_under_key
                || got
                    .get(before..)
                    .is_some_and(|new| new.iter().any(is_link_message))
            {
                self.handle_link_messages(before, got)?;
            }
        }
        Ok(used)
    }

    /// Handles and removes those messages from index `before` on that concern the link itself.
    fn handle_link_messages(
        &mut self,
        before: usize,
        got: &mut Vec<Message>,
    ) -> Result<(), SessionRefusal> {
        for message in got.split_off(before) {
            match message {
                Message::Credit { id, bytes } => self.sender.credit(id, bytes)?,
                Message::Cancelled { id, receiving } => {
                    let sending = self.sender.cancel(id);
                    if sending == Some(Cancelled::Started) {
                        self.put_cancel(id)?;
                    }
                    if receiving || sending.is_some() {
                        got.push(Message::Cancelled { id, receiving });
                    }
                }
                Message::KeyOffer(words) => {
                    if self.keys.record_offer()? {
                        got.push(Message::KeyOffer(words));
                    }
                }
                Message::KeyAnswer(words) => {
                    self.declined_at = match self.keys.process_answer(words.option, &words.share)? {
                        Some(keys) => {
                            self.reader.rekey(keys.option, &keys.read);
                            self.put_short(c::REKEYED, Value::Nothing)?;
                            self.writer.rekey(keys.option, &keys.write)?;
                            None
                        }
                        None => Some(self.used()),
                    };
                    got.push(Message::KeyAnswer(words));
                }
                Message::Rekeyed => {
                    let (option, key) = self.keys.process_rekeyed()?;
                    self.reader.rekey(option, &key);
                }
                other => got.push(other),
            }
        }
        Ok(())
    }

    /// Sets the maximum length of a message body, in bytes.
    pub(crate) fn set_max_message(&mut self, bytes: usize) {
        self.messages.limit(bytes);
    }

    /// Sets after how many bytes in one direction [`Self::wants_rekey`] asks for new keys.
    pub(crate) fn set_rekey_after(&mut self, bytes: u64) {
        self.rekey_after = bytes;
        self.declined_at = None;
    }

    /// Whether new keys are due. A peer that declined is not asked again at once.
    pub(crate) fn wants_rekey(&self) -> bool {
        let wanted = match self.declined_at {
            Some(declined) => {
                self.used() > declined.saturating_add(self.rekey_after / REKEY_RETRY_DIVISOR)
            }
            None => self.used() >= self.rekey_after,
        };
        wanted && !self.keys.in_progress()
    }

    /// Whether a key exchange is in progress.
    pub(crate) fn is_renewing_keys(&self) -> bool {
        self.keys.in_progress()
    }

    /// The number of bytes under the present keys, in the direction that had more.
    fn used(&self) -> u64 {
        self.writer.sealed().max(self.reader.opened())
    }

    /// The encryption option of the present keys.
    pub(crate) fn option(&self) -> EncryptionOption {
        self.keys.option()
    }

    /// Offers new keys. Returns `false` if a key exchange is in progress.
    pub(crate) fn offer_keys(
        &mut self,
        option: EncryptionOption,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        let Some(share) = self.keys.offer(option, entropy) else {
            return Ok(false);
        };
        let fields = [(c::REKEY, Value::U16(option.id()))];
        let bodies = [(c::KEY_SHARE, &share[..])];
        message::write(&mut self.writer, SESSION_MESSAGE_ID, &fields, &bodies)?;
        Ok(true)
    }

    /// Answers an offer of new keys, and uses the new write key from then on. An option that is not
    /// allowed is declined, and the keys do not change.
    pub(crate) fn answer_keys(
        &mut self,
        offer: &KeyExchangeMessage,
        allowed: &[EncryptionOption],
        expires: Option<u64>,
        entropy: &mut dyn Entropy,
    ) -> Result<bool, SessionRefusal> {
        let option = allowed.iter().find(|option| option.id() == offer.option);
        let Some(option) = option else {
            self.keys.decline();
            let fields = [(c::REKEY_ANSWER, Value::U16(0))];
            message::write(&mut self.writer, SESSION_MESSAGE_ID, &fields, &[])?;
            return Ok(false);
        };
        let (share, keys) = self.keys.answer(*option, &offer.share, entropy)?;
        let NewKeys { option, write, .. } = keys;
        let answer = (c::REKEY_ANSWER, Value::U16(option.id()));
        let bodies = [(c::KEY_SHARE, &share[..])];
        match expires {
            Some(expires) => {
                let fields = [answer, (c::EXPIRES, Value::U64(expires))];
                message::write(&mut self.writer, SESSION_MESSAGE_ID, &fields, &bodies)?;
            }
            None => message::write(&mut self.writer, SESSION_MESSAGE_ID, &[answer], &bodies)?,
        }
        self.writer.rekey(option, &write)?;
        Ok(true)
    }

    /// The maximum length of a body that is not interleaved, in bytes.
    fn max_uninterleaved(&self) -> usize {
        self.writer.capacity().max(MAX_UNINTERLEAVED)
    }

    /// Queues an operation, with or without content to follow.
    pub(crate) fn send_operation(
        &mut self,
        operation: &Operation,
        content: bool,
    ) -> Result<(), SessionRefusal> {
        let params = operation.params.get();
        if content || params.len() > self.max_uninterleaved() {
            let fields = vec![
                Field::Name(c::GROUP, operation.group.clone()),
                Field::Name(c::COMMAND, operation.command.clone()),
            ];
            let bodies = [(c::PARAMS, params.as_bytes().to_vec())];
            self.sender.push(operation.id, fields, bodies, content);
            return Ok(());
        }
        let fields = [
            (c::GROUP, Value::Bytes(operation.group.as_bytes())),
            (c::COMMAND, Value::Bytes(operation.command.as_bytes())),
        ];
        let bodies = [(c::PARAMS, params.as_bytes())];
        message::write(&mut self.writer, operation.id, &fields, &bodies)
    }

    /// Queues a result, with or without content to follow.
    pub(crate) fn send_outcome(
        &mut self,
        outcome: &Outcome,
        content: bool,
    ) -> Result<(), SessionRefusal> {
        let (data, output) = (outcome.data.get(), &outcome.output);
        if content || data.len() + output.len() > self.max_uninterleaved() {
            let fields = vec![Field::Code(c::CODE, outcome.code.0)];
            let bodies = [
                (c::DATA, data.as_bytes().to_vec()),
                (c::OUTPUT, output.as_bytes().to_vec()),
            ];
            self.sender.push(outcome.id, fields, bodies, content);
            return Ok(());
        }
        let fields = [(c::CODE, Value::U16(outcome.code.0))];
        let bodies = [(c::DATA, data.as_bytes()), (c::OUTPUT, output.as_bytes())];
        message::write(&mut self.writer, outcome.id, &fields, &bodies)
    }

    pub(crate) fn send_event(&mut self, event: &Event) -> Result<(), SessionRefusal> {
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

    /// The number of queued bytes without content.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.writer.waiting() + self.sender.queued_bytes()
    }

    pub(crate) fn wants_content(&self, id: u64) -> bool {
        self.sender.wants_content(id)
    }

    pub(crate) fn send_content(&mut self, id: u64, bytes: Vec<u8>) {
        self.sender.send_content(id, bytes);
    }

    pub(crate) fn end_content(&mut self, id: u64) {
        self.sender.end_content(id);
    }

    /// Ends the content of that message in both directions.
    pub(crate) fn cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        let receiving = self.messages.cancel(id);
        let sending = self.sender.cancel(id) == Some(Cancelled::Started);
        if receiving || sending {
            self.put_cancel(id)?;
        }
        Ok(())
    }

    /// Reports that the application consumed pieces of a message's content that count as `bytes`.
    /// Grants the peer more credit when enough was consumed.
    pub(crate) fn consumed(&mut self, id: u64, bytes: u64) -> Result<(), SessionRefusal> {
        let Some(granted) = self.messages.consumed(id, bytes) else {
            return Ok(());
        };
        let mut value = [0; 16];
        let (first, second) = value.split_at_mut(8);
        first.copy_from_slice(&id.to_be_bytes());
        second.copy_from_slice(&granted.to_be_bytes());
        self.put_short(c::CREDIT, Value::Bytes(&value))
    }

    fn put_cancel(&mut self, id: u64) -> Result<(), SessionRefusal> {
        self.put_short(c::CANCEL, Value::Bytes(&id.to_be_bytes()))
    }

    pub(crate) fn send_options_request(&mut self) -> Result<(), SessionRefusal> {
        self.put_short(c::OPTIONS_REQUEST, Value::Nothing)
    }

    pub(crate) fn send_options(&mut self, options: &OptionList) -> Result<(), SessionRefusal> {
        self.put_short(c::OPTIONS, Value::Bytes(&options.wire()))
    }

    /// Queues a NOP as keep-alive.
    pub(crate) fn send_nop(&mut self) -> Result<(), SessionRefusal> {
        self.put_short(c::NOP, Value::Nothing)
    }

    /// Appends a command that belongs to no message.
    fn put_short(
        &mut self,
        command: crate::risp::Command,
        value: Value<'_>,
    ) -> Result<(), SessionRefusal> {
        const MAX_LENGTH: usize = 64;
        if self.writer.is_open() && self.writer.room() < MAX_LENGTH {
            self.writer.close()?;
        }
        self.writer.put(command, value)
    }

    pub(crate) fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), SessionRefusal> {
        self.put_short(c::GOODBYE, Value::U8(reason as u8))
    }

    /// Seals queued data, up to the limit of what the connection should buffer, and appends it to
    /// `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        let before = out.len();
        self.sender.fill(&mut self.writer, |packets| {
            before + packets.waiting() >= SEALED_AHEAD
        })?;
        self.writer.flush(out)
    }
}

/// Whether the link itself handles this message.
fn is_link_message(message: &Message) -> bool {
    matches!(
        message,
        Message::Credit { .. }
            | Message::Cancelled { .. }
            | Message::KeyOffer(_)
            | Message::KeyAnswer(_)
            | Message::Rekeyed
    )
}

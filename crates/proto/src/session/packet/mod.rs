//! Packets: one key and one counter a direction (`docs/protocol/session.md`, Packets). The usual form is a
//! WRAPPED command; the option `delivered-key` has the original one.
//!
//! A packet's number is its nonce, so a packet that was repeated, dropped or moved does not open.

mod delivered;
mod wrapped;

#[cfg(test)]
mod tests;

use countersign_crypto::record::{Opener, Sealer};
use countersign_crypto::secret::Secret;

use super::option::EncryptionOption;
use super::refusal::SessionRefusal;
use crate::risp::{self, Command};

/// What a packet looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Wrapped,
    Delivered,
}

/// A packet at the front of the input.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// The length of its plaintext in bytes.
    plaintext: usize,
    /// The length of the whole packet in bytes.
    whole: usize,
}

impl Form {
    fn of(option: EncryptionOption) -> Self {
        match option {
            EncryptionOption::DeliveredKey => Self::Delivered,
            _ => Self::Wrapped,
        }
    }

    /// Bytes before the plaintext.
    const fn header(self) -> usize {
        match self {
            Self::Wrapped => wrapped::HEADER,
            Self::Delivered => delivered::HEADER,
        }
    }

    /// Bytes of MAX-PACKET that are no plaintext.
    const fn overhead(self) -> usize {
        match self {
            Self::Wrapped => wrapped::OVERHEAD,
            Self::Delivered => delivered::OVERHEAD,
        }
    }
}

/// Seals packets, gathering commands until one is full or flushed.
pub(crate) struct PacketWriter {
    form: Form,
    sealer: Sealer,
    /// Bytes of plaintext that fit one packet.
    capacity: usize,
    wire: Vec<u8>,
    /// Where the packet that is being filled starts in `wire`.
    open: Option<usize>,
    /// Bytes of plaintext under the present key.
    sealed: u64,
}

impl PacketWriter {
    pub(crate) fn new(option: EncryptionOption, key: &Secret<32>, max_packet: u32) -> Self {
        let form = Form::of(option);
        Self {
            form,
            sealer: Sealer::new(option.cipher(), key),
            capacity: (max_packet as usize).saturating_sub(form.overhead()),
            wire: Vec::new(),
            open: None,
            sealed: 0,
        }
    }

    /// Seals what follows under this key. The packet being filled is the last under the old one.
    pub(crate) fn rekey(
        &mut self,
        option: EncryptionOption,
        key: &Secret<32>,
    ) -> Result<(), SessionRefusal> {
        self.close()?;
        let max_packet = self.capacity + self.form.overhead();
        self.form = Form::of(option);
        self.capacity = max_packet.saturating_sub(self.form.overhead());
        self.sealer = Sealer::new(option.cipher(), key);
        self.sealed = 0;
        Ok(())
    }

    /// Bytes of plaintext that were sealed under the present key; more than any limit when the key has
    /// done most of what it may.
    pub(crate) fn sealed(&self) -> u64 {
        if self.sealer.wants_rekey() {
            return u64::MAX;
        }
        self.sealed
    }

    /// Bytes that are sealed, or about to be, and were not moved out yet.
    pub(crate) fn waiting(&self) -> usize {
        self.wire.len()
    }

    /// Bytes that a whole packet holds.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that still fit the packet being filled.
    pub(crate) fn room(&self) -> usize {
        let header = self.form.header();
        let filled = self
            .open
            .map_or(0, |start| self.wire.len().saturating_sub(start + header));
        self.capacity.saturating_sub(filled)
    }

    /// Whether a packet is being filled.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Appends a command to the packet being filled; the caller has seen to the room.
    pub(crate) fn put(
        &mut self,
        command: Command,
        value: risp::Value<'_>,
    ) -> Result<(), SessionRefusal> {
        if self.open.is_none() {
            self.open = Some(self.wire.len());
            self.wire.resize(self.wire.len() + self.form.header(), 0);
        }
        risp::put(&mut self.wire, command, value)
            .map_err(|_| SessionRefusal::BadMessage("a value that does not fit its command"))
    }

    /// Seals the packet being filled, if there is one.
    pub(crate) fn close(&mut self) -> Result<(), SessionRefusal> {
        let Some(packet) = self
            .open
            .take()
            .and_then(|start| self.wire.get_mut(start..))
        else {
            return Ok(());
        };
        self.sealed += packet.len().saturating_sub(self.form.header()) as u64;
        match self.form {
            Form::Wrapped => {
                let tag = wrapped::seal(&mut self.sealer, packet)?;
                self.wire.extend_from_slice(&tag);
            }
            Form::Delivered => {
                let tail = delivered::seal(&mut self.sealer, packet)?;
                self.wire.extend_from_slice(&tail);
            }
        }
        Ok(())
    }

    /// Closes the packet being filled and moves all that is sealed to the end of `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.close()?;
        if out.is_empty() {
            std::mem::swap(out, &mut self.wire);
        } else {
            out.append(&mut self.wire);
        }
        Ok(())
    }
}

/// Opens packets in place. One that does not open ends it: what follows is not trusted either.
pub(crate) struct PacketReader {
    form: Form,
    opener: Option<Opener>,
    max_packet: usize,
    /// Bytes of plaintext under the present key.
    opened: u64,
}

impl PacketReader {
    pub(crate) fn new(option: EncryptionOption, key: &Secret<32>, max_packet: u32) -> Self {
        Self {
            form: Form::of(option),
            opener: Some(Opener::new(option.cipher(), key)),
            max_packet: max_packet as usize,
            opened: 0,
        }
    }

    /// Opens what follows under this key. A reader that refused once stays closed.
    pub(crate) fn rekey(&mut self, option: EncryptionOption, key: &Secret<32>) {
        if let Some(opener) = &mut self.opener {
            *opener = Opener::new(option.cipher(), key);
            self.form = Form::of(option);
            self.opened = 0;
        }
    }

    /// As [`PacketWriter::sealed`], of what was opened.
    pub(crate) fn opened(&self) -> u64 {
        match &self.opener {
            Some(opener) if opener.wants_rekey() => u64::MAX,
            _ => self.opened,
        }
    }

    /// Opens the packet that `input` starts with: its plaintext and how many bytes of input it was,
    /// or `None` when it has not arrived whole.
    pub(crate) fn open<'a>(
        &mut self,
        input: &'a mut [u8],
    ) -> Result<Option<(&'a mut [u8], usize)>, SessionRefusal> {
        let frame = match self.form {
            Form::Wrapped => wrapped::frame(input, self.max_packet)?,
            Form::Delivered => delivered::frame(input, self.max_packet)?,
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        let (Some(opener), Some(packet)) = (&mut self.opener, input.get_mut(..frame.whole)) else {
            return Err(FORGED);
        };
        let opened = match self.form {
            Form::Wrapped => wrapped::open(opener, packet, frame)?,
            Form::Delivered => delivered::open(opener, packet, frame)?,
        };
        match opened {
            Some(plaintext) => {
                self.opened += plaintext.len() as u64;
                Ok(Some((plaintext, frame.whole)))
            }
            None => {
                self.opener = None;
                Err(FORGED)
            }
        }
    }
}

const FORGED: SessionRefusal = SessionRefusal::BadPacket("forged, repeated or out of order");

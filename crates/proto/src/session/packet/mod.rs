//! Packets: one key and one counter for each direction (`docs/protocol/session.md`, Packets). The
//! usual form is a WRAPPED command; the option `delivered-key` uses the original form.
//!
//! A packet's number is its nonce, so a packet that was repeated, dropped or reordered fails to
//! decrypt.

mod delivered;
mod wrapped;

#[cfg(test)]
mod tests;

use countersign_crypto::record::{Opener, Sealer};
use countersign_crypto::secret::Secret;

use super::option::EncryptionOption;
use super::refusal::SessionRefusal;
use crate::risp::{self, Command};

/// The form of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Wrapped,
    Delivered,
}

/// The lengths of a packet at the start of the input.
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

    /// The number of bytes before the plaintext.
    const fn header(self) -> usize {
        match self {
            Self::Wrapped => wrapped::HEADER,
            Self::Delivered => delivered::HEADER,
        }
    }

    /// The number of bytes of MAX-PACKET that are not plaintext.
    const fn overhead(self) -> usize {
        match self {
            Self::Wrapped => wrapped::OVERHEAD,
            Self::Delivered => delivered::OVERHEAD,
        }
    }
}

/// Encrypts packets. It collects commands until a packet is full or flushed.
pub(crate) struct PacketWriter {
    form: Form,
    sealer: Sealer,
    /// The number of plaintext bytes that fit into one packet.
    capacity: usize,
    wire: Vec<u8>,
    /// The start of the open packet in `wire`.
    open: Option<usize>,
    /// The number of plaintext bytes under the present key.
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

    /// Uses this key from now on. The open packet is the last one under the old key.
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

    /// The number of plaintext bytes that were encrypted under the present key. It is above every
    /// limit once the key's record counter is nearly used up.
    pub(crate) fn sealed(&self) -> u64 {
        if self.sealer.wants_rekey() {
            return u64::MAX;
        }
        self.sealed
    }

    /// The number of bytes that [`Self::flush`] would move.
    pub(crate) fn waiting(&self) -> usize {
        self.wire.len()
    }

    /// The number of plaintext bytes that a packet can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The number of plaintext bytes that the open packet can still hold.
    pub(crate) fn room(&self) -> usize {
        let header = self.form.header();
        let filled = self
            .open
            .map_or(0, |start| self.wire.len().saturating_sub(start + header));
        self.capacity.saturating_sub(filled)
    }

    /// Whether a packet is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Appends a command to the open packet. The caller has checked that there is room.
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

    /// Encrypts the open packet, if there is one.
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

    /// Closes the open packet and moves all encrypted packets to the end of `out`.
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

/// Decrypts packets in place. After a packet that fails to decrypt it rejects all later ones.
pub(crate) struct PacketReader {
    form: Form,
    opener: Option<Opener>,
    max_packet: usize,
    /// The number of plaintext bytes under the present key.
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

    /// Uses this key from now on. A reader that rejected a packet stays closed.
    pub(crate) fn rekey(&mut self, option: EncryptionOption, key: &Secret<32>) {
        if let Some(opener) = &mut self.opener {
            *opener = Opener::new(option.cipher(), key);
            self.form = Form::of(option);
            self.opened = 0;
        }
    }

    /// As [`PacketWriter::sealed`], for decrypted bytes.
    pub(crate) fn opened(&self) -> u64 {
        match &self.opener {
            Some(opener) if opener.wants_rekey() => u64::MAX,
            _ => self.opened,
        }
    }

    /// Decrypts the packet at the start of `input`. Returns its plaintext and how many bytes of
    /// input it used, or `None` if it is incomplete.
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

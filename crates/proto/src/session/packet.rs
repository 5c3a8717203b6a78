//! Packets: WRAPPED commands, one key and one counter a direction (`docs/protocol/session.md`, Packets).
//!
//! ```text
//! WRAPPED  length  | length of plaintext | ciphertext            | tag
//! a003     4 bytes | 4 bytes             | as long as plaintext  | 16 bytes
//! '------ associated data -------------'
//! ```
//!
//! The packet's number is its nonce, so a packet that was repeated, dropped or moved does not open.

use countersign_crypto::machine::RecordCipher;
use countersign_crypto::record::{Opener, Sealer, TAG_LENGTH};
use countersign_crypto::secret::Secret;

use crate::risp::{self, Command};

use super::command::WRAPPED;
use super::refusal::Refusal;

/// Command and length.
const PREFIX: usize = 6;
/// Command, length and length of plaintext.
const HEADER: usize = PREFIX + 4;
/// What a WRAPPED value holds besides plaintext.
pub(crate) const OVERHEAD: usize = 4 + TAG_LENGTH;

/// Seals packets, gathering commands until one is full or flushed.
pub(crate) struct PacketWriter {
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
    pub(crate) fn new(cipher: RecordCipher, key: &Secret<32>, max_packet: u32) -> Self {
        Self {
            sealer: Sealer::new(cipher, key),
            capacity: (max_packet as usize).saturating_sub(OVERHEAD),
            wire: Vec::new(),
            open: None,
            sealed: 0,
        }
    }

    /// Seals what follows under this key. The packet being filled is the last under the old one.
    pub(crate) fn rekey(&mut self, cipher: RecordCipher, key: &Secret<32>) -> Result<(), Refusal> {
        self.close()?;
        self.sealer = Sealer::new(cipher, key);
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

    /// Bytes that still fit the packet being filled.
    pub(crate) fn room(&self) -> usize {
        let filled = self
            .open
            .map_or(0, |start| self.wire.len().saturating_sub(start + HEADER));
        self.capacity.saturating_sub(filled)
    }

    /// Whether a packet is being filled.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Appends a command to the packet being filled; the caller has seen to the room.
    pub(crate) fn put(&mut self, command: Command, value: risp::Value<'_>) -> Result<(), Refusal> {
        if self.open.is_none() {
            self.open = Some(self.wire.len());
            self.wire.extend_from_slice(&[0; HEADER]);
        }
        risp::put(&mut self.wire, command, value)
            .map_err(|_| Refusal::BadMessage("a value that does not fit its command"))
    }

    /// Seals the packet being filled, if there is one.
    pub(crate) fn close(&mut self) -> Result<(), Refusal> {
        let Some(packet) = self
            .open
            .take()
            .and_then(|start| self.wire.get_mut(start..))
        else {
            return Ok(());
        };
        let Some((header, plaintext)) = packet.split_first_chunk_mut::<HEADER>() else {
            return Ok(());
        };
        *header = header_of(plaintext.len())?;
        self.sealed += plaintext.len() as u64;
        let tag = self
            .sealer
            .seal_in_place(header, plaintext)
            .map_err(|_| Refusal::Expired)?;
        self.wire.extend_from_slice(&tag);
        Ok(())
    }

    /// Closes the packet being filled and moves all that is sealed to the end of `out`.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.close()?;
        if out.is_empty() {
            std::mem::swap(out, &mut self.wire);
        } else {
            out.append(&mut self.wire);
        }
        Ok(())
    }
}

fn header_of(plaintext: usize) -> Result<[u8; HEADER], Refusal> {
    let too_long = |_| Refusal::BadMessage("a packet over 4 GiB");
    let value = u32::try_from(plaintext + OVERHEAD).map_err(too_long)?;
    let plaintext = u32::try_from(plaintext).map_err(too_long)?;
    let [c0, c1] = WRAPPED.0.to_be_bytes();
    let ([v0, v1, v2, v3], [p0, p1, p2, p3]) = (value.to_be_bytes(), plaintext.to_be_bytes());
    Ok([c0, c1, v0, v1, v2, v3, p0, p1, p2, p3])
}

/// Opens packets in place. One that does not open ends it: what follows is not trusted either.
pub(crate) struct PacketReader {
    opener: Option<Opener>,
    max_packet: usize,
    /// Bytes of plaintext under the present key.
    opened: u64,
}

impl PacketReader {
    pub(crate) fn new(cipher: RecordCipher, key: &Secret<32>, max_packet: u32) -> Self {
        Self {
            opener: Some(Opener::new(cipher, key)),
            max_packet: max_packet as usize,
            opened: 0,
        }
    }

    /// Opens what follows under this key. A reader that refused once stays closed.
    pub(crate) fn rekey(&mut self, cipher: RecordCipher, key: &Secret<32>) {
        if let Some(opener) = &mut self.opener {
            *opener = Opener::new(cipher, key);
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
    ) -> Result<Option<(&'a [u8], usize)>, Refusal> {
        let Some(prefix) = input.first_chunk::<PREFIX>() else {
            return if input
                .first()
                .is_some_and(|first| *first != (WRAPPED.0 >> 8) as u8)
            {
                Err(Refusal::BadPacket("not a packet"))
            } else {
                Ok(None)
            };
        };
        let [c0, c1, l0, l1, l2, l3] = *prefix;
        if u16::from_be_bytes([c0, c1]) != WRAPPED.0 {
            return Err(Refusal::BadPacket("not a packet"));
        }
        let value = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if value > self.max_packet {
            return Err(Refusal::BadPacket("longer than MAX-PACKET"));
        }
        let Some(plaintext) = value.checked_sub(OVERHEAD) else {
            return Err(Refusal::BadPacket("too short"));
        };
        let used = PREFIX + value;
        let Some(packet) = input.get_mut(..used) else {
            return Ok(None);
        };
        let Some((header, sealed)) = packet.split_first_chunk_mut::<HEADER>() else {
            return Ok(None);
        };
        if *header != header_of(plaintext)? {
            return Err(Refusal::BadPacket("its two lengths disagree"));
        }
        let opened = self
            .opener
            .as_mut()
            .and_then(|opener| opener.open_in_place(header, sealed).ok());
        match opened {
            Some(plaintext) => {
                self.opened += plaintext.len() as u64;
                Ok(Some((plaintext, used)))
            }
            None => {
                self.opener = None;
                Err(Refusal::BadPacket("forged, repeated or out of order"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risp::Value;
    use crate::session::command::NOP;

    fn pair(max_packet: u32) -> (PacketWriter, PacketReader) {
        let key = Secret::from_bytes([7; 32]);
        (
            PacketWriter::new(RecordCipher::Aes256Gcm, &key, max_packet),
            PacketReader::new(RecordCipher::Aes256Gcm, &key, max_packet),
        )
    }

    fn one_packet(writer: &mut PacketWriter) -> Vec<u8> {
        let mut wire = Vec::new();
        writer.put(NOP, Value::Nothing).unwrap();
        writer.flush(&mut wire).unwrap();
        wire
    }

    #[test]
    fn a_packet_opens_once_and_in_order() {
        let (mut writer, mut reader) = pair(256);
        let (mut first, mut second) = (one_packet(&mut writer), one_packet(&mut writer));
        assert_eq!(first.len(), HEADER + 2 + TAG_LENGTH);
        let mut repeated = first.clone();
        assert_eq!(
            reader.open(&mut first).unwrap(),
            Some((&[0x70, 0x00][..], 28))
        );
        assert!(reader.open(&mut repeated).is_err());
        assert!(
            reader.open(&mut second).is_err(),
            "a reader that refused once stays closed"
        );
    }

    #[test]
    fn a_packet_at_the_limit_passes_and_one_over_it_is_refused_before_it_arrives() {
        let (_, mut reader) = pair(256);
        assert_eq!(reader.open(&mut [0xa0, 0x03, 0, 0, 1, 0]), Ok(None));
        assert!(reader.open(&mut [0xa0, 0x03, 0, 0, 1, 1]).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (mut writer, _) = pair(256);
        let wire = one_packet(&mut writer);
        for bit in 0..wire.len() * 8 {
            let (_, mut reader) = pair(256);
            let mut forged = wire.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            // A longer length is waited for; anything else is refused at once.
            assert!(
                !matches!(reader.open(&mut forged), Ok(Some(_))),
                "bit {bit}"
            );
        }
    }
}

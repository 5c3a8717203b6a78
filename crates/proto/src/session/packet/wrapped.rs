//! The usual form of a packet.
//!
//! ```text
//! WRAPPED  length  | length of plaintext | ciphertext            | tag
//! a003     4 bytes | 4 bytes             | as long as plaintext  | 16 bytes
//! '------ associated data -------------'
//! ```

use countersign_crypto::record::{Opener, Sealer, TAG_LENGTH};

use super::Frame;
use crate::session::command::WRAPPED;
use crate::session::refusal::SessionRefusal;

/// Command and length.
const PREFIX: usize = 6;
/// Command, length, and length of plaintext.
pub(super) const HEADER: usize = PREFIX + 4;
/// How many bytes a WRAPPED value has besides the plaintext.
pub(super) const OVERHEAD: usize = 4 + TAG_LENGTH;

/// Writes the header, encrypts the plaintext after it in place, and returns the bytes to append.
pub(super) fn seal(
    sealer: &mut Sealer,
    packet: &mut [u8],
) -> Result<[u8; TAG_LENGTH], SessionRefusal> {
    let shorter = SessionRefusal::BadPacket("shorter than its header");
    let (header, plaintext) = packet.split_first_chunk_mut::<HEADER>().ok_or(shorter)?;
    *header = header_of(plaintext.len())?;
    let tag = sealer.seal_in_place(header, plaintext);
    tag.map_err(|_| SessionRefusal::Expired)
}

/// Parses the header of the packet at the start of `input`.
pub(super) fn frame(input: &[u8], max_packet: usize) -> Result<Option<Frame>, SessionRefusal> {
    let Some((prefix, _)) = input.split_first_chunk::<PREFIX>() else {
        let wanted = WRAPPED.0.to_be_bytes();
        let so_far = input.iter().zip(wanted).all(|(is, should)| *is == should);
        return if so_far { Ok(None) } else { Err(NOT_A_PACKET) };
    };
    let [c0, c1, length @ ..] = *prefix;
    if [c0, c1] != WRAPPED.0.to_be_bytes() {
        return Err(NOT_A_PACKET);
    }
    let value = u32::from_be_bytes(length) as usize;
    if value > max_packet {
        return Err(SessionRefusal::BadPacket("longer than MAX-PACKET"));
    }
    let Some(plaintext) = value.checked_sub(OVERHEAD) else {
        return Err(SessionRefusal::BadPacket("too short"));
    };
    let whole = PREFIX + value;
    Ok((input.len() >= whole).then_some(Frame { plaintext, whole }))
}

const NOT_A_PACKET: SessionRefusal = SessionRefusal::BadPacket("not a packet");

/// Decrypts a complete packet in place. `None` if it fails verification.
pub(super) fn open<'a>(
    opener: &mut Opener,
    packet: &'a mut [u8],
    frame: Frame,
) -> Result<Option<&'a mut [u8]>, SessionRefusal> {
    let Some((header, sealed)) = packet.split_first_chunk_mut::<HEADER>() else {
        return Ok(None);
    };
    if *header != header_of(frame.plaintext)? {
        return Err(SessionRefusal::BadPacket("its two lengths disagree"));
    }
    Ok(opener.open_in_place(header, sealed).ok())
}

fn header_of(plaintext: usize) -> Result<[u8; HEADER], SessionRefusal> {
    let too_long = |_| SessionRefusal::BadMessage("a packet over 4 GiB");
    let value = u32::try_from(plaintext + OVERHEAD).map_err(too_long)?;
    let plaintext = u32::try_from(plaintext).map_err(too_long)?;
    let [c0, c1] = WRAPPED.0.to_be_bytes();
    let ([v0, v1, v2, v3], [p0, p1, p2, p3]) = (value.to_be_bytes(), plaintext.to_be_bytes());
    Ok([c0, c1, v0, v1, v2, v3, p0, p1, p2, p3])
}

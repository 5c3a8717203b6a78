//! The original packet form, used by the option `delivered-key`: the length and the data, then the
//! encrypted digest of the data.
//!
//! ```text
//! DATA-LENGTH          | DATA  length | ciphertext | tag   | VERIFICATION-SHA256 | ciphertext | tag
//! 2001  4 bytes        | a002  4 bytes|            | 16    | 8001  30            | 32         | 16
//! '------- associated data ----------'                     '- associated data --'
//! ```
//!
//! Data and digest are one record each, with consecutive numbers.

use countersign_crypto::hash::sha256;
use countersign_crypto::record::{Opener, Sealer, TAG_LENGTH};
use countersign_crypto::secret::Secret;

use super::Frame;
use crate::session::command::{DATA, DATA_LENGTH, VERIFICATION_SHA256};
use crate::session::refusal::SessionRefusal;

/// DATA-LENGTH, and DATA with its length.
pub(super) const HEADER: usize = 6 + 6;
/// How many bytes a DATA value has besides the plaintext.
pub(super) const OVERHEAD: usize = TAG_LENGTH;
/// VERIFICATION-SHA256 with its length.
const DIGEST_HEADER: usize = 3;
const DIGEST: usize = 32;
/// The bytes after the ciphertext.
const TAIL: usize = TAG_LENGTH + DIGEST_HEADER + DIGEST + TAG_LENGTH;

/// Writes the header, encrypts the plaintext after it in place, and returns the bytes to append.
pub(super) fn seal(sealer: &mut Sealer, packet: &mut [u8]) -> Result<[u8; TAIL], SessionRefusal> {
    let Some((header, plaintext)) = packet.split_first_chunk_mut::<HEADER>() else {
        return Err(SessionRefusal::BadPacket("shorter than its header"));
    };
    let mut digest = sha256(plaintext);
    *header = header_of(plaintext.len())?;
    let exhausted = |_| SessionRefusal::Expired;
    let tag = sealer.seal_in_place(header, plaintext).map_err(exhausted)?;
    let digest_header = digest_header();
    let digest_tag = sealer
        .seal_in_place(&digest_header, &mut digest)
        .map_err(exhausted)?;
    let mut tail = [0; TAIL];
    let parts = [&tag[..], &digest_header, &digest, &digest_tag];
    for (to, from) in tail.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    Ok(tail)
}

/// Parses the header of the packet at the start of `input`.
pub(super) fn frame(input: &[u8], max_packet: usize) -> Result<Option<Frame>, SessionRefusal> {
    let seen = input.get(..HEADER.min(input.len())).unwrap_or_default();
    // Checked before the lengths arrive, so that other input is rejected at once.
    for (at, command) in [(0, DATA_LENGTH), (6, DATA)] {
        let there = seen.get(at..).unwrap_or_default();
        let wanted = command.0.to_be_bytes();
        if !there.iter().zip(wanted).all(|(is, should)| *is == should) {
            return Err(SessionRefusal::BadPacket("not a packet"));
        }
    }
    let length_at = |at: usize| {
        let bytes = seen.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes) as usize)
    };
    if length_at(2).is_some_and(|plaintext| plaintext > max_packet.saturating_sub(OVERHEAD)) {
        return Err(SessionRefusal::BadPacket("longer than MAX-PACKET"));
    }
    let (Some(plaintext), Some(data)) = (length_at(2), length_at(8)) else {
        return Ok(None);
    };
    if data != plaintext + OVERHEAD {
        return Err(SessionRefusal::BadPacket("its two lengths disagree"));
    }
    let whole = HEADER + plaintext + TAIL;
    Ok((input.len() >= whole).then_some(Frame { plaintext, whole }))
}

/// Decrypts a complete packet in place. `None` if the data or the digest fails verification.
pub(super) fn open<'a>(
    opener: &mut Opener,
    packet: &'a mut [u8],
    frame: Frame,
) -> Result<Option<&'a mut [u8]>, SessionRefusal> {
    let Some((header, rest)) = packet.split_first_chunk_mut::<HEADER>() else {
        return Ok(None);
    };
    let Some((data, verification)) = rest.split_at_mut_checked(frame.plaintext + OVERHEAD) else {
        return Ok(None);
    };
    let Some((digest_header, digest)) = verification.split_first_chunk_mut::<DIGEST_HEADER>()
    else {
        return Ok(None);
    };
    if *digest_header != self::digest_header() {
        return Err(SessionRefusal::BadPacket("no VERIFICATION-SHA256"));
    }
    let Ok(plaintext) = opener.open_in_place(header, data) else {
        return Ok(None);
    };
    let Ok(digest) = opener.open_in_place(digest_header, digest) else {
        return Ok(None);
    };
    let received = Secret::<DIGEST>::try_from_slice(digest);
    let is = Secret::from_bytes(sha256(plaintext));
    Ok((received == Some(is)).then_some(plaintext))
}

fn header_of(plaintext: usize) -> Result<[u8; HEADER], SessionRefusal> {
    let too_long = |_| SessionRefusal::BadMessage("a packet over 4 GiB");
    let data = u32::try_from(plaintext + OVERHEAD).map_err(too_long)?;
    let plaintext = u32::try_from(plaintext).map_err(too_long)?;
    let ([l0, l1], [d0, d1]) = (DATA_LENGTH.0.to_be_bytes(), DATA.0.to_be_bytes());
    let ([p0, p1, p2, p3], [v0, v1, v2, v3]) = (plaintext.to_be_bytes(), data.to_be_bytes());
    Ok([l0, l1, p0, p1, p2, p3, d0, d1, v0, v1, v2, v3])
}

fn digest_header() -> [u8; DIGEST_HEADER] {
    let [c0, c1] = VERIFICATION_SHA256.0.to_be_bytes();
    const LENGTH: u8 = 32 + 16;
    [c0, c1, LENGTH]
}

//! The text of an access token: `cst_`, 43 characters for 256 random bits, and a checksum of six
//! characters. Scanners for leaked secrets find the prefix, and the checksum tells a token from
//! other text without asking the site.

use std::fmt;

use countersign_crypto::base62;
use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::{Secret, SecretText};

use super::AccessTokenHash;

/// The first characters of every access token.
pub const PREFIX: &str = "cst_";
/// The number of digits of the checksum: 32 bits in base 62.
const CHECKSUM_DIGITS: usize = 6;

/// The text is not an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an access token: it must begin with cst_, and its checksum must match")]
pub struct BadAccessToken;

/// 256 random bits. Their bearer may call the operations that the token names.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessTokenSecret(Secret<32>);

impl AccessTokenSecret {
    /// Makes a new token.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// Reads a token. Its checksum is verified, so that text that cannot be a token costs nothing
    /// more.
    ///
    /// # Errors
    /// [`BadAccessToken`].
    pub fn parse(text: &str) -> Result<Self, BadAccessToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(BadAccessToken)?;
        let (secret, checksum) = rest
            .split_at_checked(base62::LENGTH)
            .ok_or(BadAccessToken)?;
        if digits_of_checksum(secret) != checksum.as_bytes() {
            return Err(BadAccessToken);
        }
        base62::decode(secret).map(Self).ok_or(BadAccessToken)
    }

    /// Writes the token as text.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let digits = base62::encode(&self.0);
        let length = PREFIX.len() + base62::LENGTH + CHECKSUM_DIGITS;
        let mut text = String::with_capacity(length);
        text.push_str(PREFIX);
        text.push_str(digits.expose());
        let checksum = digits_of_checksum(digits.expose());
        text.extend(checksum.map(char::from));
        SecretText::from(text)
    }

    /// What the site stores and finds the token by.
    #[must_use]
    pub fn hash(&self) -> AccessTokenHash {
        AccessTokenHash::of(self.0.expose())
    }
}

impl fmt::Debug for AccessTokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokenSecret(..)")
    }
}

/// The remainder of each byte.
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the compiler computes it"
)]
static REMAINDERS: [u32; 256] = {
    let (mut remainders, mut byte) = ([0; 256], 0);
    while byte < remainders.len() {
        let (mut remainder, mut bits) = (byte as u32, 8);
        while bits > 0 {
            let divisor = if remainder & 1 == 1 { 0xEDB8_8320 } else { 0 };
            remainder = (remainder >> 1) ^ divisor;
            bits -= 1;
        }
        remainders[byte] = remainder;
        byte += 1;
    }
    remainders
};

/// The CRC-32 of GZIP (RFC 1952, section 8) of the digits, in base 62.
fn digits_of_checksum(digits: &str) -> [u8; CHECKSUM_DIGITS] {
    let mut crc = u32::MAX;
    for digit in digits.bytes() {
        let [first, ..] = (crc ^ u32::from(digit)).to_le_bytes();
        crc = (crc >> 8) ^ REMAINDERS.get(usize::from(first)).copied().unwrap_or(0);
    }
    let mut left = !crc;
    let mut text = [b'0'; CHECKSUM_DIGITS];
    for place in text.iter_mut().rev() {
        let digit = usize::try_from(left % 62).unwrap_or_default();
        *place = base62::DIGITS.get(digit).copied().unwrap_or(b'0');
        left /= 62;
    }
    text
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;

    fn token(bytes: [u8; 32]) -> AccessTokenSecret {
        AccessTokenSecret(Secret::from_bytes(bytes))
    }

    #[test]
    fn an_access_token_is_read_back_from_its_text() {
        for _ in 0..64 {
            let made = AccessTokenSecret::generate(&mut SystemEntropy);
            let text = made.to_text();
            assert_eq!(text.expose().len(), 53);
            assert_eq!(AccessTokenSecret::parse(text.expose()), Ok(made));
        }
    }

    /// The checksum is the well-known one, so that any scanner can verify it: CRC-32 of the digits.
    #[test]
    fn the_checksum_is_crc_32_in_base_62() {
        // 0xCBF43926, the check value of the CRC catalogue.
        assert_eq!(&digits_of_checksum("123456789"), b"3jZRME");
    }

    #[test]
    fn text_with_any_changed_character_is_not_an_access_token() {
        let text = token([7; 32]).to_text();
        let text = text.expose();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            let read = AccessTokenSecret::parse(&changed);
            assert_eq!(read, Err(BadAccessToken), "{at}");
        }
        let cut = &text[..52];
        let (longer, capitals) = (format!("{text}0"), text.replace("cst", "CST"));
        // More than 256 bits, with a right checksum.
        let large = "z".repeat(base62::LENGTH);
        let checksum = digits_of_checksum(&large).map(char::from);
        let large = format!("cst_{large}{}", String::from_iter(checksum));
        for wrong in [
            "",
            "cst_",
            cut,
            &longer,
            &capitals,
            &large,
            "cst_éééééééééééééééééééééé",
        ] {
            assert_eq!(
                AccessTokenSecret::parse(wrong),
                Err(BadAccessToken),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_access_token_prints_nothing_and_is_known_by_its_hash() {
        let one = token([7; 32]);
        assert_eq!(format!("{one:?}"), "AccessTokenSecret(..)");
        assert_eq!(one.hash(), AccessTokenHash::of(&[7; 32]));
        assert_ne!(one.hash(), token([8; 32]).hash());
    }
}

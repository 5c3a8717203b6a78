//! 32 secret bytes as text of letters and digits alone: base 62, most significant digit first. No
//! RFC defines it; access tokens of other systems are written in it, because a double click selects
//! the whole text and no program escapes it.

use zeroize::Zeroizing;

use crate::secret::{Secret, SecretText};

/// The digits: `0-9`, `A-Z`, `a-z`.
pub const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The number of digits for 256 bits.
pub const LENGTH: usize = 43;
/// The digits that are read at a time: 62^10 is less than 2^60.
const GROUP: usize = 10;

/// Writes 32 bytes as [`LENGTH`] digits.
#[must_use]
pub fn encode(secret: &Secret<32>) -> SecretText {
    let mut number = Zeroizing::new(*secret.expose());
    let mut digits = Zeroizing::new([b'0'; LENGTH]);
    for place in digits.iter_mut().rev() {
        *place = divide(&mut number);
    }
    let mut text = String::with_capacity(LENGTH);
    text.extend(digits.iter().map(|digit| char::from(*digit)));
    SecretText::from(text)
}

/// Reads [`LENGTH`] digits. `None` if the text has another form, or 256 bits are too few for it.
#[must_use]
pub fn decode(text: &str) -> Option<Secret<32>> {
    if text.len() != LENGTH {
        return None;
    }
    // The most significant limb first, as the digits.
    let mut number = Zeroizing::new([0_u64; 4]);
    for group in text.as_bytes().chunks(GROUP) {
        let (mut factor, mut value) = (1, 0);
        for digit in group {
            factor *= 62;
            value = value * 62 + u64::from(value_of(*digit)?);
        }
        multiply_and_add(&mut number, factor, value)?;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (place, limb) in bytes.chunks_exact_mut(8).zip(number.iter()) {
        place.copy_from_slice(&limb.to_be_bytes());
    }
    Some(Secret::from_bytes(*bytes))
}

/// Divides a big-endian number by 62 in place and returns the digit of the remainder.
fn divide(number: &mut [u8; 32]) -> u8 {
    let mut remainder = 0_u16;
    for byte in number {
        let value = remainder << 8 | u16::from(*byte);
        *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
        remainder = value % 62;
    }
    DIGITS.get(usize::from(remainder)).copied().unwrap_or(b'0')
}

/// Multiplies a big-endian number by a factor and adds a value, in place. `None` if it has too few limbs for
/// the result.
fn multiply_and_add(number: &mut [u64; 4], factor: u64, value: u64) -> Option<()> {
    let mut carry = value;
    for limb in number.iter_mut().rev() {
        let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
        *limb = u64::try_from(product & u128::from(u64::MAX)).ok()?;
        carry = u64::try_from(product >> 64).ok()?;
    }
    (carry == 0).then_some(())
}

/// The value of a digit.
const fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn bytes_are_read_back_from_their_digits() {
        let random = (0..64).map(|_| Secret::generate(&mut SystemEntropy));
        for secret in random.chain([[0; 32], [255; 32]].map(Secret::from_bytes)) {
            let text = encode(&secret);
            assert_eq!(text.expose().len(), LENGTH);
            assert!(decode(text.expose()).unwrap() == secret);
        }
        let one = encode(&Secret::from_bytes(std::array::from_fn(|at| {
            u8::from(at == 31)
        })));
        assert_eq!(one.expose(), format!("{}1", "0".repeat(42)));
    }

    #[test]
    fn other_text_is_not_read() {
        let zeros = "0".repeat(LENGTH);
        for wrong in [
            "",
            &zeros[1..],
            &format!("{zeros}0"),
            &zeros.replacen('0', "-", 1),
        ] {
            assert!(decode(wrong).is_none(), "{wrong}");
        }
        assert!(decode(&"z".repeat(LENGTH)).is_none(), "more than 256 bits");
        assert!(decode("éééééééééééééééééééééé").is_none());
    }
}

//! 32 secret bytes as text of letters and digits alone: base 62, most significant digit first. No
//! RFC defines it; access tokens of other systems are written in it, because a double click selects
//! the whole text and no program escapes it.

use zeroize::Zeroizing;

use crate::secret::{Secret, SecretText};

/// The digits: `0-9`, `A-Z`, `a-z`.
pub const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The number of digits for 256 bits.
pub const LENGTH: usize = 43;

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
    let mut number = Zeroizing::new([0; 32]);
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|one| *one == digit)?;
        multiply_and_add(&mut number, u8::try_from(value).ok()?)?;
    }
    Some(Secret::from_bytes(*number))
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

/// Multiplies a big-endian number by 62 and adds a digit, in place.
fn multiply_and_add(number: &mut [u8; 32], digit: u8) -> Option<()> {
    let mut carry = u16::from(digit);
    for byte in number.iter_mut().rev() {
        let [high, low] = (u16::from(*byte) * 62 + carry).to_be_bytes();
        *byte = low;
        carry = u16::from(high);
    }
    (carry == 0).then_some(())
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

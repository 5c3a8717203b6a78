//! The recovery code: printed once, stored on paper, typed when all other secrets are lost.
//!
//! ```text
//! 160 random bits, then the first 15 bits of SHA-256 of a label and these bits, as 35 symbols of
//! Crockford's base32 (no I, L, O, U) in seven groups: XXXXX-XXXXX-XXXXX-XXXXX-XXXXX-XXXXX-XXXXX
//! ```

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use crate::{
    entropy::Entropy,
    hash::Sha256,
    secret::{Secret, SecretText},
};

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE: usize = 20;
const CHECK: usize = 2;
const SYMBOLS: usize = 35;
const GROUP: usize = 5;
const CHECK_LABEL: &[u8] = b"countersign/1 recovery code check\0";

/// Crockford's base32, in either case, with `O` for `0`, `I` and `L` for `1`.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(ALPHABET);
    specification
        .translate
        .from
        .push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    specification
        .translate
        .to
        .push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    // The specification above is constant and valid.
    specification
        .encoding()
        .unwrap_or_else(|_| std::process::abort())
});

/// 160 random bits that unwrap a slot. They cannot be guessed, so they are not stretched.
pub struct RecoveryCode(Secret<CODE>);

impl RecoveryCode {
    /// Generates a new code.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// The text to print: 35 symbols in groups of five.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let code = self.0.expose();
        let mut bytes = Zeroizing::new(Vec::with_capacity(CODE + CHECK));
        bytes.extend_from_slice(code);
        bytes.extend_from_slice(&check(code));
        let symbols = Zeroizing::new(CROCKFORD.encode(&bytes));
        let mut text = String::with_capacity(SYMBOLS + SYMBOLS / GROUP);
        // The 36th symbol contains only the last bit, which is always zero.
        for (at, symbol) in symbols.chars().take(SYMBOLS).enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(symbol);
        }
        SecretText::from(text)
    }

    /// The bytes from which the slot's key is derived.
    pub(super) fn secret(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Parses a typed code: upper or lower case, white space and dashes anywhere, `O` as `0`, `I` and
/// `L` as `1`.
impl FromStr for RecoveryCode {
    type Err = BadRecoveryCode;

    fn from_str(text: &str) -> Result<Self, BadRecoveryCode> {
        let mut symbols = Zeroizing::new(String::with_capacity(text.len() + 1));
        symbols.extend(text.chars().filter(|character| !is_separator(*character)));
        let is_symbol = |c: char| c.is_ascii_alphanumeric() && !matches!(c, 'U' | 'u');
        if let Some(at) = symbols.chars().position(|character| !is_symbol(character)) {
            return Err(BadRecoveryCode::Character { position: at + 1 });
        }
        let found = symbols.len();
        if found != SYMBOLS {
            return Err(BadRecoveryCode::Length { found });
        }
        // 175 bits are typed; the last bit of the 22 bytes is always zero.
        symbols.push('0');
        let bytes = CROCKFORD.decode(symbols.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| BadRecoveryCode::TypingError)?;
        let (code, recorded) = bytes
            .split_first_chunk::<CODE>()
            .ok_or(BadRecoveryCode::Length { found })?;
        if check(code) != recorded {
            return Err(BadRecoveryCode::TypingError);
        }
        Ok(Self(Secret::from_bytes(*code)))
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

/// Why a text is not a recovery code. No slot was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecoveryCode {
    /// There are too few or too many symbols.
    #[error("a recovery code has 35 letters and digits; this has {found}")]
    Length {
        /// The number of symbols, without dashes and spaces.
        found: usize,
    },
    /// A character that does not occur in recovery codes.
    #[error("character {position} of the recovery code is not a letter or digit of recovery codes")]
    Character {
        /// The position from 1, without dashes and spaces.
        position: usize,
    },
    /// The check at the end does not match.
    #[error("the recovery code has a typing error: compare it with the paper")]
    TypingError,
}

fn check(code: &[u8; CODE]) -> [u8; CHECK] {
    let mut sum = Sha256::new();
    sum.update(CHECK_LABEL);
    sum.update(code);
    let [first, second, ..] = sum.finish();
    [first, second & 0xfe]
}

/// White space, dashes of any kind (word processors replace them), and a byte order mark.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code() -> RecoveryCode {
        RecoveryCode(Secret::from_bytes(*b"\0wenty random bytes!"))
    }

    fn read(text: &str) -> Result<Vec<u8>, BadRecoveryCode> {
        text.parse::<RecoveryCode>()
            .map(|code| code.secret().to_vec())
    }

    #[test]
    fn the_text_of_a_code_never_changes() {
        assert_eq!(
            code().to_text().expose(),
            "01VPA-VKMF4-G74RB-ECHQP-T832F-5T6AW-S1YGT"
        );
    }

    #[test]
    fn a_code_is_read_in_every_form_in_which_it_is_typed() {
        let text = code().to_text().expose().to_owned();
        for typed in [
            text.clone(),
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " - "),
            format!("  {text}\r\n"),
            text.replace('1', "l").replace('0', "o"),
            text.replace('1', "I").replace('0', "O"),
        ] {
            assert_eq!(read(&typed).unwrap(), code().secret(), "{typed}");
        }
    }

    #[test]
    fn the_error_tells_what_is_wrong_with_a_code() {
        let text = code().to_text().expose().to_owned();
        assert_eq!(read(""), Err(BadRecoveryCode::Length { found: 0 }));
        assert_eq!(read(&text[1..]), Err(BadRecoveryCode::Length { found: 34 }));
        assert_eq!(
            read(&format!("{text}0")),
            Err(BadRecoveryCode::Length { found: 36 })
        );
        assert_eq!(
            read(&format!("{text}-{text}-{text}")),
            Err(BadRecoveryCode::Length { found: 105 })
        );
        let mut with_u = text.clone();
        with_u.replace_range(6..7, "U");
        assert_eq!(
            read(&with_u),
            Err(BadRecoveryCode::Character { position: 6 })
        );
        assert_eq!(
            read(&text.replacen(&text[..5], "AAAAA", 1)),
            Err(BadRecoveryCode::TypingError)
        );
    }

    /// For this fixed code. A 15-bit check accepts one of 32,768 random errors.
    #[test]
    fn a_wrong_or_exchanged_symbol_is_a_typing_error() {
        let right = code().to_text().expose().replace('-', "");
        for at in 0..SYMBOLS {
            for wrong in ALPHABET.chars() {
                let mut typed = right.clone();
                typed.replace_range(at..=at, &wrong.to_string());
                if typed != right {
                    assert_eq!(read(&typed), Err(BadRecoveryCode::TypingError), "{typed}");
                }
            }
        }
        for at in 0..SYMBOLS - 1 {
            let mut symbols: Vec<_> = right.chars().collect();
            symbols.swap(at, at + 1);
            let typed = String::from_iter(symbols);
            if typed != right {
                assert_eq!(read(&typed), Err(BadRecoveryCode::TypingError), "{typed}");
            }
        }
    }

    #[test]
    fn a_code_does_not_print_itself() {
        assert_eq!(format!("{:?}", code()), "RecoveryCode(..)");
    }

    proptest! {
        #[test]
        fn every_code_reads_back(bytes: [u8; CODE]) {
            let code = RecoveryCode(Secret::from_bytes(bytes));
            prop_assert_eq!(read(code.to_text().expose()), Ok(bytes.to_vec()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            prop_assert!(read(&text).is_err());
        }
    }
}

//! A slot's file: 32 random bytes beside the site, or handed over by the service manager, so that
//! the site starts unattended.

use std::fmt;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::{
    entropy::Entropy,
    secret::{Secret, SecretText},
};

/// The secret in such a file. Whoever reads the file can open the site key.
pub struct SlotFile(Secret<32>);

impl SlotFile {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// What to write in the file (mode 0600): one line of base64.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let mut text = String::with_capacity(BASE64.encode_len(32) + 1);
        BASE64.encode_append(self.0.expose(), &mut text);
        text.push('\n');
        SecretText::from(text)
    }

    /// Reads what [`SlotFile::to_text`] gave; white space and a byte order mark do no harm.
    ///
    /// # Errors
    /// [`BadSlotFile`] when it is anything else.
    pub fn from_text(text: &str) -> Result<Self, BadSlotFile> {
        let own = |c: &char| !c.is_whitespace() && *c != '\u{feff}';
        let text: Zeroizing<String> = Zeroizing::new(text.chars().filter(own).collect());
        let bytes = BASE64
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| BadSlotFile)?;
        Secret::try_from_slice(&bytes).map(Self).ok_or(BadSlotFile)
    }

    /// The bytes, for the key of the slot.
    pub(super) fn secret(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for SlotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotFile(..)")
    }
}

/// The file is not a slot's: damaged, or another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a site key slot's file: it must hold 32 bytes in base64 and nothing else")]
pub struct BadSlotFile;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_reads_back_with_white_space_around_it() {
        let file = SlotFile(Secret::from_bytes([3; 32]));
        let text = file.to_text();
        assert_eq!(
            text.expose(),
            "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
        );
        let read = SlotFile::from_text(&format!("\r\n {}", text.expose())).unwrap();
        assert_eq!(read.secret(), file.secret());
        assert_eq!(format!("{read:?}"), "SlotFile(..)");
    }

    #[test]
    fn another_length_or_alphabet_is_refused() {
        for text in [
            "",
            "AwMD",
            "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD",
            "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw-=",
        ] {
            assert_eq!(SlotFile::from_text(text).unwrap_err(), BadSlotFile);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}") {
            prop_assert!(SlotFile::from_text(&text).is_err());
        }
    }
}

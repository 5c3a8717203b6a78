//! The credential file of a slot: 32 random bytes, stored on the server or provided by the service
//! manager, so that the site starts unattended.

use std::fmt;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::{
    entropy::Entropy,
    secret::{Secret, SecretText},
};

/// The secret in a credential file. A process that can read the file can unwrap the site key.
pub struct SlotFile(Secret<32>);

impl SlotFile {
    /// Generates a new secret.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::generate(entropy))
    }

    /// The content of the file, one line of base64. Write the file with mode 0600.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let mut text = String::with_capacity(BASE64.encode_len(32) + 1);
        BASE64.encode_append(self.0.expose(), &mut text);
        text.push('\n');
        SecretText::from(text)
    }

    /// Parses the output of [`SlotFile::to_text`]. White space and a byte order mark are ignored.
    ///
    /// # Errors
    /// [`BadSlotFile`] for any other text.
    pub fn from_text(text: &str) -> Result<Self, BadSlotFile> {
        let own = |c: &char| !c.is_whitespace() && *c != '\u{feff}';
        let text: Zeroizing<String> = Zeroizing::new(text.chars().filter(own).collect());
        let bytes = BASE64
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| BadSlotFile)?;
        Secret::try_from_slice(&bytes).map(Self).ok_or(BadSlotFile)
    }

    /// The bytes from which the slot's key is derived.
    pub(super) fn secret(&self) -> &[u8] {
        self.0.expose()
    }
}

impl fmt::Debug for SlotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotFile(..)")
    }
}

/// The file is damaged or is not a credential file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a site key slot's file: it must contain 32 bytes in base64 and nothing else")]
pub struct BadSlotFile;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_with_white_space_is_read_back() {
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
    fn another_length_or_alphabet_is_rejected() {
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

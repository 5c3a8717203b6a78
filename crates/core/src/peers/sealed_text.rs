//! The text of a message between people of two sites, as the store holds it: sealed under the root
//! secret.

use std::fmt;

use countersign_crypto::entropy::Entropy;

use super::MessageText;
use crate::id::MessageId;
use crate::site_key::RootSecret;

/// A sealed text. It opens for the message that it was sealed for only.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText(Vec<u8>);

impl SealedText {
    /// A text that was sealed before.
    #[must_use]
    pub const fn from_sealed(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn seal(
        root: &RootSecret,
        id: MessageId,
        text: &MessageText,
        entropy: &mut dyn Entropy,
    ) -> Self {
        Self(Self::seal_text(root, id, text.as_str().as_bytes(), entropy))
    }

    /// Seals the bytes of a text.
    pub(crate) fn seal_text(
        root: &RootSecret,
        id: MessageId,
        text: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        root.seal(&label(id), text, entropy)
    }

    /// Opens the text; `None` if it was changed, or belongs to another message.
    pub(crate) fn open(&self, root: &RootSecret, id: MessageId) -> Option<MessageText> {
        let text = root.open(&label(id), &self.0)?;
        std::str::from_utf8(text.expose()).ok()?.parse().ok()
    }
}

impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedText(..)")
    }
}

fn label(id: MessageId) -> String {
    format!("text of the message {id}")
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;
    use crate::timestamp::Timestamp;

    #[test]
    fn a_sealed_text_opens_for_its_message_only() {
        let entropy = &mut SystemEntropy;
        let root = RootSecret::generate(entropy);
        let [id, other] = [1, 2].map(|at| MessageId::new(Timestamp::from_millis(at), entropy));
        let text: MessageText = "see you at nine".parse().unwrap();
        let sealed = SealedText::seal(&root, id, &text, entropy);
        assert_eq!(sealed.open(&root, id), Some(text));
        assert_eq!(sealed.open(&root, other), None);
        assert_eq!(sealed.open(&RootSecret::generate(entropy), id), None);
        assert_eq!(format!("{sealed:?}"), "SealedText(..)");
    }
}

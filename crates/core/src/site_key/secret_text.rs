//! The serde form of a secret text. Only forms that are sealed before they are stored use it.

use countersign_crypto::secret::SecretText;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn expose<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose())
}

pub(super) fn hide<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
    String::deserialize(deserializer).map(SecretText::from)
}

//! The sections `[mail]` and `[webhook]`: how the site delivers alarms.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::public_url::PublicUrl;
use countersign_proto::webhook::BodyFormat;
use countersign_server::delivery::{DEFAULT_SEND_TIMEOUT, MAX_SEND_TIMEOUT};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The shortest time that sending a message may take, in milliseconds.
const MIN_SEND_TIMEOUT_MS: u64 = 1_000;

/// The mail server.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MailSection {
    pub(crate) server: Option<String>,
    pub(crate) port: Option<NonZeroU16>,
    pub(crate) tls: MailEncryption,
    pub(crate) allow_plaintext: bool,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) templates: Option<PathBuf>,
    pub(crate) timeout_ms: SendTimeout,
}

/// The webhook for short texts.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookSection {
    pub(crate) url: Option<String>,
    pub(crate) allow_plaintext: bool,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) authorization_file: Option<PathBuf>,
    pub(crate) body_format: BodyFormat,
    pub(crate) body: Option<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) timeout_ms: SendTimeout,
}

/// The encryption of the connection to the mail server.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MailEncryption {
    #[default]
    StartTls,
    Tls,
    None,
}

/// A time in milliseconds within the range of the setting `timeout_ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SendTimeout(pub(crate) Duration);

impl Default for SendTimeout {
    fn default() -> Self {
        Self(DEFAULT_SEND_TIMEOUT)
    }
}

impl<'de> Deserialize<'de> for SendTimeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let least = Duration::from_millis(MIN_SEND_TIMEOUT_MS);
        let given = Duration::from_millis(u64::deserialize(deserializer)?);
        if (least..=MAX_SEND_TIMEOUT).contains(&given) {
            return Ok(Self(given));
        }
        Err(D::Error::custom(format_args!(
            "it must be from {MIN_SEND_TIMEOUT_MS} to {}",
            MAX_SEND_TIMEOUT.as_millis()
        )))
    }
}

/// Reads the URL under which people reach the pages of the site.
pub(super) fn public_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PublicUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    PublicUrl::try_from(text)
        .map(Some)
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_timeout_is_shorter_than_the_lease_of_a_message() {
        for (timeout, good) in [(999, false), (1_000, true), (60_000, true), (60_001, false)] {
            for section in ["mail", "webhook"] {
                let text = format!("version = 1\n[{section}]\ntimeout_ms = {timeout}");
                assert_eq!(parse(&text).is_ok(), good, "{text}");
            }
        }
    }
}

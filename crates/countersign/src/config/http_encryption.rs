//! The setting `listen.http_tls`.

use clap::ValueEnum;
use serde::Deserialize;

/// Whether the HTTP listener has TLS.
#[derive(Debug, Clone, Copy, Default, Deserialize, ValueEnum, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpEncryption {
    #[default]
    Off,
    Site,
    Files,
}

//! The setting `listen.http_tls`.

use std::fmt;

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

impl fmt::Display for HttpEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Site => "site",
            Self::Files => "files",
        })
    }
}

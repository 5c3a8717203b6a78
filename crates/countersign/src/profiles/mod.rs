//! Profiles: what an enrolled device needs to connect, so that later commands need neither address nor key.
//!
//! ```text
//! $COUNTERSIGN_CONFIG_HOME, or $XDG_CONFIG_HOME/countersign, or ~/.config/countersign
//!   default                      the name of the default profile
//!   profiles/NAME.toml           id, address, pinned site key, its newest key event, path of the key
//!   profiles/NAME.key            the device's private key, if `enrol` created it
//! ```
//!
//! `enrol` writes key and profile before it sends the request, so that a repeated command sends the same
//! key if the reply was lost.

mod folder;
mod keyring;

use std::path::PathBuf;

use countersign_crypto::sign::VerifyingKey;
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::KnownSite;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::folder::{Profiles, ProfilesFolder};
pub(crate) use self::keyring::KeyringEntry;

/// The version of the file format that this program reads and writes.
const VERSION: u32 = 1;

/// A profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    #[serde(deserialize_with = "version")]
    version: u32,
    /// The person's id.
    pub(crate) id: AccountName,
    /// The pinned Ed25519 key of the site.
    #[serde(serialize_with = "put_key", deserialize_with = "key")]
    pub(crate) site_key: VerifyingKey,
    /// The file with the device's private key; a relative path begins in the folder of profiles.
    pub(crate) key: PathBuf,
    /// SHA-256 of the ticket's token, in hexadecimal: for which ticket the key was created.
    pub(crate) ticket: String,
    /// The entry of the keyring with the pass phrase of the key, if the key is encrypted under one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keyring: Option<KeyringEntry>,
    /// Where the device connects; absent until the site has accepted the enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) enrolled: Option<Enrolled>,
    /// What is known of the site: it replaces the pinned key, and follows its key events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known_site: Option<KnownSite>,
}

/// What the site's reply to the enrolment says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enrolled {
    /// The device's id at the site.
    pub(crate) device: String,
    /// The host for later connections.
    pub(crate) host: String,
    /// The port there.
    pub(crate) port: u16,
}

impl Profile {
    /// A profile of a device that is not enrolled yet.
    pub(crate) fn new(
        id: AccountName,
        site_key: VerifyingKey,
        key: PathBuf,
        ticket: String,
    ) -> Self {
        Self {
            version: VERSION,
            id,
            site_key,
            key,
            ticket,
            keyring: None,
            enrolled: None,
            known_site: None,
        }
    }
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(serde::de::Error::custom(format_args!(
            "version {other} is not supported; this program reads version {VERSION}"
        ))),
    }
}

fn put_key<S: Serializer>(key: &VerifyingKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64URL_NOPAD.encode(&key.0))
}

fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VerifyingKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map(VerifyingKey)
        .ok_or_else(|| serde::de::Error::custom("the site key is not base64url of 32 bytes"))
}

#[cfg(test)]
mod tests;

//! Applications: the properties and keys of each, and which applications may call which.

mod auth_data;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use countersign_crypto::hash::sha256;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyPublic, SealingSuite};
use countersign_crypto::rsa::{RsaHash, RsaPublicKey};
use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::{v1, v2};
use countersign_proto::site_identity::SiteId;
use data_encoding::HEXLOWER;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use auth_data::AuthData;

use crate::access::{Caller, Channel};
use crate::accounts::State;
use crate::id::{AccountId, InstanceId};
use crate::json::Json;
use crate::text::{Base64Url, Label};
use crate::timestamp::Timestamp;

/// The maximum number of valid keys of an application.
pub const MAX_KEYS: usize = 8;

/// The id of an application, or the name of a group of applications: one line of at most 128 bytes,
/// without a comma, which separates ids in lists. Unlike account names, ids may contain blanks,
/// because those of other implementations of the broker do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApplicationId(String);

/// The text is not an application id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 128 bytes on one line, no comma, and no blank at either end")]
pub struct BadApplicationId;

impl ApplicationId {
    /// Returns whether the id contains a blank, which edition v1 permits.
    #[must_use]
    pub fn has_blanks(&self) -> bool {
        self.0.chars().any(char::is_whitespace)
    }

    /// Returns whether the id contains `@`, as the names of applications of peers do.
    #[must_use]
    pub fn has_zone(&self) -> bool {
        self.0.contains('@')
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ApplicationId {
    type Error = BadApplicationId;

    fn try_from(text: String) -> Result<Self, BadApplicationId> {
        let length = (1..=v2::limits::ID).contains(&text.len());
        let bad = |character: char| character.is_control() || character == ',';
        let plain = text.trim() == text && !text.chars().any(bad);
        (length && plain)
            .then_some(Self(text))
            .ok_or(BadApplicationId)
    }
}

impl FromStr for ApplicationId {
    type Err = BadApplicationId;

    fn from_str(text: &str) -> Result<Self, BadApplicationId> {
        text.to_owned().try_into()
    }
}

impl From<ApplicationId> for String {
    fn from(id: ApplicationId) -> Self {
        id.0
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ApplicationId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApplicationId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": v2::limits::ID })
    }
}

/// The edition of the ticket protocol that an application speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Edition {
    /// The current edition.
    #[default]
    #[serde(rename = "v2")]
    V2,
    /// The edition of Serveros 0.3, for applications that cannot be changed.
    #[serde(rename = "serveros-v1")]
    ServerosV1,
}

impl Edition {
    /// Returns the name of the edition in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::ServerosV1 => "serveros-v1",
        }
    }
}

/// A public key of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationKey {
    /// The key: the public keys of a party for v2, a DER `SubjectPublicKeyInfo` for v1.
    pub public: Base64Url,
    /// The label; may be empty.
    pub label: Label,
    /// When the key was added.
    pub added: Timestamp,
    /// When the key stops being valid; `None` for the newest.
    pub retires: Option<Timestamp>,
}

/// The text is not a public key of this edition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadApplicationKey(String);

impl ApplicationKey {
    /// Parses a key from PEM.
    ///
    /// # Errors
    /// [`BadApplicationKey`].
    pub fn from_pem(
        edition: Edition,
        pem: &str,
        label: Label,
        now: Timestamp,
    ) -> Result<Self, BadApplicationKey> {
        let public = match edition {
            Edition::V2 => PartyPublic::from_pem(pem)
                .map(|public| public.to_bytes())
                .map_err(|error| BadApplicationKey(error.to_string()))?,
            Edition::ServerosV1 => RsaPublicKey::from_pem(pem)
                .map(|public| public.spki().to_vec())
                .map_err(|error| BadApplicationKey(error.to_string()))?,
        };
        Ok(Self {
            public: Base64Url(public),
            label,
            added: now,
            retires: None,
        })
    }

    /// Returns the SHA-256 of the key, in hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&sha256(&self.public.0))
    }

    /// Returns whether the key is valid at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.retires.is_none_or(|retires| now < retires)
    }
}

/// A permission target: one application, all applications of a group, or an application of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Callee {
    /// The application with this id.
    App(ApplicationId),
    /// Every application of the group with this name.
    Group(ApplicationId),
    /// An application of a peer: its id there, `@` and the zone of the peer.
    Foreign(#[schemars(with = "String")] ForeignName),
}

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(id) | Self::Group(id) => id.fmt(f),
            Self::Foreign(name) => name.fmt(f),
        }
    }
}

/// The permission of an application to call others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The application or group that may be called.
    #[serde(flatten)]
    pub callee: Callee,
    /// The registration of the application to which the permission applies. `None` for a group, and
    /// for a registration that has no instance id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The peer that had the zone when the permission was given. `None` for applications of this
    /// site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
}

/// The permission of an application of a peer to call an application of this site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignGrant {
    /// The peer that had the zone when the permission was given.
    pub site: SiteId,
    /// The application, as the peer claims.
    pub name: ForeignName,
}

impl Grant {
    /// Returns whether the permission covers this application of this site.
    #[must_use]
    pub fn allows(&self, provider: &Application) -> bool {
        match &self.callee {
            Callee::App(id) => *id == provider.id && self.instance == provider.instance,
            Callee::Group(group) => provider.groups.contains(group),
            Callee::Foreign(_) => false,
        }
    }
}

/// An application, as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The id; unique in the site.
    pub id: ApplicationId,
    /// Identifies this registration, so that permissions granted to an earlier application of the
    /// same id do not apply to it. `None` for registrations that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The edition of the ticket protocol.
    pub edition: Edition,
    /// The public keys, newest first.
    pub keys: Vec<ApplicationKey>,
    /// The supported hashes, in order of preference (v1).
    pub hashes: Vec<String>,
    /// The supported ciphers, in order of preference (v1).
    pub ciphers: Vec<String>,
    /// The lifetime of a ticket for the application, in milliseconds.
    pub keys_last: u64,
    /// The data about the application for providers, sealed.
    pub auth_data: AuthData,
    /// The groups to which the application belongs.
    pub groups: Vec<ApplicationId>,
    /// The applications and groups that the application may call; empty at first.
    pub may_call: Vec<Grant>,
    /// The applications of peers that may call the application; empty at first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<ForeignGrant>,
    /// The service account that gets tickets for the application, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<AccountId>,
    /// Whether the application may call and be called.
    pub state: State,
    /// The revision: 1 at first, incremented by each change.
    pub revision: u64,
    /// When the application was registered.
    pub created: Timestamp,
    /// When the application was last changed.
    pub changed: Timestamp,
}

impl Application {
    /// Returns whether this application may call `provider` now: both are active, speak the same
    /// edition, and policy allows it.
    #[must_use]
    pub fn may_call(&self, provider: &Self) -> bool {
        let named = self.may_call.iter().any(|grant| grant.allows(provider));
        let active = self.state == State::Active && provider.state == State::Active;
        named && active && self.edition == provider.edition
    }

    /// Returns whether this application may call the application `provider` of this peer now, as far
    /// as its own site decides.
    #[must_use]
    pub fn may_call_foreign(&self, provider: &ForeignName, peer: SiteId) -> bool {
        let named = |grant: &Grant| match &grant.callee {
            Callee::Foreign(name) => name == provider && grant.site == Some(peer),
            Callee::App(_) | Callee::Group(_) => false,
        };
        self.calls_across_sites() && self.may_call.iter().any(named)
    }

    /// Returns whether the application `consumer` of this peer may call this one now.
    #[must_use]
    pub fn admits(&self, consumer: &ForeignName, peer: SiteId) -> bool {
        let named = |grant: &ForeignGrant| grant.site == peer && grant.name == *consumer;
        self.calls_across_sites() && self.callers.iter().any(named)
    }

    fn calls_across_sites(&self) -> bool {
        self.state == State::Active && self.edition == Edition::V2
    }

    /// Returns whether the caller is the application's service account, in a session or with a
    /// request over HTTP that it signed or sent with an access token. Another account that later has
    /// the same name is not.
    #[must_use]
    pub fn has_service(&self, caller: &Caller) -> bool {
        matches!(caller.channel, Channel::Session | Channel::Http)
            && !caller.is_device()
            && self.service.is_some()
            && caller.account == self.service
    }

    /// Returns the next revision of the application, changed at `now` by `change`.
    #[must_use]
    pub fn revised(mut self, now: Timestamp, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self.changed = now;
        self
    }

    fn valid_keys(&self, now: Timestamp) -> impl Iterator<Item = &[u8]> {
        let valid_keys = self.keys.iter().filter(move |key| key.is_valid(now));
        valid_keys.map(|key| key.public.0.as_slice())
    }

    /// Returns the application in the form of edition v2, with its valid keys and its opened data;
    /// `None` for another edition.
    #[must_use]
    pub fn as_v2(&self, auth_data: &Json, now: Timestamp) -> Option<v2::site::Application> {
        // A provider must not take an application of this site for one of a peer.
        (self.edition == Edition::V2 && !self.id.has_zone()).then(|| v2::site::Application {
            id: self.id.to_string(),
            keys: self
                .valid_keys(now)
                .filter_map(|key| PartyPublic::from_bytes(key).ok())
                .collect(),
            suite: SealingSuite::XWing,
            keys_last: self.keys_last,
            auth_data: Some(auth_data.to_raw()),
        })
    }

    /// Returns the application in the form of edition v1, with its opened data; `None` for another
    /// edition.
    #[must_use]
    pub fn as_v1(&self, auth_data: &Json, now: Timestamp) -> Option<v1::site::V1Application> {
        let known = |names: &[String]| -> Vec<Cipher> {
            let ciphers = names.iter().filter_map(|name| name.parse().ok());
            ciphers.collect()
        };
        (self.edition == Edition::ServerosV1).then(|| v1::site::V1Application {
            id: self.id.to_string(),
            keys: self
                .valid_keys(now)
                .filter_map(|key| RsaPublicKey::from_spki(key.to_vec()).ok())
                .collect(),
            hashes: self
                .hashes
                .iter()
                .filter_map(|name| name.parse::<RsaHash>().ok())
                .collect(),
            ciphers: known(&self.ciphers),
            keys_last: self.keys_last,
            auth_data: (!auth_data.is_null()).then(|| auth_data.to_raw()),
        })
    }
}

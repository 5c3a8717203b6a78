//! Applications that call each other: what is registered of each, and who may call whom.

use std::fmt;
use std::str::FromStr;

use countersign_crypto::hash::sha256;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyPublic, SealingSuite};
use countersign_crypto::rsa::{RsaHash, RsaPublicKey};
use countersign_proto::broker::{v1, v2};
use data_encoding::HEXLOWER;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::access::{Caller, Channel};
use crate::accounts::State;
use crate::id::{AccountId, InstanceId};
use crate::json::Json;
use crate::text::{Base64Url, Label};
use crate::timestamp::Timestamp;

/// The most keys that an application has at a time.
pub const MOST_KEYS: usize = 8;

/// The id of an application, or the name of a group of them: one line of at most 128 bytes without a comma,
/// which separates ids where several are written. Applications of other implementations of the broker may
/// have blanks in theirs, so it is no account's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApplicationId(String);

/// The text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 128 bytes on one line, no comma, and no blank at either end")]
pub struct BadApplicationId;

impl ApplicationId {
    /// Whether it has a blank in it, as ids of edition v1 may have.
    #[must_use]
    pub fn has_blanks(&self) -> bool {
        self.0.chars().any(char::is_whitespace)
    }

    /// The text.
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

/// Which edition of the broker's dialog an application speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Edition {
    /// Ours.
    #[default]
    #[serde(rename = "v2")]
    V2,
    /// That of Serveros 0.3, for what cannot be changed.
    #[serde(rename = "serveros-v1")]
    ServerosV1,
}

impl Edition {
    /// The word for it.
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
    /// Of v2 the keys of a party, of v1 a `SubjectPublicKeyInfo`.
    pub public: Base64Url,
    /// What the admin calls it; may be empty.
    pub label: Label,
    /// When it was added.
    pub added: Timestamp,
    /// From when on it is not accepted any more; `None` for the newest.
    pub retires: Option<Timestamp>,
}

/// What was given is no public key for this edition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadApplicationKey(String);

impl ApplicationKey {
    /// Reads a key from PEM.
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

    /// The SHA-256 of the key, in hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&sha256(&self.public.0))
    }

    /// Whether it is accepted at that time.
    #[must_use]
    pub fn is_accepted(&self, now: Timestamp) -> bool {
        self.retires.is_none_or(|retires| now < retires)
    }
}

/// Whom an application may call: one application, or those of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Callee {
    /// That one.
    App(ApplicationId),
    /// Every one of this group.
    Group(ApplicationId),
}

/// A callee that an application was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whom it may call.
    #[serde(flatten)]
    pub callee: Callee,
    /// Which registration of that application; `None` for a group, and for a registration that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
}

impl Grant {
    /// Whether it allows to call that application.
    #[must_use]
    pub fn allows(&self, provider: &Application) -> bool {
        match &self.callee {
            Callee::App(id) => *id == provider.id && self.instance == provider.instance,
            Callee::Group(group) => provider.groups.contains(group),
        }
    }
}

/// An application as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Unique in the site.
    pub id: ApplicationId,
    /// Names this registration: what was granted to an application of the same id before does not pass to
    /// this one. Registrations of before there were instances have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// What it speaks.
    pub edition: Edition,
    /// Its public keys, the newest first.
    pub keys: Vec<ApplicationKey>,
    /// Hashes that it knows, the best first (v1).
    pub hashes: Vec<String>,
    /// Ciphers that it knows, the best first (v1).
    pub ciphers: Vec<String>,
    /// How long a ticket for it is good, in milliseconds.
    pub keys_last: u64,
    /// What providers are told of it; `null` for nothing.
    pub auth_data: Json,
    /// The groups that it belongs to.
    pub groups: Vec<ApplicationId>,
    /// Whom it may call: nobody at first.
    pub may_call: Vec<Grant>,
    /// The service account that speaks for it in a session, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<AccountId>,
    /// Whether it may call and be called.
    pub state: State,
    /// 1 at first, one more with each change.
    pub revision: u64,
    /// When it was registered.
    pub created: Timestamp,
    /// When it was changed last.
    pub changed: Timestamp,
}

impl Application {
    /// Whether this one may call that one now: both are active, speak the same edition, and policy says so.
    #[must_use]
    pub fn may_call(&self, provider: &Self) -> bool {
        let named = self.may_call.iter().any(|grant| grant.allows(provider));
        let active = self.state == State::Active && provider.state == State::Active;
        named && active && self.edition == provider.edition
    }

    /// Whether this caller speaks for it: the service account that is set, in a session. Another account of
    /// the same name does not.
    #[must_use]
    pub fn is_spoken_for_by(&self, caller: &Caller) -> bool {
        caller.channel == Channel::Session
            && self.service.is_some()
            && caller.account == self.service
    }

    /// The application one revision on, changed at `now` by `change`.
    #[must_use]
    pub fn revised(mut self, now: Timestamp, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.revision = self.revision.saturating_add(1);
        self.changed = now;
        self
    }

    fn accepted(&self, now: Timestamp) -> impl Iterator<Item = &[u8]> {
        let accepted = self.keys.iter().filter(move |key| key.is_accepted(now));
        accepted.map(|key| key.public.0.as_slice())
    }

    /// The application as edition v2 knows it, with the keys that are accepted now; `None` of another edition.
    #[must_use]
    pub fn as_v2(&self, now: Timestamp) -> Option<v2::site::Application> {
        (self.edition == Edition::V2).then(|| v2::site::Application {
            id: self.id.to_string(),
            keys: self
                .accepted(now)
                .filter_map(|key| PartyPublic::from_bytes(key).ok())
                .collect(),
            suite: SealingSuite::XWing,
            keys_last: self.keys_last,
            auth_data: Some(self.auth_data.to_raw()),
        })
    }

    /// The same of edition v1.
    #[must_use]
    pub fn as_v1(&self, now: Timestamp) -> Option<v1::site::V1Application> {
        let known = |names: &[String]| -> Vec<Cipher> {
            let ciphers = names.iter().filter_map(|name| name.parse().ok());
            ciphers.collect()
        };
        (self.edition == Edition::ServerosV1).then(|| v1::site::V1Application {
            id: self.id.to_string(),
            keys: self
                .accepted(now)
                .filter_map(|key| RsaPublicKey::from_spki(key.to_vec()).ok())
                .collect(),
            hashes: self
                .hashes
                .iter()
                .filter_map(|name| name.parse::<RsaHash>().ok())
                .collect(),
            ciphers: known(&self.ciphers),
            keys_last: self.keys_last,
            auth_data: (!self.auth_data.is_null()).then(|| self.auth_data.to_raw()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn application(id: &str) -> Application {
        Application {
            id: id.parse().unwrap(),
            instance: None,
            edition: Edition::V2,
            keys: Vec::new(),
            hashes: Vec::new(),
            ciphers: Vec::new(),
            keys_last: 1_000,
            auth_data: Json::default(),
            groups: Vec::new(),
            may_call: Vec::new(),
            service: None,
            state: State::Active,
            revision: 1,
            created: NOW,
            changed: NOW,
        }
    }

    fn to(callee: Callee) -> Grant {
        Grant {
            callee,
            instance: None,
        }
    }

    /// `ledger` is deleted and registered again: what others were granted before is not for it.
    #[test]
    fn a_grant_is_for_one_registration() {
        let (mut billing, mut ledger) = (application("billing"), application("ledger"));
        let first = Some(InstanceId::from_bytes([1; 16]));
        ledger.instance = first;
        billing.may_call = vec![Grant {
            callee: Callee::App(ledger.id.clone()),
            instance: first,
        }];
        assert!(billing.may_call(&ledger));
        ledger.instance = Some(InstanceId::from_bytes([2; 16]));
        assert!(!billing.may_call(&ledger));
        // One that was granted before there were instances is for those alone.
        billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
        assert!(!billing.may_call(&ledger));
        ledger.instance = None;
        assert!(billing.may_call(&ledger));
    }

    // [BRK-30]
    #[test]
    fn nobody_may_call_anybody_until_policy_says_so() {
        let (mut billing, mut ledger) = (application("billing"), application("ledger"));
        assert!(!billing.may_call(&ledger) && !billing.may_call(&billing));
        billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
        assert!(billing.may_call(&ledger) && !ledger.may_call(&billing));
        billing.may_call = vec![to(Callee::Group("finance".parse().unwrap()))];
        assert!(!billing.may_call(&ledger));
        ledger.groups = vec!["finance".parse().unwrap()];
        assert!(billing.may_call(&ledger));
        // A group is no application.
        billing.may_call = vec![to(Callee::App("finance".parse().unwrap()))];
        assert!(!billing.may_call(&ledger));
    }

    #[test]
    fn whoever_is_locked_neither_calls_nor_is_called() {
        let (mut billing, ledger) = (application("billing"), application("ledger"));
        billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
        for (of, to) in [
            (State::Locked, State::Active),
            (State::Active, State::Locked),
        ] {
            let (mut billing, mut ledger) = (billing.clone(), ledger.clone());
            (billing.state, ledger.state) = (of, to);
            assert!(!billing.may_call(&ledger));
        }
        let mut old = ledger;
        old.edition = Edition::ServerosV1;
        assert!(!billing.may_call(&old), "editions do not mix");
    }

    #[test]
    fn a_key_that_retires_is_accepted_until_then() {
        let mut billing = application("billing");
        let key = |retires| ApplicationKey {
            public: Base64Url(vec![1]),
            label: Label::default(),
            added: NOW,
            retires,
        };
        billing.keys = vec![key(None), key(Some(NOW.plus_millis(10)))];
        assert_eq!(billing.accepted(NOW.plus_millis(9)).count(), 2);
        assert_eq!(billing.accepted(NOW.plus_millis(10)).count(), 1);
    }

    #[test]
    fn ids_are_one_line() {
        for fine in ["a", "Application A", &"x".repeat(128), "ñandú"] {
            assert!(fine.parse::<ApplicationId>().is_ok(), "{fine}");
        }
        for bad in ["", " a", "a ", "a\nb", "a,b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<ApplicationId>(), Err(BadApplicationId), "{bad}");
        }
    }
}

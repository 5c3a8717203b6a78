//! What an admin says of an application besides its keys.

use countersign_crypto::rsa::RsaHash;
use countersign_crypto::unauthenticated::Cipher;
use countersign_proto::broker::v2::limits::LONGEST_TICKET;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::account;
use crate::account::Kind;
use crate::application::{Application, ApplicationId, Callee, Edition};
use crate::context::Context;
use crate::refusal::Refusal;

/// The most groups of an application, and the most callees.
const MOST_NAMES: usize = 64;
/// The longest `auth_data`, in bytes of JSON: it travels in every ticket.
const MOST_AUTH_DATA: usize = 4_096;

/// What may be changed of an application; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Hashes that it supports, the best first (`serveros-v1`); `sha256` is one of them, and the only one by default.
    hashes: Option<Vec<String>>,
    /// Ciphers that it supports, the best first (`serveros-v1`); `aes-256-cbc` by default.
    ciphers: Option<Vec<String>>,
    /// How long a ticket for it is good, in milliseconds: an hour when it says nothing, a day at most.
    keys_last: Option<u64>,
    /// What providers are told of it: any JSON of at most 4,096 bytes.
    auth_data: Option<Value>,
    /// The groups that it belongs to.
    groups: Option<Vec<ApplicationId>>,
    /// Whom it may call.
    may_call: Option<Vec<Callee>>,
    /// The service that gets tickets and ticket keys for it in its sessions; an empty text for none.
    service: Option<ServiceName>,
}

/// The name of a service, with or without the site's own zone, or an empty text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct ServiceName(String);

impl ServiceName {
    /// The whole name of a service that exists.
    async fn whole(&self, context: &Context) -> Result<Option<AccountName>, Refusal> {
        const FIELD: &str = "settings.service";
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.0.parse::<AccountName>();
        let name = name.map_err(|error| Refusal::invalid(FIELD, error))?;
        let found = account::find(context, Kind::Service, &name).await;
        found
            .map(|service| Some(service.name))
            .map_err(|refusal| refusal.of_field(FIELD))
    }
}

impl Settings {
    /// Whether it is within the limits.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        for hash in self.hashes.iter().flatten() {
            let known = hash.parse::<RsaHash>();
            known.map_err(|error| Refusal::invalid("settings.hashes", error))?;
        }
        for cipher in self.ciphers.iter().flatten() {
            let known = cipher.parse::<Cipher>();
            known.map_err(|error| Refusal::invalid("settings.ciphers", error))?;
        }
        if self
            .keys_last
            .is_some_and(|last| !(1_000..=LONGEST_TICKET).contains(&last))
        {
            let problem = format!("is not from 1000 to {LONGEST_TICKET} milliseconds");
            return Err(Refusal::invalid("settings.keys_last", problem));
        }
        let told = self
            .auth_data
            .as_ref()
            .map_or(0, |told| told.to_string().len());
        if told > MOST_AUTH_DATA {
            let problem = format!("is longer than {MOST_AUTH_DATA} bytes");
            return Err(Refusal::invalid("settings.auth_data", problem));
        }
        let groups = self.groups.as_ref().map_or(0, Vec::len);
        let callees = self.may_call.as_ref().map_or(0, Vec::len);
        for (field, names) in [("settings.groups", groups), ("settings.may_call", callees)] {
            if names > MOST_NAMES {
                let problem = format!("has more than {MOST_NAMES} entries");
                return Err(Refusal::invalid(field, problem));
            }
        }
        Ok(())
    }

    /// Whether an application of this edition can do anything with the lists that are given.
    fn check_lists(&self, edition: Edition) -> Result<(), Refusal> {
        if edition != Edition::ServerosV1 {
            return Ok(());
        }
        let needed = RsaHash::Sha256.name();
        let without = |list: &Vec<String>| list.iter().all(|hash| hash != needed);
        if self.hashes.as_ref().is_some_and(without) {
            let problem = format!(
                "has no {needed}, the one hash that the site signs tickets with and that Hawk knows: an application \
                 without it gets no ticket; add it"
            );
            return Err(Refusal::invalid("settings.hashes", problem));
        }
        if self.ciphers.as_ref().is_some_and(Vec::is_empty) {
            let problem = "names no cipher: an application without one gets no ticket; name one";
            return Err(Refusal::invalid("settings.ciphers", problem));
        }
        Ok(())
    }

    /// Says it of an application; a service has to exist.
    pub(super) async fn apply(
        self,
        context: &Context,
        application: &mut Application,
    ) -> Result<(), Refusal> {
        self.check_lists(application.edition)?;
        let Self {
            hashes,
            ciphers,
            keys_last,
            auth_data,
            groups,
            may_call,
            service,
        } = self;
        if let Some(service) = service {
            application.service = service.whole(context).await?;
        }
        application.hashes = hashes.unwrap_or_else(|| application.hashes.clone());
        application.ciphers = ciphers.unwrap_or_else(|| application.ciphers.clone());
        application.keys_last = keys_last.unwrap_or(application.keys_last);
        application.auth_data = auth_data.unwrap_or_else(|| application.auth_data.clone());
        application.groups = groups.unwrap_or_else(|| application.groups.clone());
        application.may_call = may_call.unwrap_or_else(|| application.may_call.clone());
        Ok(())
    }
}

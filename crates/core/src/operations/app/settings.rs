//! What an admin says of an application besides its keys.

use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;
use countersign_proto::broker::v2::limits::MAX_TICKET;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::super::account;
use crate::accounts::Kind;
use crate::applications::{Application, ApplicationId, Callee, Edition, Grant};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::json::{Json, MOST_DEPTH};

/// The most entries of each list of an application.
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
    /// What providers are told of it: any JSON of at most 4,096 bytes, nested at most 16 deep. It is kept as
    /// given; `null` takes away what was there.
    #[serde(default, deserialize_with = "also_null")]
    auth_data: Option<Json>,
    /// The groups that it belongs to.
    groups: Option<Vec<ApplicationId>>,
    /// Whom it may call, in place of what was there. Applications have to exist.
    may_call: Option<Vec<Callee>>,
    /// The service that gets tickets and ticket keys for it in its sessions; an empty text for none.
    service: Option<ServiceName>,
}

/// The name of a service, with or without the site's own zone, or an empty text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct ServiceName(String);

impl ServiceName {
    /// The id of a service that exists.
    async fn id(&self, context: &Context) -> Result<Option<AccountId>, Refusal> {
        const FIELD: &str = "settings.service";
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.0.parse::<AccountName>();
        let name = name.map_err(|error| Refusal::invalid(FIELD, error))?;
        let found = account::find(context, Kind::Service, &name).await;
        found
            .map(|service| Some(service.id))
            .map_err(|refusal| refusal.of_field(FIELD))
    }
}

impl Settings {
    /// Whether it is within the limits.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let length = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
        few("settings.hashes", length(&self.hashes))?;
        few("settings.ciphers", length(&self.ciphers))?;
        few("settings.groups", self.groups.as_ref().map_or(0, Vec::len))?;
        let callees = self.may_call.as_ref().map_or(0, Vec::len);
        few("settings.may_call", callees)?;
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
            .is_some_and(|last| !(1_000..=MAX_TICKET).contains(&last))
        {
            let problem = format!("is not from 1000 to {MAX_TICKET} milliseconds");
            return Err(Refusal::invalid("settings.keys_last", problem));
        }
        if let Some(told) = &self.auth_data {
            let problem = match told {
                _ if told.as_str().len() > MOST_AUTH_DATA => {
                    format!("is longer than {MOST_AUTH_DATA} bytes")
                }
                _ if told.depth() > MOST_DEPTH => {
                    format!("is nested more than {MOST_DEPTH} deep")
                }
                _ => String::new(),
            };
            if !problem.is_empty() {
                return Err(Refusal::invalid("settings.auth_data", problem));
            }
        }
        let mut groups = self.groups.iter().flatten();
        if groups.any(ApplicationId::has_blanks) {
            return Err(Refusal::invalid("settings.groups", "a group has no blanks"));
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

    /// Says it of an application; a service and whom it may call have to exist.
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
            application.service = service.id(context).await?;
        }
        application.hashes = hashes.unwrap_or_else(|| application.hashes.clone());
        application.ciphers = ciphers.unwrap_or_else(|| application.ciphers.clone());
        application.keys_last = keys_last.unwrap_or(application.keys_last);
        application.auth_data = auth_data.unwrap_or_else(|| application.auth_data.clone());
        application.groups = groups.unwrap_or_else(|| application.groups.clone());
        if let Some(callees) = may_call {
            application.may_call = Vec::new();
            allow(context, application, callees, "settings.may_call").await?;
        }
        Ok(())
    }
}

/// A member that is `null` is not one that is left out.
fn also_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Refuses a list that is too long before any work is done for its entries.
pub(super) fn few(field: &str, entries: usize) -> Result<(), Refusal> {
    match entries <= MOST_NAMES {
        true => Ok(()),
        false => Err(Refusal::invalid(
            field,
            format!("has more than {MOST_NAMES} entries"),
        )),
    }
}

/// Lets an application call these too. One that was allowed before and was registered anew since is meant as
/// it is registered now.
pub(super) async fn allow(
    context: &Context,
    application: &mut Application,
    callees: Vec<Callee>,
    field: &str,
) -> Result<(), Refusal> {
    for callee in callees {
        let instance = match &callee {
            Callee::Group(group) if group.has_blanks() => {
                return Err(Refusal::invalid(field, "a group has no blanks"));
            }
            Callee::Group(_) => None,
            Callee::App(id) if *id == application.id => application.instance,
            Callee::App(id) => {
                let found = super::find(context, id).await;
                found.map_err(|refusal| refusal.of_field(field))?.instance
            }
        };
        application.may_call.retain(|grant| grant.callee != callee);
        application.may_call.push(Grant { callee, instance });
    }
    if application.may_call.len() > MOST_NAMES {
        let problem = format!("makes more than {MOST_NAMES} entries");
        return Err(Refusal::invalid(field, problem));
    }
    Ok(())
}

/// Takes these from whom an application may call.
pub(super) fn disallow(application: &mut Application, callees: &[Callee]) -> Result<(), Refusal> {
    for callee in callees {
        let before = application.may_call.len();
        application.may_call.retain(|grant| grant.callee != *callee);
        if application.may_call.len() == before {
            let (Callee::App(id) | Callee::Group(id)) = callee;
            let problem = format!("{} may not call {id} anyway", application.id);
            return Err(Refusal::invalid("disallow", problem));
        }
    }
    Ok(())
}

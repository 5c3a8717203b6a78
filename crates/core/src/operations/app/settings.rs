//! The properties of an application that an admin can change, apart from its keys.

use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;
use countersign_proto::broker::v2::limits::MAX_TICKET;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::super::account;
use super::foreign;
use crate::accounts::Kind;
use crate::applications::{Application, ApplicationId, AuthData, Callee, Edition, Grant};
use crate::engine::{Context, Refusal};
use crate::id::AccountId;
use crate::json::{Json, MAX_DEPTH};

/// The maximum number of entries in each list of an application.
const MAX_ENTRIES: usize = 64;
/// The maximum length of `auth_data`, in bytes of JSON. It is part of every ticket.
const MAX_AUTH_DATA: usize = 4_096;

/// The settings of an application. An absent field stays unchanged.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The hashes that the application supports, in order of preference (`serveros-v1`). The list
    /// must contain `sha256`. A new application supports `sha256` only.
    hashes: Option<Vec<String>>,
    /// The ciphers that the application supports, in order of preference (`serveros-v1`). A new
    /// application supports `aes-256-cbc` only.
    ciphers: Option<Vec<String>>,
    /// The lifetime of a ticket for the application, in milliseconds: 1,000 (a second) to
    /// 86,400,000 (a day), 3,600,000 (an hour) for a new application.
    keys_last: Option<u64>,
    /// The data about the application that providers find in its tickets: any JSON of at most 4,096
    /// bytes, nested at most 16 levels deep. It is stored as given. `null` removes the data.
    #[serde(default, deserialize_with = "also_null")]
    auth_data: Option<Json>,
    /// The groups that the application belongs to.
    groups: Option<Vec<ApplicationId>>,
    /// The applications and groups that the application may call; replaces the previous list. The
    /// applications must exist.
    may_call: Option<Vec<Callee>>,
    /// The service that gets tickets and ticket keys for the application; an empty string removes
    /// it.
    service: Option<ServiceName>,
}

/// The name of a service, with or without the site's own zone, or an empty string.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
struct ServiceName(String);

impl ServiceName {
    /// Returns the id of the service, which must exist; `None` for an empty string.
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
    /// Checks the settings against the limits.
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
        if let Some(auth_data) = &self.auth_data {
            let problem = match auth_data {
                _ if auth_data.as_str().len() > MAX_AUTH_DATA => {
                    format!("is longer than {MAX_AUTH_DATA} bytes")
                }
                _ if auth_data.depth() > MAX_DEPTH => {
                    format!("is nested more than {MAX_DEPTH} levels deep")
                }
                _ => String::new(),
            };
            if !problem.is_empty() {
                return Err(Refusal::invalid("settings.auth_data", problem));
            }
        }
        let mut groups = self.groups.iter().flatten();
        if groups.any(ApplicationId::has_blanks) {
            return Err(Refusal::invalid(
                "settings.groups",
                "the name of a group must not contain blanks",
            ));
        }
        Ok(())
    }

    /// Checks that an application of this edition can get tickets with these lists.
    fn check_lists(&self, edition: Edition) -> Result<(), Refusal> {
        if edition != Edition::ServerosV1 {
            return Ok(());
        }
        let needed = RsaHash::Sha256.name();
        let without = |list: &Vec<String>| list.iter().all(|hash| hash != needed);
        if self.hashes.as_ref().is_some_and(without) {
            let problem = format!(
                "does not contain {needed}. The site signs tickets with {needed} and Hawk needs it, so an \
                application without it cannot get a ticket; add {needed}"
            );
            return Err(Refusal::invalid("settings.hashes", problem));
        }
        if self.ciphers.as_ref().is_some_and(Vec::is_empty) {
            let problem =
                "is empty. An application without a cipher cannot get a ticket; name at least one";
            return Err(Refusal::invalid("settings.ciphers", problem));
        }
        Ok(())
    }

    /// Applies the settings to an application. The service and the callees must exist.
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
        if let Some(data) = auth_data {
            let opened = context.site().expect_unsealed()?;
            let entropy = &mut context.site().entropy();
            application.auth_data = AuthData::seal(&opened.root, &application.id, &data, entropy);
        }
        application.groups = groups.unwrap_or_else(|| application.groups.clone());
        if let Some(callees) = may_call {
            application.may_call = Vec::new();
            allow(context, application, callees, "settings.may_call").await?;
        }
        Ok(())
    }
}

/// Distinguishes a field that is `null` from one that is absent.
fn also_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Refuses a list that is too long before any work is done for its entries.
pub(super) fn few(field: &str, entries: usize) -> Result<(), Refusal> {
    match entries <= MAX_ENTRIES {
        true => Ok(()),
        false => Err(Refusal::invalid(
            field,
            format!("has more than {MAX_ENTRIES} entries"),
        )),
    }
}

/// Adds callees to the applications and groups that an application may call. If a callee was
/// deleted and registered again since it was allowed, the grant is renewed for the new
/// registration.
pub(super) async fn allow(
    context: &Context,
    application: &mut Application,
    callees: Vec<Callee>,
    field: &str,
) -> Result<(), Refusal> {
    for callee in callees {
        let callee = named(application, callee);
        let mut site = None;
        let instance = match &callee {
            Callee::Foreign(name) => {
                site = Some(foreign::peer_of(context, application, name, field).await?);
                None
            }
            Callee::Group(group) if group.has_blanks() => {
                return Err(Refusal::invalid(
                    field,
                    "the name of a group must not contain blanks",
                ));
            }
            Callee::Group(_) => None,
            Callee::App(id) if *id == application.id => application.instance,
            Callee::App(id) => {
                let found = super::find(context, id).await;
                found.map_err(|refusal| refusal.of_field(field))?.instance
            }
        };
        application.may_call.retain(|grant| grant.callee != callee);
        application.may_call.push(Grant {
            callee,
            instance,
            site,
        });
    }
    if application.may_call.len() > MAX_ENTRIES {
        let problem = format!("the application would have more than {MAX_ENTRIES} entries");
        return Err(Refusal::invalid(field, problem));
    }
    Ok(())
}

/// An application of edition v1 calls no application of a peer, and ids of that edition may contain
/// `@`.
fn named(application: &Application, callee: Callee) -> Callee {
    match callee {
        Callee::Foreign(name) if application.edition == Edition::ServerosV1 => {
            let id = name.to_string().parse();
            id.map_or(Callee::Foreign(name), Callee::App)
        }
        callee => callee,
    }
}

/// Removes callees from the applications and groups that an application may call.
pub(super) fn disallow(application: &mut Application, callees: &[Callee]) -> Result<(), Refusal> {
    for callee in callees {
        let callee = &named(application, callee.clone());
        let before = application.may_call.len();
        application.may_call.retain(|grant| grant.callee != *callee);
        if application.may_call.len() == before {
            let problem = format!(
                "{} is not allowed to call {callee}, so this cannot be withdrawn",
                application.id
            );
            return Err(Refusal::invalid("disallow", problem));
        }
    }
    Ok(())
}

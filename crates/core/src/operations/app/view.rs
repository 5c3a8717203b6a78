//! An application as it is shown.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::State;
use crate::applications::{Application, ApplicationId, Callee, Edition};
use crate::engine::{Context, Refusal};
use crate::json::Json;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// A key of an application.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyView {
    /// The SHA-256 of the key, in hexadecimal.
    fingerprint: String,
    /// What it is called; may be empty.
    label: String,
    /// When it was added.
    added: Timestamp,
    /// From when on it is not accepted any more; absent for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    retires: Option<Timestamp>,
}

/// An application.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AppView {
    /// Its id.
    pub(super) id: ApplicationId,
    /// What it speaks.
    pub(super) edition: Edition,
    /// Whether it may call and be called.
    pub(super) state: State,
    /// Its keys, the newest first.
    pub(super) keys: Vec<KeyView>,
    /// Hashes that it knows, the best first.
    hashes: Vec<String>,
    /// Ciphers that it knows, the best first.
    ciphers: Vec<String>,
    /// How long a ticket for it is good, in milliseconds.
    keys_last: u64,
    /// What providers are told of it.
    auth_data: Json,
    /// The groups that it belongs to.
    groups: Vec<ApplicationId>,
    /// Whom it may call.
    may_call: Vec<Callee>,
    /// The service that speaks for it; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    service: Option<AccountName>,
    /// When it was registered.
    created: Timestamp,
    /// When it was changed last.
    changed: Timestamp,
}

impl AppView {
    /// Of an application; its service by the name that it has now.
    pub(super) async fn of(context: &Context, application: Application) -> Result<Self, Refusal> {
        let service = match application.service {
            Some(id) => match context.site().store().account(id).await {
                // An account that cannot be read keeps no application out of a list.
                Err(StoreError::Damaged { .. }) => None,
                found => found?,
            },
            None => None,
        };
        let keys = application.keys.into_iter().map(|key| KeyView {
            fingerprint: key.fingerprint(),
            label: key.label.into_string(),
            added: key.added,
            retires: key.retires,
        });
        let may_call = application.may_call.into_iter();
        Ok(Self {
            keys: keys.collect(),
            id: application.id,
            edition: application.edition,
            state: application.state,
            hashes: application.hashes,
            ciphers: application.ciphers,
            keys_last: application.keys_last,
            auth_data: application.auth_data,
            groups: application.groups,
            may_call: may_call.map(|grant| grant.callee).collect(),
            service: service.map(|account| account.name),
            created: application.created,
            changed: application.changed,
        })
    }

    /// In lines, for people.
    pub(super) fn text(&self) -> String {
        let (edition, state) = (self.edition.as_str(), self.state.as_str());
        let mut lines = vec![format!("{}  {edition}  {state}", self.id)];
        lines.extend(self.keys.iter().map(|key| match key.retires {
            Some(retires) => format!("key  {}  until {retires}", key.fingerprint),
            None => format!("key  {}", key.fingerprint),
        }));
        lines.extend(self.relations());
        let service = self.service.iter();
        lines.extend(service.map(|name| format!("service  {name}")));
        lines.join("\n")
    }

    /// Its groups and whom it may call, in lines.
    pub(super) fn relations(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("in group  {group}"));
        let callees = self.may_call.iter().map(|callee| match callee {
            Callee::App(id) => format!("may call  {id}"),
            Callee::Group(group) => format!("may call group  {group}"),
        });
        groups.chain(callees).collect()
    }
}

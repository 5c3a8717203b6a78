//! The result that shows an application.

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::State;
use crate::applications::{Application, ApplicationId, Callee, Edition};
use crate::engine::{Context, Refusal};
use crate::entity_tag::EntityTag;
use crate::json::Json;
use crate::lockdown::{InLockdown, LOCKDOWN, LockdownTarget};
use crate::store::StoreError;
use crate::text::argument;
use crate::timestamp::Timestamp;

/// A key of an application.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApplicationKeyView")]
pub(super) struct KeyView {
    /// The SHA-256 of the key, in hexadecimal.
    fingerprint: String,
    /// The key's label; may be empty.
    label: String,
    /// When the key was added.
    added: Timestamp,
    /// When the key stops being valid; absent for the newest key.
    #[serde(skip_serializing_if = "Option::is_none")]
    retires: Option<Timestamp>,
}

/// An application.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AppView {
    /// The application's id.
    pub(super) id: ApplicationId,
    /// The edition of the ticket protocol that the application speaks.
    pub(super) edition: Edition,
    /// Whether the application may call and be called. A lockdown refuses it all the same.
    state: State,
    /// The lockdown of the application; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<InLockdown>,
    /// The application's keys, newest first.
    pub(super) keys: Vec<KeyView>,
    /// The hashes that the application supports, in order of preference.
    hashes: Vec<String>,
    /// The ciphers that the application supports, in order of preference.
    ciphers: Vec<String>,
    /// The lifetime of a ticket for the application, in milliseconds.
    keys_last: u64,
    /// The data about the application that providers find in its tickets. Absent while the site is
    /// sealed, and when the stored data is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<Json>,
    /// The groups that the application belongs to.
    groups: Vec<ApplicationId>,
    /// The applications and groups that the application may call.
    may_call: Vec<Callee>,
    /// The applications of peers that may call the application; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    callers: Vec<ForeignName>,
    /// The service that gets tickets for the application; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    service: Option<AccountName>,
    /// When the application was registered.
    created: Timestamp,
    /// When the application was last changed.
    changed: Timestamp,
    /// How often the application was changed.
    revision: u64,
    /// The entity tag over HTTP, there between quotes. An application that is registered with the id later
    /// has another.
    #[schemars(with = "String")]
    etag: EntityTag,
}

/// Opens the data about an application; `None` while the site is sealed, and when the data is
/// damaged, which must not remove the application from a list.
pub(super) fn opened_data(context: &Context, application: &Application) -> Option<Json> {
    let keys = context.site().unsealed_keys()?;
    application.auth_data.open(&keys.root, &application.id)
}

impl AppView {
    /// Builds the view. The service is shown under its current name.
    pub(super) async fn of(context: &Context, application: Application) -> Result<Self, Refusal> {
        let service = match application.service {
            Some(id) => match context.site().store().account(id).await {
                // A damaged service account must not remove the application from a list.
                Err(StoreError::Damaged { .. }) => None,
                found => found?,
            },
            None => None,
        };
        let auth_data = opened_data(context, &application);
        let etag = EntityTag::from(&application);
        let lockdowns = context.site().lockdowns();
        let lockdown = lockdowns.shown_of(&LockdownTarget::of_application(&application));
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
            lockdown,
            hashes: application.hashes,
            ciphers: application.ciphers,
            keys_last: application.keys_last,
            auth_data,
            groups: application.groups,
            may_call: may_call.map(|grant| grant.callee).collect(),
            callers: application
                .callers
                .into_iter()
                .map(|grant| grant.name)
                .collect(),
            service: service.map(|account| account.name),
            created: application.created,
            changed: application.changed,
            revision: application.revision,
            etag,
        })
    }

    /// The word for the state in which the application is: `lockdown` goes before the others.
    pub(super) const fn state(&self) -> &'static str {
        match &self.lockdown {
            Some(_) => LOCKDOWN,
            None => self.state.as_str(),
        }
    }

    /// Returns the view as lines of text.
    pub(super) fn text(&self) -> String {
        let (edition, state) = (self.edition.as_str(), self.state());
        let mut lines = vec![format!("{}  {edition}  {state}", self.id)];
        lines.extend(self.lockdown.as_ref().map(|lockdown| {
            let id = argument(self.id.as_str());
            format!("lockdown  {lockdown}; `lockdown lift app {id}` ends it")
        }));
        lines.extend(self.keys.iter().map(|key| match key.retires {
            Some(retires) => format!("key  {}  until {retires}", key.fingerprint),
            None => format!("key  {}", key.fingerprint),
        }));
        lines.extend(self.relations());
        let service = self.service.iter();
        lines.extend(service.map(|name| format!("service  {name}")));
        lines.join("\n")
    }

    /// Returns one line for each group, each callee and each caller of a peer.
    pub(super) fn relations(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("in group  {group}"));
        let callees = self.may_call.iter().map(|callee| match callee {
            Callee::Group(group) => format!("may call group  {group}"),
            Callee::App(_) | Callee::Foreign(_) => format!("may call  {callee}"),
        });
        let callers = self.callers.iter();
        let callers = callers.map(|name| format!("may be called by  {name}"));
        groups.chain(callees).chain(callers).collect()
    }
}

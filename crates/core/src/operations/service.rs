//! `service`: accounts that log in with a key.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, AccountView, ByName, ByStoredName, ListByName, StateChange};
use super::key::{self, KeyView};
use crate::access::Role;
use crate::accounts::{Account, Kind, State};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::Change;
use crate::text::{FullName, Label};

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("service", "create")
            .of_kind(OperationKind::Enrols)
            .summary("Creates a service, with its first key if one is given.")
            .allow(&admin)
            .changes()
            .public_key()
            .rest_creates("/services", "/services/{name}")
            .example(json!({ "name": "mailer", "certificate": "-----BEGIN CERTIFICATE-----\n…" }))
            .handler(create),
        Entry::new("service", "list")
            .summary("Lists services by name.")
            .allow(&admin)
            .rest(RestMethod::Get, "/services")
            .example(json!({ "limit": 10 }))
            .handler(|context, params: ListByName| account::list(context, Kind::Service, params)),
        Entry::new("service", "show")
            .summary("Shows a service and its keys.")
            .allow(&admin)
            .allow_own(&[Role::Service])
            .rest(RestMethod::Get, "/services/{name}")
            .example(json!({ "name": "mailer" }))
            .handler(show),
        Entry::new("service", "delete")
            .summary("Deletes a service and its keys permanently and cuts its sessions.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Delete, "/services/{name}")
            .example(json!({ "name": "mailer" }))
            .handler(|context, params: ByStoredName| {
                account::delete(context, Kind::Service, params)
            }),
        Entry::new("service", "lock")
            .summary("Locks a service, which can then not log in, and cuts its sessions.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Post, "/services/{name}/lock")
            .example(json!({ "name": "mailer" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Service, params, StateChange::Lock)
            }),
        Entry::new("service", "unlock")
            .summary("Unlocks a locked service, which can then log in again.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Post, "/services/{name}/unlock")
            .example(json!({ "name": "mailer" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Service, params, StateChange::Unlock)
            }),
        Entry::new("service", "disable")
            .summary("Disables a service that is no longer used, which can then not log in, and cuts its sessions.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Post, "/services/{name}/disable")
            .example(json!({ "name": "mailer" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Service, params, StateChange::Disable)
            }),
        Entry::new("service", "enable")
            .summary("Enables a disabled service, which can then log in again.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Post, "/services/{name}/enable")
            .example(json!({ "name": "mailer" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Service, params, StateChange::Enable)
            }),
    ]
}

/// A new service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// `name` or `name@zone`.
    #[schemars(with = "String")]
    name: AccountName,
    /// The full name.
    #[serde(default)]
    full_name: FullName,
    /// The certificate of the service's first key, in PEM (the `.pub` file of `key new`).
    certificate: Option<String>,
    /// A label for that key.
    #[serde(default)]
    label: Label,
}

/// A service with its keys.
#[derive(Debug, Serialize, JsonSchema)]
struct ServiceView {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// The keys that the service can log in with.
    keys: Vec<KeyView>,
}

async fn create(context: Context, params: Create) -> Result<Answer<ServiceView>, Refusal> {
    let site = context.site();
    let account = Account {
        id: AccountId::new(context.now(), &mut site.entropy()),
        name: site.qualified_name(params.name),
        kind: Kind::Service,
        role: Role::Service,
        full_name: params.full_name.into_string(),
        email: String::new(),
        state: State::Active,
        revision: 1,
        created: context.now(),
        changed: context.now(),
    };
    let key = params
        .certificate
        .map(|pem| key::read(&context, account.id, &pem, params.label))
        .transpose()?;
    let details = json!({
        "id": account.id,
        "thumbprint": key.as_ref().map(|key| key.thumbprint.to_string()),
    });
    let mut changes = vec![Change::InsertAccount(account.clone())];
    changes.extend(key.clone().map(Change::InsertKey));
    let target = account.name.to_string();
    context.commit(changes, target, details).await?;
    let output = match &key {
        Some(key) => format!("Created {} with the key {}.", account.name, key.thumbprint),
        None => format!(
            "Created {0}. Add a key to it with `key add {0} --public-key FILE`.",
            account.name
        ),
    };
    Ok(Answer::new(ServiceView {
        account: AccountView::of(&context, account),
        keys: key.into_iter().map(KeyView::from).collect(),
    })
    .with_output(output))
}

async fn show(context: Context, params: ByName) -> Result<Answer<ServiceView>, Refusal> {
    let account = account::find(&context, Kind::Service, &params.name).await?;
    let keys = context.site().store().keys_of(account.id).await?;
    let name = account.name.clone();
    let account = AccountView::of(&context, account);
    let (state, lockdown) = (account.state(), account.lockdown_line());
    let output = format!("{name}  {state}  {} keys{lockdown}", keys.len());
    Ok(Answer::new(ServiceView {
        account,
        keys: keys.into_iter().map(KeyView::from).collect(),
    })
    .with_output(output))
}

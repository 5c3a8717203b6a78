//! `person`: accounts that log in with a pass phrase.

pub(in crate::operations) mod data;
mod dump;

use countersign_crypto::certificate::Certificate;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::data::DataView;
use super::account::{self, AccountView, ByName, ByStoredName, ListByName, StateChange};
use super::attempts::Attempts;
use super::proof;
use crate::access::{Role, Scope};
use crate::accounts::{Account, Kind, PersonData, State};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Changes, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::lockdown::OperationKind;
use crate::store::{Change, Notice};
use crate::text::{Email, FullName};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let mut entries = vec![
        Entry::new("person", "create")
            .of_kind(OperationKind::Enrols)
            .summary("Creates a person, who can log in after a pass phrase has been set.")
            .allow(&admin)
            .changes()
            .rest_creates("/persons", "/persons/{name}")
            .example(
                json!({ "name": "maria", "full_name": "Maria Lind", "email": "maria@example.org" }),
            )
            .handler(create),
        Entry::new("person", "list")
            .summary("Lists persons by name.")
            .allow(&admin)
            .rest(RestMethod::Get, "/persons")
            .example(json!({ "limit": 10 }))
            .handler(|context, params: ListByName| account::list(context, Kind::Person, params)),
        Entry::new("person", "show")
            .summary("Shows a person.")
            .allow(&admin)
            .allow_own(&[Role::Member])
            .rest(RestMethod::Get, "/persons/{name}")
            .example(json!({ "name": "maria" }))
            .handler(show),
        Entry::new("person", "update")
            .summary(
                "Changes the given properties of a person and leaves the others as they are. A new name or role \
                cuts the person's sessions.",
            )
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Patch, "/persons/{name}")
            .example(json!({ "name": "maria", "role": "admin" }))
            .handler(update),
        Entry::new("person", "set_data")
            .summary(
                "Changes contact data and attributes of a person: the given members, `null` removes one. The person \
                stays logged in.",
            )
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Patch, "/persons/{name}/data")
            .example(json!({
                "name": "maria",
                "emails": ["maria@example.org", "m.lind@example.com"],
                "telephones": [{ "label": "work", "number": "+49 30 1234567" }],
                "postal_address": { "lines": ["Unter den Linden 77"], "postal_code": "10117", "city": "Berlin", "country": "DE" },
                "attributes": { "department": "sales", "room": null },
            }))
            .handler(data::set),
        Entry::new("person", "delete")
            .summary("Deletes a person permanently and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Delete, "/persons/{name}")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByStoredName| {
                account::delete(context, Kind::Person, params)
            }),
        Entry::new("person", "lock")
            .summary("Locks a person, who can then not log in, and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Post, "/persons/{name}/lock")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, StateChange::Lock)
            }),
        Entry::new("person", "unlock")
            .summary("Unlocks a locked person, who can then log in again.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Post, "/persons/{name}/unlock")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, StateChange::Unlock)
            }),
        Entry::new("person", "disable")
            .summary("Disables the account of a person who has left; the person can then not log in, and their sessions are cut.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Post, "/persons/{name}/disable")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, StateChange::Disable)
            }),
        Entry::new("person", "enable")
            .summary("Enables a disabled person, who can then log in again.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Post, "/persons/{name}/enable")
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, StateChange::Enable)
            }),
    ];
    entries.extend(dump::entries());
    entries
}

/// A new person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// `name` or `name@zone`.
    #[schemars(with = "String")]
    name: AccountName,
    /// The full name.
    #[serde(default)]
    full_name: FullName,
    /// The email address, to which alarms go. `person set_data` adds others.
    #[serde(default)]
    email: Email,
    /// The person's role; default `member`.
    #[serde(default)]
    role: PersonRole,
}

/// The role of a person.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PersonRole {
    /// Administers the site.
    Admin,
    /// Uses the site.
    #[default]
    Member,
}

impl From<PersonRole> for Role {
    fn from(role: PersonRole) -> Self {
        match role {
            PersonRole::Admin => Self::Admin,
            PersonRole::Member => Self::Member,
        }
    }
}

async fn create(context: Context, params: Create) -> Result<Answer<AccountView>, Refusal> {
    let site = context.site();
    let account = Account {
        id: AccountId::new(context.now(), &mut site.entropy()),
        name: site.qualified_name(params.name),
        kind: Kind::Person,
        role: params.role.into(),
        full_name: params.full_name.into_string(),
        email: params.email.into_string(),
        state: State::Active,
        revision: 1,
        created: context.now(),
        changed: context.now(),
    };
    let details = json!({ "id": account.id, "role": account.role });
    let change = Change::InsertAccount(account.clone());
    let target = account.name.to_string();
    context.commit(vec![change], target, details).await?;
    let output = format!(
        "Created {}. Let the person set a pass phrase with a ticket: \
         `ticket issue {} --kind passphrase`.",
        account.name, account.name
    );
    Ok(Answer::new(AccountView::of(&context, account)).with_output(output))
}

/// A person and the state of the person's credentials.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PersonView {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// The contact data and attributes.
    #[serde(flatten)]
    data: DataView,
    /// When the pass phrase was set; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase_set: Option<Timestamp>,
    /// The certificate of the person's own key, in PEM; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// When the delivered key was stored; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_key_set: Option<Timestamp>,
    /// How many open sessions the person has.
    sessions: usize,
}

async fn show(context: Context, params: ByName) -> Result<Answer<PersonView>, Refusal> {
    let account = account::find(&context, Kind::Person, &params.name).await?;
    view(&context, account).await
}

/// Builds the view of a person.
pub(super) async fn view(
    context: &Context,
    account: Account,
) -> Result<Answer<PersonView>, Refusal> {
    let (account, data) = data::of(context, account.id).await?;
    let credential = context.site().store().passphrase(account.id).await?;
    let delivered = context.site().store().delivered_key(account.id).await?;
    let own = Scope::Own(account.id);
    let sessions = context.site().sessions();
    let sessions = sessions.list(own, None, usize::MAX, |_| true).len();
    let data = DataView::of(&account, data);
    let account = AccountView::of(context, account);
    let (line, lockdown) = (account.line(), account.lockdown_line());
    let output = format!("{line}{lockdown}{}", data.lines());
    Ok(Answer::new(PersonView {
        data,
        account,
        passphrase_set: credential.as_ref().map(|credential| credential.changed),
        certificate: credential
            .and_then(|credential| credential.certificate)
            .and_then(|der| Certificate::from_der(&der).ok())
            .map(|certificate| certificate.to_pem()),
        delivered_key_set: delivered.map(|credential| credential.changed),
        sessions,
    })
    .with_output(output))
}

/// The changes to make. An absent field stays unchanged.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    /// The person's current name.
    #[schemars(with = "String")]
    name: AccountName,
    /// The new name.
    #[schemars(with = "Option<String>")]
    new_name: Option<AccountName>,
    /// The full name.
    full_name: Option<FullName>,
    /// The first email address. When it is empty, it is removed and the next one becomes the first. Your own needs a
    /// fresh proof.
    email: Option<Email>,
    /// The person's role.
    role: Option<PersonRole>,
}

async fn update(context: Context, params: Update) -> Result<Answer<AccountView>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_update(&context, params.clone(), &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_update(
    context: &Context,
    params: Update,
    attempts: &mut Attempts,
) -> Result<Answer<AccountView>, Refusal> {
    let found = account::find(context, Kind::Person, &params.name).await?;
    attempts.expect_same(&found)?;
    // Data that cannot be read prevents no other change.
    let (before, data_before) = match params.email {
        Some(_) => data::of(context, found.id).await?,
        None => (found, PersonData::default()),
    };
    context.expect_tag(&before)?;
    let mut data = data_before.clone();
    let new_name = params
        .new_name
        .map(|name| context.site().qualified_name(name));
    let account = before.clone().revised(context.now(), |account| {
        if let Some(name) = new_name {
            account.name = name;
        }
        if let Some(full_name) = params.full_name {
            account.full_name = full_name.into_string();
        }
        if let Some(email) = params.email {
            data::set_first_email(account, &mut data, email);
        }
        if let Some(role) = params.role {
            account.role = role.into();
        }
    });
    if (
        &account.name,
        &account.full_name,
        &account.email,
        account.role,
    ) == (&before.name, &before.full_name, &before.email, before.role)
        && data == data_before
    {
        let output = format!("{} has these values already.", before.name);
        return Ok(Answer::new(AccountView::of(context, before)).with_output(output));
    }
    attempts.changes(context, Some(account.id))?;
    if before.email != account.email && attempts.pays_for(account.id) {
        proof::consume_for_emails(context, account.id, "email")?;
    }
    let details = json!({
        "was": { "name": before.name, "role": before.role },
        "is": { "name": account.name, "role": account.role },
        "full_name_changed": before.full_name != account.full_name,
        "email_changed": before.email != account.email,
    });
    let target = before.name.to_string();
    let mut changes = vec![Change::UpdateAccount(account.clone())];
    if data != data_before {
        changes.push(Change::PutPersonData {
            account: account.id,
            data: Box::new(data),
        });
    }
    let mut changes = Changes::from(changes);
    if before.name != account.name {
        // Another person may get the old name. The known login sources of this person must not
        // count as known sources of that one.
        changes = changes.and(Notice::NameReleased(target.clone()));
    }
    context.commit(changes, target, details).await?;
    let output = format!("Changed {}.", account.name);
    Ok(Answer::new(AccountView::of(context, account)).with_output(output))
}

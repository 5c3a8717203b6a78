//! `person`: who logs in with a pass phrase.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, AccountView, ByName, ByStoredName, ListByName};
use crate::access::{Role, Scope};
use crate::accounts::{Account, Kind, State};
use crate::engine::{Answer, Changes, Context, Entry, Refusal};
use crate::id::AccountId;
use crate::store::{Change, Notice};
use crate::text::{Email, FullName};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("person", "create")
            .summary("Creates a person, who can log in once a pass phrase is set.")
            .allow(&admin)
            .changes()
            .example(
                json!({ "name": "maria", "full_name": "Maria Lind", "email": "maria@example.org" }),
            )
            .handler(create),
        Entry::new("person", "list")
            .summary("Lists persons by name.")
            .allow(&admin)
            .example(json!({ "limit": 10 }))
            .handler(|context, params: ListByName| account::list(context, Kind::Person, params)),
        Entry::new("person", "show")
            .summary("Shows a person.")
            .allow(&admin)
            .allow_own(&[Role::Member])
            .example(json!({ "name": "maria" }))
            .handler(show),
        Entry::new("person", "update")
            .summary(
                "Changes what is known of a person; what is left out stays. A new name or role, or \
                      disabling, cuts the person's sessions.",
            )
            .allow(&admin)
            .disruptive()
            .example(json!({ "name": "maria", "role": "admin" }))
            .handler(update),
        Entry::new("person", "delete")
            .summary("Deletes a person for good and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByStoredName| {
                account::delete(context, Kind::Person, params)
            }),
        Entry::new("person", "lock")
            .summary("Keeps a person from logging in and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, State::Locked)
            }),
        Entry::new("person", "unlock")
            .summary("Lets a locked or disabled person log in again.")
            .allow(&admin)
            .changes()
            .example(json!({ "name": "maria" }))
            .handler(|context, params: ByName| {
                account::set_state(context, Kind::Person, params, State::Active)
            }),
    ]
}

/// A new person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// `name` or `name@zone`.
    #[schemars(with = "String")]
    name: AccountName,
    /// The name to show.
    #[serde(default)]
    full_name: FullName,
    /// Where mail goes.
    #[serde(default)]
    email: Email,
    /// What the person may do; a member when left out.
    #[serde(default)]
    role: PersonRole,
}

/// What a person may be.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PersonRole {
    /// Runs the site.
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
        name: site.whole_name(params.name),
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
    let said = format!(
        "Created {}. Set a pass phrase with `countersign person passphrase {}`.",
        account.name, account.name
    );
    Ok(Answer::new(account.into()).saying(said))
}

/// A person with what they log in with.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PersonView {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// When the pass phrase was set; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase_set: Option<Timestamp>,
    /// When the key was given that is delivered of the person; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_key_set: Option<Timestamp>,
    /// How many sessions the person has open.
    sessions: usize,
}

async fn show(context: Context, params: ByName) -> Result<Answer<PersonView>, Refusal> {
    let account = account::find(&context, Kind::Person, &params.name).await?;
    view(&context, account).await
}

/// Shows a person.
pub(super) async fn view(
    context: &Context,
    account: Account,
) -> Result<Answer<PersonView>, Refusal> {
    let credential = context.site().store().passphrase(account.id).await?;
    let delivered = context.site().store().delivered_key(account.id).await?;
    let own = Scope::Own(account.id);
    let sessions = context.site().sessions();
    let sessions = sessions.list(own, None, usize::MAX, |_| true).len();
    let said = format!(
        "{}  {}  {}  {}",
        account.name,
        account.role,
        account.state.as_str(),
        account.full_name
    );
    Ok(Answer::new(PersonView {
        account: account.into(),
        passphrase_set: credential.map(|credential| credential.changed),
        delivered_key_set: delivered.map(|credential| credential.changed),
        sessions,
    })
    .saying(said))
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    /// Whom.
    #[schemars(with = "String")]
    name: AccountName,
    /// The new name.
    #[schemars(with = "Option<String>")]
    new_name: Option<AccountName>,
    /// The name to show.
    full_name: Option<FullName>,
    /// Where mail goes.
    email: Option<Email>,
    /// What the person may do.
    role: Option<PersonRole>,
    /// `true`: out of use, may not log in. `false`: may.
    disabled: Option<bool>,
}

async fn update(context: Context, params: Update) -> Result<Answer<AccountView>, Refusal> {
    let before = account::find(&context, Kind::Person, &params.name).await?;
    let new_name = params.new_name.map(|name| context.site().whole_name(name));
    let account = before.clone().revised(context.now(), |account| {
        if let Some(name) = new_name {
            account.name = name;
        }
        if let Some(full_name) = params.full_name {
            account.full_name = full_name.into_string();
        }
        if let Some(email) = params.email {
            account.email = email.into_string();
        }
        if let Some(role) = params.role {
            account.role = role.into();
        }
        match (params.disabled, account.state) {
            (Some(true), _) => account.state = State::Disabled,
            // A locked person is not let in by the way.
            (Some(false), State::Disabled) => account.state = State::Active,
            _ => {}
        }
    });
    let details = json!({
        "was": { "name": before.name, "role": before.role, "state": before.state },
        "is": { "name": account.name, "role": account.role, "state": account.state },
        "full_name_changed": before.full_name != account.full_name,
        "email_changed": before.email != account.email,
    });
    let target = before.name.to_string();
    let mut changes = Changes::from(Change::UpdateAccount(account.clone()));
    if before.name != account.name {
        // Another person may get that name: the sources of this one's logins are no known sources of theirs.
        changes = changes.and(Notice::NameReleased(target.clone()));
    }
    context.commit(changes, target, details).await?;
    let said = format!("Changed {}.", account.name);
    Ok(Answer::new(account.into()).saying(said))
}

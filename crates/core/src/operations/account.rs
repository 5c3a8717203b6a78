//! What the operations on persons and on services share: finding, showing, listing, locking and
//! deleting an account.

use std::fmt;
use std::sync::Arc;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::app::without_service;
use super::attempts::Attempts;
use super::{Done, Limit, Rows, damaged_line};
use crate::access::{Role, Scope};
use crate::accounts::{Account, AccountSearch, Kind, State};
use crate::applications::ApplicationId;
use crate::engine::{Answer, CachedAccount, Changes, Context, Refusal};
use crate::enrolment::RevocationReason;
use crate::entity_tag::EntityTag;
use crate::id::AccountId;
use crate::lockdown::{InLockdown, LOCKDOWN, LockdownTarget};
use crate::page::Page;
use crate::store::{Change, DamagedAccount, Notice};
use crate::timestamp::Timestamp;

/// Names an account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByName {
    /// The account's name, with or without the site's own zone.
    #[schemars(with = "String")]
    pub(super) name: AccountName,
}

/// Names an account whose stored name may be damaged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByStoredName {
    /// The account's name, with or without the site's own zone.
    name: String,
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListByName {
    /// The name after which the page begins: the `next` of the previous page.
    after: Option<String>,
    /// Only accounts whose name, email address or full name begins with this text, or a word of the full name
    /// after a space or hyphen. Upper and lower case count as equal.
    search: Option<AccountSearch>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// An account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AccountView {
    /// The account's id. It stays the same when the name changes.
    id: AccountId,
    /// The account's name with its zone.
    #[schemars(with = "String")]
    name: AccountName,
    /// Whether the account is a person or a service.
    kind: Kind,
    /// The account's role, which decides which operations it may call.
    role: Role,
    /// The full name; may be empty.
    full_name: String,
    /// The email address; may be empty.
    email: String,
    /// Whether the account may log in. A lockdown refuses it all the same.
    state: State,
    /// The lockdown of the account; shown to admins only, and absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    lockdown: Option<InLockdown>,
    /// When the account was created.
    created: Timestamp,
    /// When the account was last changed.
    changed: Timestamp,
    /// How often the account was changed.
    revision: u64,
    /// The entity tag over HTTP, there between quotes. An account that gets the name later has another.
    #[schemars(with = "String")]
    etag: EntityTag,
}

impl AccountView {
    pub(super) fn of(context: &Context, account: Account) -> Self {
        let lockdowns = context.site().lockdowns();
        let lockdown = lockdowns.shown_of(&LockdownTarget::Account(account.id));
        Self {
            lockdown: lockdown.filter(|_| context.scope() == Scope::All),
            etag: (&account).into(),
            id: account.id,
            name: account.name,
            kind: account.kind,
            role: account.role,
            full_name: account.full_name,
            email: account.email,
            state: account.state,
            created: account.created,
            changed: account.changed,
            revision: account.revision,
        }
    }

    /// The word for the state in which the account is: `lockdown` goes before the others.
    pub(super) const fn state(&self) -> &'static str {
        match &self.lockdown {
            Some(_) => LOCKDOWN,
            None => self.state.as_str(),
        }
    }

    /// The account in one line.
    pub(super) fn line(&self) -> String {
        let (name, role, state, full_name) = (&self.name, self.role, self.state(), &self.full_name);
        let line = format!("{name}  {role}  {state}  {full_name}");
        line.trim_end().to_owned()
    }

    /// The line about the lockdown, and how to lift it; empty if there is none.
    pub(super) fn lockdown_line(&self) -> String {
        let (kind, name) = (self.kind.as_str(), &self.name);
        self.lockdown.as_ref().map_or_else(String::new, |lockdown| {
            format!("\n  lockdown: {lockdown}; `lockdown lift {kind} {name}` ends it")
        })
    }
}

/// An account that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedAccount")]
pub(super) struct DamagedView {
    /// The account's name.
    name: String,
    /// What is wrong with the stored account.
    problem: String,
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        damaged_line(f, &self.name, &self.problem)
    }
}

/// Finds the account of this kind and name.
///
/// # Errors
/// `not_found` if there is none, or the caller has no access to it.
pub(super) async fn find(
    context: &Context,
    kind: Kind,
    name: &AccountName,
) -> Result<Account, Refusal> {
    let name = context.site().qualified_name(name.clone());
    let found = context.site().store().account_by_name(&name).await?;
    found
        .filter(|account| account.kind == kind && context.admits(account.id))
        .ok_or_else(|| Refusal::not_found(kind.as_str(), name).of_field("name"))
}

/// Returns the caller's own account.
pub(super) async fn own(context: &Context) -> Result<Account, Refusal> {
    let id = context.caller().account;
    let found = match id {
        Some(id) => context.site().store().account(id).await?,
        None => None,
    };
    found.ok_or_else(no_own)
}

/// Returns the caller's own account with what belongs to it.
pub(super) async fn own_whole(context: &Context) -> Result<Arc<CachedAccount>, Refusal> {
    let found = match context.caller().account {
        Some(id) => context.site().whole_account(id).await?,
        None => None,
    };
    found.ok_or_else(no_own)
}

fn no_own() -> Refusal {
    Refusal::not_found("account", "of yours")
}

pub(super) async fn list(
    context: Context,
    kind: Kind,
    params: ListByName,
) -> Result<Answer<Rows<AccountView, DamagedView>>, Refusal> {
    let page = Page {
        after: params.after.map(|name| stored_name(&context, name)),
        limit: params.limit.plus_one(),
    };
    let found = context
        .site()
        .store()
        .accounts(kind, &page, params.search.as_ref());
    let found = found.await?;
    let views = found.into_iter().map(|listed| match listed {
        Ok(account) => Ok(AccountView::of(&context, account)),
        Err(DamagedAccount { name, problem, .. }) => Err(DamagedView { name, problem }),
    });
    let after = page.after.as_deref();
    let rows = Rows::of(views.collect(), params.limit, after, |row| match row {
        Ok(account) => account.name.to_string(),
        Err(damaged) => damaged.name.clone(),
    });
    let text = rows.lines(AccountView::line);
    Ok(Answer::new(rows).with_output(text))
}

/// Returns the name as the store holds it, with its zone. Text that is not a valid account name is
/// returned unchanged, because it may be the name of a damaged account.
fn stored_name(context: &Context, name: String) -> String {
    match name.parse() {
        Ok(name) => context.site().qualified_name(name).to_string(),
        Err(_) => name,
    }
}

/// A change of the state of an account.
///
/// ```text
///            ┌──lock──> locked ──disable──┐
/// active <───┴─unlock──                   v
///    ^  └────────────disable─────────> disabled
///    └───────────────enable───────────────┘
/// ```
///
/// `unlock` does not enable and `enable` does not unlock, so that neither undoes what another admin did for
/// another reason.
#[derive(Debug, Clone, Copy)]
pub(super) enum StateChange {
    Lock,
    Unlock,
    Disable,
    Enable,
}

impl StateChange {
    /// Returns the next state of an account.
    fn of(self, account: &Account) -> Result<State, Refusal> {
        let (name, kind) = (&account.name, account.kind.as_str());
        match (self, account.state) {
            (Self::Lock | Self::Unlock, State::Disabled) => Err(Refusal::conflict(
                format!("{name} is disabled and cannot log in"),
                format!("enable the account with `{kind} enable {name}` first"),
            )),
            (Self::Enable, State::Locked) => Err(Refusal::conflict(
                format!("{name} is not disabled but locked"),
                format!("unlock the account with `{kind} unlock {name}`"),
            )),
            (Self::Lock, _) => Ok(State::Locked),
            (Self::Disable, _) => Ok(State::Disabled),
            (Self::Unlock | Self::Enable, _) => Ok(State::Active),
        }
    }
}

/// Sets whether an account may log in. The projection ends its sessions if it may not.
pub(super) async fn set_state(
    context: Context,
    kind: Kind,
    params: ByName,
    change: StateChange,
) -> Result<Answer<AccountView>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_set_state(&context, kind, &params.name, change, &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_set_state(
    context: &Context,
    kind: Kind,
    name: &AccountName,
    change: StateChange,
    attempts: &mut Attempts,
) -> Result<Answer<AccountView>, Refusal> {
    let account = find(context, kind, name).await?;
    attempts.expect_same(&account)?;
    context.expect_tag(&account)?;
    let state = change.of(&account)?;
    let output = format!("{} is {}.", account.name, state.as_str());
    if account.state == state {
        return Ok(Answer::new(AccountView::of(context, account)).with_output(output));
    }
    if state == State::Active {
        attempts.changes(context, Some(account.id))?;
    }
    let details = json!({ "was": account.state, "is": state });
    let account = account.revised(context.now(), |account| account.state = state);
    let mut changes = vec![Change::UpdateAccount(account.clone())];
    if !account.is_active() {
        // An attacker may have issued them before the account was locked.
        changes.push(Change::RevokeOpenTickets {
            account: account.id,
            kind: None,
            at: context.now(),
            why: RevocationReason::AccountLocked,
        });
    }
    let target = account.name.to_string();
    context.commit(changes, target, details).await?;
    Ok(Answer::new(AccountView::of(context, account)).with_output(output))
}

/// The audit details of a deletion.
#[derive(Serialize)]
struct Deletion {
    id: Option<AccountId>,
    kind: Kind,
    spoke_for: Vec<ApplicationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

pub(super) async fn delete(
    context: Context,
    kind: Kind,
    params: ByStoredName,
) -> Result<Answer<Done>, Refusal> {
    let target = stored_name(&context, params.name);
    let mut attempts = Attempts::default();
    loop {
        let done = try_delete(&context, kind, target.clone(), &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_delete(
    context: &Context,
    kind: Kind,
    target: String,
    attempts: &mut Attempts,
) -> Result<Answer<Done>, Refusal> {
    let damaged = context.site().store().damaged_account(kind, &target);
    let (id, deletion, problem) = match damaged.await? {
        Some(DamagedAccount { id, name, problem }) => {
            context.expect_no_tag()?;
            let deletion = Change::DeleteDamagedAccount { id, name };
            (id, deletion, Some(problem))
        }
        None => {
            let name = target.parse();
            let name = name.map_err(|error| Refusal::invalid("name", error))?;
            let account = find(context, kind, &name).await?;
            attempts.expect_same(&account)?;
            let (id, revision) = (account.id, account.revision);
            context.expect_tag(&account)?;
            (Some(id), Change::DeleteAccount { id, revision }, None)
        }
    };
    let mut changes = vec![deletion];
    let mut spoke_for = Vec::new();
    if let Some(id) = id {
        let released = without_service(context, id).await?;
        changes.extend(released.changes);
        let target = LockdownTarget::Account(id);
        let forget = context
            .site()
            .forget_lockdowns(|deleted| *deleted == target);
        changes.extend(forget?);
        spoke_for = released.ids;
    }
    let details = Deletion {
        id,
        kind,
        spoke_for,
        damaged: problem,
    };
    let changes = Changes::from(changes).and(Notice::NameReleased(target.clone()));
    context.commit(changes, target.clone(), details).await?;
    Ok(Answer::new(Done {}).with_output(format!("Deleted {target}.")))
}

//! What the operations on persons and on services share: looking one up, showing one, listing,
//! locking, deleting.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::app::without_service;
use super::{Done, Limit, Listing};
use crate::account::{Account, Kind, State};
use crate::context::Context;
use crate::id::AccountId;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::session::CloseReason;
use crate::store::{Change, Page};
use crate::table::Answer;
use crate::timestamp::Timestamp;

/// The account that is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByName {
    /// Its name, with or without the site's own zone.
    #[schemars(with = "String")]
    pub(super) name: AccountName,
}

/// Which stretch of a list is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListByName {
    /// The name after which the list begins; the `next` of the stretch before.
    #[schemars(with = "Option<String>")]
    after: Option<AccountName>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

/// An account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AccountView {
    /// Stays the same when the name changes.
    id: AccountId,
    /// Its name with its zone.
    #[schemars(with = "String")]
    name: AccountName,
    /// Person or service.
    kind: Kind,
    /// What it may do.
    role: Role,
    /// The name to show; may be empty.
    full_name: String,
    /// Where mail goes; may be empty.
    email: String,
    /// Whether it may log in.
    state: State,
    /// When it was made.
    created: Timestamp,
    /// When it was changed last.
    changed: Timestamp,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            kind: account.kind,
            role: account.role,
            full_name: account.full_name,
            email: account.email,
            state: account.state,
            created: account.created,
            changed: account.changed,
        }
    }
}

/// The account of that kind and name, if the caller may touch it.
pub(super) async fn find(
    context: &Context,
    kind: Kind,
    name: &AccountName,
) -> Result<Account, Refusal> {
    let name = context.site().whole_name(name.clone());
    let found = context.site().store().account_by_name(&name).await?;
    found
        .filter(|account| account.kind == kind && context.admits(account.id))
        .ok_or_else(|| Refusal::not_found(kind.as_str(), name).of_field("name"))
}

/// The caller's own account.
pub(super) async fn own(context: &Context) -> Result<Account, Refusal> {
    let id = context.caller().account;
    let found = match id {
        Some(id) => context.site().store().account(id).await?,
        None => None,
    };
    found.ok_or_else(|| Refusal::not_found("account", "of yours"))
}

pub(super) async fn list(
    context: Context,
    kind: Kind,
    params: ListByName,
) -> Result<Answer<Listing<AccountView>>, Refusal> {
    let page = Page {
        after: params.after.map(|name| context.site().whole_name(name)),
        limit: params.limit.and_one(),
    };
    let found = context.site().store().accounts(kind, &page).await?;
    let views = found.into_iter().map(AccountView::from).collect();
    let listing = Listing::of(views, params.limit, |view: &AccountView| {
        view.name.to_string()
    });
    let text = listing.lines(|view| {
        format!(
            "{}  {}  {}  {}",
            view.name,
            view.role,
            view.state.as_str(),
            view.full_name
        )
    });
    Ok(Answer::new(listing).saying(text))
}

/// Sets whether an account may log in, and cuts its sessions when it may not.
pub(super) async fn set_state(
    context: Context,
    kind: Kind,
    params: ByName,
    state: State,
) -> Result<Answer<AccountView>, Refusal> {
    let account = find(&context, kind, &params.name).await?;
    let said = format!("{} is {}.", account.name, state.as_str());
    if account.state == state {
        return Ok(Answer::new(account.into()).saying(said));
    }
    let details = json!({ "was": account.state, "is": state });
    let account = account.revised(context.now(), |account| account.state = state);
    let change = Change::UpdateAccount(account.clone());
    let target = account.name.to_string();
    context.commit(vec![change], target, details).await?;
    if !account.is_active() {
        cut(&context, account.id, CloseReason::AccountLocked);
    }
    Ok(Answer::new(account.into()).saying(said))
}

pub(super) async fn delete(
    context: Context,
    kind: Kind,
    params: ByName,
) -> Result<Answer<Done>, Refusal> {
    let account = find(&context, kind, &params.name).await?;
    let mut changes = vec![Change::DeleteAccount {
        id: account.id,
        revision: account.revision,
    }];
    let released = without_service(&context, &account).await?;
    changes.extend(released.changes);
    let target_name = account.name.to_string();
    let details = json!({
        "id": account.id, "kind": kind, "spoke_for": released.ids,
    });
    context
        .commit(changes, target_name.clone(), details)
        .await?;
    cut(&context, account.id, CloseReason::AccountDeleted);
    let mut guesses = context.site().guard().guesses();
    guesses.forget(&target_name);
    drop(guesses);
    Ok(Answer::new(Done {}).saying(format!("Deleted {}.", account.name)))
}

/// Cuts all sessions of an account.
pub(super) fn cut(context: &Context, account: AccountId, reason: CloseReason) {
    context
        .site()
        .sessions()
        .cut_where(reason, |info| info.account == account);
}

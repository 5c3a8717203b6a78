//! `session`: what is open now.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Done, Limit, Listing};
use crate::context::Context;
use crate::id::SessionId;
use crate::policy::{Role, Scope};
use crate::refusal::Refusal;
use crate::session::{CloseReason, Proof, SessionInfo};
use crate::table::{Answer, Entry};
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let users = [Role::Member, Role::Service];
    vec![
        Entry::new("session", "list")
            .summary("Lists open sessions, oldest first; admins see all, others their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .example(json!({ "limit": 10 }))
            .handler(list),
        Entry::new("session", "cut")
            .summary("Cuts a session; admins any, others their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .disruptive()
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(cut),
    ]
}

/// Which stretch of the list is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Only sessions of this account.
    #[schemars(with = "Option<String>")]
    name: Option<AccountName>,
    /// The session after which the list begins; the `next` of the stretch before.
    after: Option<SessionId>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

/// An open session.
#[derive(Debug, Serialize, JsonSchema)]
struct SessionView {
    /// Its id.
    id: SessionId,
    /// Whose it is.
    #[schemars(with = "String")]
    name: AccountName,
    /// What the account may do.
    role: Role,
    /// The encryption option in use.
    option: &'static str,
    /// Where it comes from.
    peer: String,
    /// What was proved: `passphrase` or `key`.
    proof: &'static str,
    /// When it was opened.
    opened: Timestamp,
    /// When it ends unless its keys are renewed.
    expires: Timestamp,
    /// When it ends for good.
    ends: Timestamp,
    /// Whether it has a connection; without one it waits for its client to return.
    connected: bool,
}

impl From<SessionInfo> for SessionView {
    fn from(info: SessionInfo) -> Self {
        Self {
            id: info.id,
            name: info.name,
            role: info.role,
            option: info.option.name(),
            peer: info.peer,
            proof: match info.proof {
                Proof::Passphrase => "passphrase",
                Proof::Key(_) => "key",
            },
            opened: info.opened,
            expires: info.expires,
            ends: info.ends,
            connected: info.connected,
        }
    }
}

async fn list(context: Context, params: List) -> Result<Answer<Listing<SessionView>>, Refusal> {
    let name = params.name.map(|name| context.site().whole_name(name));
    let most = params.limit.entries() + 1;
    let found = context.site().sessions().list(params.after, most, |info| {
        context.admits(info.account) && name.as_ref().is_none_or(|name| *name == info.name)
    });
    let views = found.into_iter().map(SessionView::from).collect();
    let listing = Listing::of(views, params.limit, |view: &SessionView| {
        view.id.to_string()
    });
    let text =
        listing.lines(|view| format!("{}  {}  {}  {}", view.id, view.name, view.peer, view.opened));
    Ok(Answer::new(listing).saying(text))
}

/// The session to cut.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cut {
    /// Its id.
    id: SessionId,
}

async fn cut(context: Context, params: Cut) -> Result<Answer<Done>, Refusal> {
    let info = context
        .site()
        .sessions()
        .find(params.id)
        .filter(|info| context.admits(info.account))
        .ok_or_else(|| Refusal::not_found("open session", params.id).of_field("id"))?;
    let details = json!({
        "name": info.name,
        "own": matches!(context.scope(), Scope::Own(_)) || context.caller().account == Some(info.account),
    });
    context
        .commit(Vec::new(), info.id.to_string(), details)
        .await?;
    context.site().sessions().cut(info.id, CloseReason::Cut);
    Ok(Answer::new(Done {}).saying(format!("Cut the session {}.", info.id)))
}

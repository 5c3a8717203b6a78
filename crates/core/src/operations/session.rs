//! `session`: the open sessions.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Done, Limit, Listing};
use crate::access::{Channel, Role, Scope};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::{DeviceId, SessionId};
use crate::sessions::{CloseReason, Proof, SessionInfo};
use crate::store::Notice;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let users = [Role::Member, Role::Service];
    vec![
        Entry::new("session", "list")
            .summary("Lists open sessions, oldest first. Admins see all sessions, other accounts their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/sessions")
            .example(json!({ "limit": 10 }))
            .handler(list),
        Entry::new("session", "show")
            .summary("Shows an open session in detail. Admins can see any session, other accounts their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/sessions/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(show),
        Entry::new("session", "cut")
            .summary("Cuts a session. Admins can cut any session, other accounts their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
            .disruptive()
            .rest(RestMethod::Delete, "/sessions/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(cut),
    ]
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only sessions of this account.
    #[schemars(with = "Option<String>")]
    name: Option<AccountName>,
    /// The session after which the page begins: the `next` of the previous page.
    after: Option<SessionId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// An open session.
#[derive(Debug, Serialize, JsonSchema)]
struct SessionView {
    /// The session's id.
    id: SessionId,
    /// The name of the session's account.
    #[schemars(with = "String")]
    name: AccountName,
    /// The account's role.
    role: Role,
    /// The encryption option of the session; `tls` for the connection of a device.
    option: &'static str,
    /// The client's address and port.
    address: String,
    /// How the client authenticated: `passphrase`, `key`, `delivered_key` or `device`.
    proof: &'static str,
    /// When the session was opened.
    opened: Timestamp,
    /// When the session ends unless its keys are renewed.
    expires: Timestamp,
    /// When the session ends even if its keys are renewed.
    ends: Timestamp,
    /// Whether the session has a connection; without one it is suspended.
    connected: bool,
}

impl From<SessionInfo> for SessionView {
    fn from(info: SessionInfo) -> Self {
        let option = info.option_name();
        Self {
            id: info.id,
            name: info.name,
            role: info.role,
            option,
            address: info.peer,
            proof: match info.proof {
                Proof::Passphrase => "passphrase",
                Proof::Key(_) => "key",
                Proof::DeliveredKey(_) => "delivered_key",
                Proof::Device(_) => "device",
            },
            opened: info.opened,
            expires: info.expires,
            ends: info.ends,
            connected: info.connected,
        }
    }
}

async fn list(context: Context, params: List) -> Result<Answer<Listing<SessionView>>, Refusal> {
    let name = params.name.map(|name| context.site().qualified_name(name));
    let limit = params.limit.entries() + 1;
    let sessions = context.site().sessions();
    let found = sessions.list(context.scope(), params.after, limit, |info| {
        name.as_ref().is_none_or(|name| *name == info.name)
    });
    let views = found.into_iter().map(SessionView::from).collect();
    let listing = Listing::of(views, params.limit, |view: &SessionView| {
        view.id.to_string()
    });
    let text = listing.lines(|view| {
        let SessionView {
            id,
            name,
            option,
            address,
            opened,
            ..
        } = view;
        format!("{id}  {name}  {option}  {address}  {opened}")
    });
    Ok(Answer::new(listing).with_output(text))
}

/// Names a session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// The session's id.
    id: SessionId,
}

fn find(context: &Context, id: SessionId) -> Result<SessionInfo, Refusal> {
    let found = context.site().sessions().find(id);
    found
        .filter(|info| context.admits(info.account))
        .ok_or_else(|| Refusal::not_found("open session", id).of_field("id"))
}

/// An open session in detail.
#[derive(Debug, Serialize, JsonSchema)]
struct SessionDetails {
    /// The session.
    #[serde(flatten)]
    session: SessionView,
    /// The strength of its encryption option; absent for the connection of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<&'static str>,
    /// The thumbprint of the key that the client authenticated with, in hexadecimal; absent for a
    /// pass phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The device whose connection it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    /// How often the client has resumed the session.
    returns: u32,
}

async fn show(context: Context, params: ById) -> Result<Answer<SessionDetails>, Refusal> {
    let info = find(&context, params.id)?;
    let details = SessionDetails {
        strength: info.option.map(|option| option.strength().name()),
        key: match info.proof {
            Proof::Passphrase | Proof::Device(_) => None,
            Proof::Key(thumbprint) | Proof::DeliveredKey(thumbprint) => {
                Some(thumbprint.to_string())
            }
        },
        device: match info.proof {
            Proof::Device(id) => Some(id),
            Proof::Passphrase | Proof::Key(_) | Proof::DeliveredKey(_) => None,
        },
        returns: info.connection,
        session: info.into(),
    };
    let session = &details.session;
    let output = format!(
        "{}  {}\nfrom {}, {}, {}\nopened {}, expires {}, ends {}, resumed {} times",
        session.id,
        session.name,
        session.address,
        session.option,
        if session.connected {
            "connected"
        } else {
            "suspended"
        },
        session.opened,
        session.expires,
        session.ends,
        details.returns,
    );
    Ok(Answer::new(details).with_output(output))
}

async fn cut(context: Context, params: ById) -> Result<Answer<Done>, Refusal> {
    let info = find(&context, params.id)?;
    let details = json!({
        "name": info.name,
        "own": matches!(context.scope(), Scope::Own(_)) || context.caller().account == Some(info.account),
    });
    let (id, reason) = (info.id, CloseReason::Cut);
    let notice = Notice::SessionEnds { id, reason };
    context.commit(notice, id.to_string(), details).await?;
    Ok(Answer::new(Done {}).with_output(format!("Cut the session {}.", info.id)))
}

//! `session`: what is open now.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Done, Limit, Listing};
use crate::access::{Channel, Role, Scope};
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::{DeviceId, SessionId};
use crate::sessions::{CloseReason, Proof, SessionInfo};
use crate::store::Notice;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let users = [Role::Member, Role::Service];
    vec![
        Entry::new("session", "list")
            .summary("Lists open sessions, oldest first; admins see all, others their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
            .example(json!({ "limit": 10 }))
            .handler(list),
        Entry::new("session", "show")
            .summary("Shows all that is known of an open session; admins any, others their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(show),
        Entry::new("session", "cut")
            .summary("Cuts a session; admins any, others their own.")
            .allow(&[Role::Admin])
            .allow_own(&users)
            .also_on(Channel::Device)
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
    /// The encryption option in use; `tls` for the connection of a device.
    option: &'static str,
    /// Where it comes from.
    peer: String,
    /// What was proved: `passphrase`, `key`, `delivered_key` or `device`.
    proof: &'static str,
    /// When it was opened.
    opened: Timestamp,
    /// When it ends unless its keys are renewed.
    expires: Timestamp,
    /// When it ends for good.
    ends: Timestamp,
    /// Whether it has a connection; without one it is suspended.
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
            peer: info.peer,
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
    let name = params.name.map(|name| context.site().whole_name(name));
    let most = params.limit.entries() + 1;
    let sessions = context.site().sessions();
    let found = sessions.list(context.scope(), params.after, most, |info| {
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
            peer,
            opened,
            ..
        } = view;
        format!("{id}  {name}  {option}  {peer}  {opened}")
    });
    Ok(Answer::new(listing).saying(text))
}

/// Which session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// Its id.
    id: SessionId,
}

fn find(context: &Context, id: SessionId) -> Result<SessionInfo, Refusal> {
    let found = context.site().sessions().find(id);
    found
        .filter(|info| context.admits(info.account))
        .ok_or_else(|| Refusal::not_found("open session", id).of_field("id"))
}

/// An open session with what it was opened with.
#[derive(Debug, Serialize, JsonSchema)]
struct WholeSession {
    /// The session.
    #[serde(flatten)]
    session: SessionView,
    /// The strength of its encryption option; absent for the connection of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<&'static str>,
    /// The thumbprint of the key that was proved, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The device whose connection it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    /// How often its client has resumed it after its connection was lost.
    returns: u32,
}

async fn show(context: Context, params: ById) -> Result<Answer<WholeSession>, Refusal> {
    let info = find(&context, params.id)?;
    let whole = WholeSession {
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
    let session = &whole.session;
    let said = format!(
        "{}  {}\nfrom {}, {}, {}\nopened {}, expires {}, ends {}, resumed {} times",
        session.id,
        session.name,
        session.peer,
        session.option,
        if session.connected {
            "connected"
        } else {
            "suspended"
        },
        session.opened,
        session.expires,
        session.ends,
        whole.returns,
    );
    Ok(Answer::new(whole).saying(said))
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
    Ok(Answer::new(Done {}).saying(format!("Cut the session {}.", info.id)))
}

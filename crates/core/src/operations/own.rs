//! `self`: operations of an account on itself.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::account::{self, AccountView};
use super::person::data::{self, DataView};
use super::subject::Own;
use super::{NoParams, key, passphrase};
use crate::access::{Channel, Role};
use crate::accounts::Kind;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal, Shown};
use crate::id::SessionId;
use crate::store::WholeAccount;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let persons = [Role::Admin, Role::Member];
    vec![
        Entry::new("self", "show")
            .for_programs()
            .summary("Shows your account and the session that you are using.")
            .allow_own(&Role::ALL)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/self")
            .handler(show),
        Entry::new("self", "set_data")
            .for_programs()
            .summary(
                "Changes your own contact data: the given members, `null` removes one. Email addresses need a fresh \
                proof, which it uses up.",
            )
            .allow_own(&persons)
            .changes()
            .revised()
            .rest(RestMethod::Patch, "/self/data")
            .example(json!({ "telephones": [{ "label": "mobile", "number": "+49 151 1234567" }] }))
            .handler(data::set_own),
        Entry::new("self", "passphrase_start")
            .command_line("passphrase change")
            .summary("Starts setting your own pass phrase: answers an OPAQUE registration request. Needs a fresh proof.")
            .allow_own(&persons)
            .changes()
            .public_key()
            .no_rest("it needs a fresh proof, which is bound to a session")
            .example(json!({ "request": "…" }))
            .handler(passphrase::start::<Own>),
        Entry::new("self", "passphrase_finish")
            .for_programs()
            .summary("Sets your own pass phrase, removes your delivered key and cuts your other sessions. Needs a fresh proof, which it uses up.")
            .allow_own(&persons)
            .changes()
            .public_key()
            .no_rest("it needs a fresh proof, which is bound to a session")
            .example(json!({ "setup": "…", "binding": "…", "record": "…", "sealed_identity": "…" }))
            .handler(passphrase::finish::<Own>),
    ]
}

/// The caller's account.
#[derive(Debug, Serialize, JsonSchema)]
struct OwnView {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// The contact data and attributes of a person.
    #[serde(flatten)]
    data: DataView,
    /// The keys of a service; empty for a person.
    keys: Vec<key::KeyView>,
    /// Whether the pass phrase should be registered again, under the site's newest OPAQUE server
    /// setup; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renew_passphrase: bool,
    /// The session that this operation arrived on.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// When that session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// An [`OwnView`] as JSON.
#[derive(Debug, JsonSchema)]
#[schemars(transparent)]
struct OwnJson(#[schemars(with = "OwnView")] Arc<Shown>);

impl Serialize for OwnJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.data.serialize(serializer)
    }
}

async fn show(context: Context, _: NoParams) -> Result<Answer<OwnJson>, Refusal> {
    let own = account::own_whole(&context).await?;
    let renew_passphrase = match own.account.kind {
        Kind::Service => false,
        Kind::Person => {
            let opened = context.site().expect_unsealed()?;
            passphrase::needs_renewal(&opened, own.setup)
        }
    };
    // The rest depends on the account alone.
    let is_kept = context.caller().session.is_none() && !renew_passphrase;
    let kept = own.shown().filter(|_| is_kept);
    let shown = match kept {
        Some(kept) => Arc::clone(kept),
        None => Arc::new(shown(&context, &own, renew_passphrase)?),
    };
    if is_kept {
        own.keep(&shown);
    }
    let output = shown.output.clone();
    Ok(Answer::new(OwnJson(shown)).with_output(output))
}

fn shown(context: &Context, own: &WholeAccount, renew_passphrase: bool) -> Result<Shown, Refusal> {
    let account = &own.account;
    let session = context.caller().session;
    let info = session.and_then(|id| context.site().sessions().find(id));
    let data = DataView::of(account, own.data.clone());
    let (name, role, full_name) = (&account.name, account.role, &account.full_name);
    let line = format!("{name}  {role}  {full_name}");
    let output = format!("{}{}", line.trim_end(), data.lines());
    let view = OwnView {
        data,
        account: AccountView::of(context, account.clone()),
        keys: own.keys.iter().cloned().map(key::KeyView::from).collect(),
        renew_passphrase,
        session,
        expires: info.map(|info| info.expires),
    };
    let data = serde_json::value::to_raw_value(&view);
    let data = data.map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(Shown { data, output })
}

//! `self`: what an account may see and change of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::account::{self, AccountView};
use super::passphrase::{self, Registration};
use super::{NoParams, key};
use crate::account::{Account, Kind};
use crate::context::Context;
use crate::credential::PassphraseSuite;
use crate::id::SessionId;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::table::{Answer, Entry};
use crate::text::Base64Url;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let persons = [Role::Admin, Role::Member];
    vec![
        Entry::new("self", "show")
            .summary("Shows the account and the session that you are using.")
            .allow_own(&Role::ALL)
            .handler(show),
        Entry::new("self", "passphrase_start")
            .summary("Begins to set your own pass phrase, after a fresh proof: answers an OPAQUE registration request.")
            .allow_own(&persons)
            .changes()
            .public_key()
            .example(json!({ "request": "…" }))
            .handler(|context, params: Start| async move {
                let account = person(&context).await?;
                passphrase::start(&context, &account, &params.request).await
            }),
        Entry::new("self", "passphrase_finish")
            .summary("Sets your own pass phrase, which spends the fresh proof; takes your delivered key away and cuts your other sessions.")
            .allow_own(&persons)
            .changes()
            .public_key()
            .example(json!({ "setup": "…", "binding": "…", "record": "…", "sealed_identity": "…" }))
            .handler(|context, params: Finish| async move {
                let account = person(&context).await?;
                passphrase::finish(context, account, params.registration()).await
            }),
    ]
}

/// An OPAQUE registration request of one's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The registration request.
    request: Base64Url,
}

/// A finished registration of one's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Finish {
    /// The server setup, as it was answered at the start.
    setup: Base64Url,
    /// The binding, as it was answered at the start.
    binding: Base64Url,
    /// The registration record.
    record: Base64Url,
    /// The own identity, sealed under the export key.
    sealed_identity: Base64Url,
    /// What the record was made with; there is one suite so far, so it may be left out.
    #[serde(default)]
    suite: PassphraseSuite,
    /// The certificate of the own identity, in PEM.
    certificate: Option<String>,
}

impl Finish {
    fn registration(self) -> Registration {
        Registration {
            setup: self.setup,
            binding: self.binding,
            record: self.record,
            sealed_identity: self.sealed_identity,
            suite: self.suite,
            certificate: self.certificate,
        }
    }
}

/// The own account.
#[derive(Debug, Serialize, JsonSchema)]
struct OwnView {
    /// The account.
    #[serde(flatten)]
    account: AccountView,
    /// A service's keys; empty for a person.
    keys: Vec<key::KeyView>,
    /// The session that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// When that session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

async fn show(context: Context, _: NoParams) -> Result<Answer<OwnView>, Refusal> {
    let account = account::own(&context).await?;
    let keys = match account.kind {
        Kind::Service => context.site().store().keys_of(account.id).await?,
        Kind::Person => Vec::new(),
    };
    let session = context.caller().session;
    let info = session.and_then(|id| context.site().sessions().find(id));
    let said = format!("{}  {}  {}", account.name, account.role, account.full_name);
    Ok(Answer::new(OwnView {
        account: account.into(),
        keys: keys.into_iter().map(key::KeyView::from).collect(),
        session,
        expires: info.map(|info| info.expires),
    })
    .saying(said))
}

/// The own account of a person. A service that is an admin has no pass phrase to set.
async fn person(context: &Context) -> Result<Account, Refusal> {
    let account = account::own(context).await?;
    match account.kind {
        Kind::Person => Ok(account),
        Kind::Service => Err(Refusal::not_permitted(
            "a service has no pass phrase",
            "services log in with a key; see `key add`",
        )),
    }
}

//! `site unseal` and `site seal`, at the admin socket only.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::super::NoParams;
use super::key_secret::{SecretParam, refused};
use crate::access::{Channel, Role};
use crate::engine::{Answer, Context, Entry, Refusal, UnsealError};
use crate::store::Notice;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("site", "unseal")
            .computes()
            .summary("Unseals the site with the secret of one key slot.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .while_sealed()
            .changes()
            .example(json!({ "passphrase": "…" }))
            .handler(unseal),
        Entry::new("site", "seal")
            .summary("Seals the site: it forgets its keys, ends all sessions, and refuses logins and tickets until it is unsealed.")
            .allow(&admin)
            .only_on(&[Channel::AdminSocket])
            .disruptive()
            .handler(seal),
    ]
}

/// The state of the site afterwards.
#[derive(Debug, Serialize, JsonSchema)]
struct Unsealed {
    /// Always `false`: the site is unsealed.
    sealed: bool,
}

async fn unseal(context: Context, params: SecretParam) -> Result<Answer<Unsealed>, Refusal> {
    let secret = params.read("")?;
    let (site, caller) = (context.site(), context.caller());
    let unsealed = site.unseal(caller, secret.to_open(), context.now()).await;
    let output = match unsealed {
        Ok(true) => "The site is unsealed.",
        Ok(false) => "The site was already unsealed.",
        Err(UnsealError::Key(error)) => return Err(refused(&error)),
        Err(UnsealError::Store(error)) => return Err(error.into()),
        Err(
            error @ (UnsealError::RootDamaged
            | UnsealError::SetupDamaged
            | UnsealError::BrokerKeysDamaged),
        ) => return Err(Refusal::internal(error.to_string())),
    };
    Ok(Answer::new(Unsealed { sealed: false }).with_output(output))
}

/// The sealed site.
#[derive(Debug, Serialize, JsonSchema)]
struct Sealed {
    /// Always `true`: the site is sealed.
    sealed: bool,
    /// How many open and suspended sessions ended.
    sessions_ended: usize,
}

async fn seal(context: Context, _: NoParams) -> Result<Answer<Sealed>, Refusal> {
    let committed = context.commit(Notice::Sealed, None, json!({})).await?;
    let sessions_ended = committed.effects.sessions_ended;
    Ok(Answer::new(Sealed {
        sealed: true,
        sessions_ended,
    })
    .with_output(format!(
        "The site is sealed. Sessions ended: {sessions_ended}. `site unseal` unseals it."
    )))
}

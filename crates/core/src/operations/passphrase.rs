//! Setting a pass phrase: OPAQUE registration (RFC 9807, section 5) in two operations, so that the
//! pass phrase never leaves the process in which it is typed.
//!
//! ```text
//! caller's process                                    site
//! ClientRegistration::start ── passphrase_start ────▶ new credential id, registration_response, audited
//! finish, seal the identity ◀─ response, binding ──── (keeps nothing)
//!                           ── passphrase_finish ───▶ binding checked, stored, audited
//! ```
//!
//! Each registration has an OPRF key of its own, which answers one request and no more: what a
//! registration answers says nothing of a record that exists.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::passphrase::PassphraseRecord;
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::proof;
use super::whose::{Named, Whose};
use crate::access::Role;
use crate::accounts::{
    Account, Kind, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite, Registrant,
};
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::site_key::Opened;
use crate::store::Change;
use crate::text::Base64Url;
use crate::throttle::Rate;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("person", "passphrase_start")
            .summary(
                "Begins to set a person's pass phrase: answers an OPAQUE registration request.",
            )
            .allow(&admin)
            .changes()
            .public_key()
            .example(json!({ "name": "maria", "request": "…" }))
            .handler(start::<Named>),
        Entry::new("person", "passphrase_finish")
            .summary("Sets a person's pass phrase, takes the delivered key away and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .public_key()
            .example(json!({
                "name": "maria",
                "setup": "…",
                "binding": "…",
                "record": "…",
                "sealed_identity": "…",
            }))
            .handler(finish::<Named>),
    ]
}

/// An OPAQUE registration request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = W::shape)]
pub(super) struct Start<W: Whose> {
    /// Whose pass phrase.
    name: W,
    /// The registration request.
    request: Base64Url,
}

/// What the site answers to a registration request.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Started {
    /// The registration response.
    response: Base64Url,
    /// The server setup that it was made with; give it back when finishing.
    setup: Base64Url,
    /// Ties this registration to the account for ten minutes; give it back when finishing.
    binding: Base64Url,
    /// OPAQUE's server identity: both public keys of the site. The client identity is left out.
    server_identity: Base64Url,
}

/// A finished registration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = W::shape)]
pub(super) struct Finish<W: Whose> {
    /// Whose pass phrase.
    name: W,
    /// The server setup, as it was answered at the start.
    setup: Base64Url,
    /// The binding, as it was answered at the start.
    binding: Base64Url,
    /// The registration record.
    record: Base64Url,
    #[schemars(description = format!("The {} identity, sealed under the export key.", W::OF))]
    sealed_identity: Base64Url,
    /// What the record was made with; there is one suite so far, so it may be left out.
    #[serde(default)]
    suite: PassphraseSuite,
    #[schemars(description = format!("The certificate of the {} identity, in PEM.", W::OF))]
    certificate: Option<String>,
}

/// A pass phrase was set.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PassphraseSet {
    /// How many of the account's sessions were ended by it.
    sessions_ended: usize,
}

/// Answers a registration request, under an OPRF key that no other request is answered under.
pub(super) async fn start<W: Whose>(
    context: Context,
    params: Start<W>,
) -> Result<Answer<Started>, Refusal> {
    let account = person(&context, &params.name).await?;
    proof::expect(&context, account.id)?;
    if let Some(caller) = context.caller().account {
        context.rate(Rate::Began(caller), "registrations were begun by you")?;
    }
    context.rate(
        Rate::BegunFor(account.id),
        "registrations were begun for this account",
    )?;
    let opened = context.site().expect_open()?;
    let before = context.site().store().passphrase(account.id).await?;
    let (credential_id, binding) = registrant(&account, &opened, before.as_ref()).begin(
        &opened.key,
        context.now(),
        &mut context.site().entropy(),
    );
    let response = opened
        .setup
        .registration_response(&credential_id.0, &params.request.0)
        .map_err(|error| Refusal::invalid("request", error))?;
    let target = account.name.to_string();
    context.commit(Vec::new(), target, json!({})).await?;
    Ok(Answer::new(Started {
        response: Base64Url(response),
        setup: Base64Url(opened.setup.id().as_bytes().to_vec()),
        binding: Base64Url(binding),
        server_identity: Base64Url(opened.key.public().to_bytes().to_vec()),
    }))
}

/// The account, which has to be a person's: a service that is an admin has no pass phrase to set.
async fn person(context: &Context, whose: &impl Whose) -> Result<Account, Refusal> {
    let account = whose.account(context).await?;
    match account.kind {
        Kind::Person => Ok(account),
        Kind::Service => Err(Refusal::not_permitted(
            "a service has no pass phrase",
            "services log in with a key; see `key add`",
        )),
    }
}

fn registrant(
    account: &Account,
    opened: &Opened,
    before: Option<&PassphraseCredential>,
) -> Registrant {
    Registrant {
        account: account.id,
        setup: opened.setup.id(),
        replaces: before.map(|before| before.credential_id),
    }
}

/// Stores a finished registration and cuts the account's sessions, but not the caller's own.
pub(super) async fn finish<W: Whose>(
    context: Context,
    registration: Finish<W>,
) -> Result<Answer<PassphraseSet>, Refusal> {
    let account = person(&context, &registration.name).await?;
    proof::expect(&context, account.id)?;
    let before = context.site().store().passphrase(account.id).await?;
    let finished =
        |before: &PassphraseCredential| registration.binding.0.starts_with(&before.credential_id.0);
    if before.as_ref().is_some_and(finished) {
        return Err(Refusal::conflict(
            "this registration was finished already",
            "begin another one with passphrase_start",
        ));
    }
    let credential = credential(&context, &account, before.as_ref(), registration)?;
    proof::spend(&context, account.id)?;
    // A delivered key would go on opening with the old pass phrase.
    let changes = vec![
        Change::PutPassphrase(credential),
        Change::DeleteDeliveredKey(account.id),
    ];
    let target = account.name.to_string();
    let committed = context.commit(changes, target, json!({})).await?;
    let sessions_ended = committed.effects.sessions_ended;
    let said = format!("Set the pass phrase of {}.", account.name);
    Ok(Answer::new(PassphraseSet { sessions_ended }).saying(said))
}

fn credential(
    context: &Context,
    account: &Account,
    before: Option<&PassphraseCredential>,
    registration: Finish<impl Whose>,
) -> Result<PassphraseCredential, Refusal> {
    let opened = context.site().expect_open()?;
    let setup = opened.setup.id();
    if registration.setup.0 != setup.as_bytes() {
        return Err(Refusal::invalid(
            "setup",
            "this is not the site's server setup; start again",
        ));
    }
    let credential_id = registrant(account, &opened, before)
        .finish(&opened.key, &registration.binding.0, context.now())
        .map_err(|error| Refusal::invalid("binding", error))?;
    PassphraseRecord::from_bytes(&registration.record.0)
        .map_err(|error| Refusal::invalid("record", error))?;
    if registration.sealed_identity.0.len() != SEALED_IDENTITY_LENGTH {
        return Err(Refusal::invalid(
            "sealed_identity",
            format_args!("it must have {SEALED_IDENTITY_LENGTH} bytes"),
        ));
    }
    let certificate = registration
        .certificate
        .map(|pem| Certificate::from_pem(&pem))
        .transpose()
        .map_err(|error| Refusal::invalid("certificate", error))?;
    Ok(PassphraseCredential {
        account: account.id,
        version: PASSPHRASE_VERSION,
        suite: registration.suite,
        setup,
        credential_id,
        record: registration.record.0,
        sealed_identity: registration.sealed_identity.0,
        certificate: certificate.map(|certificate| certificate.der().to_vec()),
        changed: context.now(),
    })
}

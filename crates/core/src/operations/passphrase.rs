//! Setting a pass phrase: OPAQUE registration (RFC 9807, section 5) in two operations. The pass
//! phrase never leaves the process in which it is typed.
//!
//! ```text
//! caller's process                                    site
//! ClientRegistration::start ── passphrase_start ────▶ new credential id, registration_response, audited
//! finish, seal the identity ◀─ response, binding ──── (stores nothing)
//!                           ── passphrase_finish ───▶ binding checked, stored, audited
//! ```
//!
//! Each registration has its own OPRF key, which answers a single request. A registration response
//! therefore reveals nothing about an existing record.

use countersign_crypto::certificate::Certificate;
use countersign_crypto::passphrase::SetupId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attempts::Attempts;
use super::subject::{Named, Subject};
use super::{condition, proof};
use crate::access::Role;
use crate::accounts::{
    Account, Kind, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite, RecordError,
    Registrant, check_record,
};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::lockdown::OperationKind;
use crate::site_key::UnsealedKeys;
use crate::store::Change;
use crate::text::Base64Url;
use crate::throttle::Rate;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("person", "passphrase_start")
            .command_line("person passphrase")
            .of_kind(OperationKind::Enrols)
            .summary(
                "Starts setting a person's pass phrase: answers an OPAQUE registration request.",
            )
            .allow(&admin)
            .changes()
            .public_key()
            .rest(RestMethod::Post, "/persons/{name}/passphrase/start")
            .example(json!({ "name": "maria", "request": "…" }))
            .handler(start::<Named>),
        Entry::new("person", "passphrase_finish")
            .command_line("person passphrase")
            .of_kind(OperationKind::Enrols)
            .summary("Sets a person's pass phrase, removes the delivered key and cuts the person's sessions.")
            .allow(&admin)
            .disruptive()
            .public_key()
            .rest(RestMethod::Post, "/persons/{name}/passphrase/finish")
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
#[schemars(transform = W::adapt_schema)]
pub(super) struct Start<W: Subject> {
    /// The person's name.
    name: W,
    /// The OPAQUE registration request.
    request: Base64Url,
}

/// The site's answer to a registration request.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Started {
    /// The OPAQUE registration response.
    response: Base64Url,
    /// The id of the server setup that the response was made with; pass it back to finish the
    /// registration.
    setup: Base64Url,
    /// Binds this registration to the account for ten minutes; pass it back to finish the
    /// registration.
    binding: Base64Url,
    /// OPAQUE's server identity: the site's id, which a replaced site key does not change. There is no
    /// client identity.
    server_identity: Base64Url,
}

/// A finished registration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = W::adapt_schema)]
pub(super) struct Finish<W: Subject> {
    /// The person's name.
    name: W,
    /// The `setup` of the start's result.
    setup: Base64Url,
    /// The `binding` of the start's result.
    binding: Base64Url,
    /// The OPAQUE registration record.
    record: Base64Url,
    #[schemars(description = format!("The {} identity, sealed under the export key.", W::POSSESSIVE))]
    sealed_identity: Base64Url,
    /// The OPAQUE suite of the record. There is one so far, which is the default.
    #[serde(default)]
    suite: PassphraseSuite,
    #[schemars(description = format!("The certificate of the {} identity, in PEM.", W::POSSESSIVE))]
    certificate: Option<String>,
    /// The record is of the same pass phrase, under the site's newest OPAQUE server setup, as
    /// `self show` asks. Sessions and the delivered key stay. In a session of the person only.
    #[serde(default)]
    renewal: bool,
}

/// The result of setting a pass phrase.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PassphraseSet {
    /// How many sessions of the account were cut.
    sessions_ended: usize,
}

/// Answers a registration request under an OPRF key that is used for this request only.
pub(super) async fn start<W: Subject>(
    context: Context,
    params: Start<W>,
) -> Result<Answer<Started>, Refusal> {
    let account = person(&context, &params.name).await?;
    proof::require(&context, account.id)?;
    if let Some(caller) = context.caller().account {
        context.rate(Rate::StartedBy(caller), "registrations that you started")?;
    }
    context.rate(
        Rate::StartedFor(account.id),
        "registrations for this account",
    )?;
    let opened = context.site().expect_unsealed()?;
    let before = context.site().store().passphrase(account.id).await?;
    let (credential_id, binding) = registrant(&account, &opened, before.as_ref()).start(
        &opened.root,
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
        server_identity: Base64Url(context.site().id().0.to_vec()),
    }))
}

/// Returns the account, which must be a person. A service with the role of an admin has no pass
/// phrase.
async fn person(context: &Context, subject: &impl Subject) -> Result<Account, Refusal> {
    let account = subject.account(context).await?;
    match account.kind {
        Kind::Person => Ok(account),
        Kind::Service => Err(Refusal::not_permitted(
            "a service has no pass phrase",
            "services log in with a key; see `key add NAME --public-key FILE`",
        )),
    }
}

fn registrant(
    account: &Account,
    opened: &UnsealedKeys,
    before: Option<&PassphraseCredential>,
) -> Registrant {
    Registrant {
        account: account.id,
        setup: opened.setup.id(),
        replaces: before.map(|before| before.credential_id),
    }
}

/// Stores a finished registration. The projection cuts the account's sessions, except the caller's
/// own.
pub(super) async fn finish<W: Subject>(
    context: Context,
    registration: Finish<W>,
) -> Result<Answer<PassphraseSet>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_finish(&context, &registration, &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_finish<W: Subject>(
    context: &Context,
    registration: &Finish<W>,
    attempts: &mut Attempts,
) -> Result<Answer<PassphraseSet>, Refusal> {
    let account = person(context, &registration.name).await?;
    attempts.expect_same(&account)?;
    let is_first = attempts.pays_for(account.id);
    if is_first {
        proof::require(context, account.id)?;
    }
    let before = context.site().store().passphrase(account.id).await?;
    let finished =
        |before: &PassphraseCredential| registration.binding.0.starts_with(&before.credential_id.0);
    if before.as_ref().is_some_and(finished) {
        return Err(Refusal::conflict(
            "this registration was already finished",
            "start another one with passphrase_start",
        ));
    }
    let renewal = registration.renewal;
    if renewal {
        check_renewal(context, &account, before.as_ref())?;
    }
    let credential = credential(context, &account, before.as_ref(), registration)?;
    if is_first {
        proof::consume(context, account.id)?;
    }
    let unchanged = condition::unchanged_account(&account, before.as_ref());
    let (changes, details) = match renewal {
        true => (
            vec![unchanged, Change::RenewPassphrase(credential)],
            json!({ "renewal": true }),
        ),
        false => (
            vec![
                unchanged,
                Change::PutPassphrase(credential),
                // Otherwise the old pass phrase would still open the delivered key.
                Change::DeleteDeliveredKey(account.id),
                Change::revoke_with_passphrase(account.id, before.is_some(), context.now()),
                Change::delete_access_tokens(account.id),
            ],
            json!({}),
        ),
    };
    let target = account.name.to_string();
    let committed = context.commit(changes, target, details).await?;
    let sessions_ended = committed.effects.sessions_ended;
    let output = format!("Set the pass phrase of {}.", account.name);
    Ok(Answer::new(PassphraseSet { sessions_ended }).with_output(output))
}

/// Whether a record is registered under an older setup than the newest, so that the person's client
/// should register the same pass phrase again.
pub(super) fn needs_renewal(opened: &UnsealedKeys, registered: Option<SetupId>) -> bool {
    registered.is_some_and(|setup| setup != opened.setup.id())
}

/// A renewal is for the client of the person who logged in. The fresh proof shows that it knows the
/// pass phrase of the record that it replaces.
fn check_renewal(
    context: &Context,
    account: &Account,
    before: Option<&PassphraseCredential>,
) -> Result<(), Refusal> {
    if context.caller().account != Some(account.id) || context.caller().session.is_none() {
        return Err(Refusal::invalid(
            "renewal",
            "is for the session of the person alone",
        ));
    }
    let opened = context.site().expect_unsealed()?;
    match needs_renewal(&opened, before.map(|credential| credential.setup)) {
        true => Ok(()),
        false => Err(Refusal::conflict(
            "the pass phrase is registered under the newest setup already",
            "leave `renewal` out to set another pass phrase",
        )),
    }
}

fn credential(
    context: &Context,
    account: &Account,
    before: Option<&PassphraseCredential>,
    registration: &Finish<impl Subject>,
) -> Result<PassphraseCredential, Refusal> {
    let opened = context.site().expect_unsealed()?;
    let setup = opened.setup.id();
    if registration.setup.0 != setup.as_bytes() {
        return Err(Refusal::invalid(
            "setup",
            "is not the id of the site's server setup; start the registration again",
        ));
    }
    let credential_id = registrant(account, &opened, before)
        .finish(&opened.root, &registration.binding.0, context.now())
        .map_err(|error| Refusal::invalid("binding", error))?;
    check_record(&registration.record.0, &registration.sealed_identity.0).map_err(|error| {
        let field = match error {
            RecordError::Record(_) => "record",
            RecordError::SealedIdentity => "sealed_identity",
        };
        Refusal::invalid(field, error)
    })?;
    let certificate = registration
        .certificate
        .as_deref()
        .map(Certificate::from_pem)
        .transpose()
        .map_err(|error| Refusal::invalid("certificate", error))?;
    Ok(PassphraseCredential {
        account: account.id,
        version: PASSPHRASE_VERSION,
        suite: registration.suite,
        setup,
        credential_id,
        record: registration.record.0.clone(),
        sealed_identity: registration.sealed_identity.0.clone(),
        certificate: certificate.map(|certificate| certificate.der().to_vec()),
        changed: context.now(),
    })
}

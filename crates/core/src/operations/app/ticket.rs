//! `app ticket`: what a ticket for one application to call another would say, and why there would be none.

use std::sync::Arc;

use countersign_crypto::party::SealingSuite;
use countersign_proto::broker::v1;
use countersign_proto::broker::v2::message::{CIPHER, HASH};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::Role;
use crate::accounts::State;
use crate::applications::{Application, ApplicationId, Edition};
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::json::Json;
use crate::site_key::Opened;
use crate::timestamp::Timestamp;

pub(super) fn entry() -> Entry {
    Entry::new("app", "ticket")
        .summary("Says what a ticket for one application to call another would say, or why there is none. Makes no ticket.")
        .allow(&[Role::Admin])
        .example(json!({ "consumer": "billing", "provider": "ledger" }))
        .handler(ticket)
}

/// Who would call whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ticket {
    /// The application that calls.
    consumer: ApplicationId,
    /// The application that is called.
    provider: ApplicationId,
}

/// What the ticket would say.
#[derive(Debug, Serialize, JsonSchema)]
struct TicketView {
    /// Whether there would be one.
    granted: bool,
    /// Why not; absent when there would be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    /// What both speak.
    edition: Edition,
    /// The SHA-256 of the key that it would be sealed to, in hexadecimal.
    sealed_to: Option<String>,
    /// How it would be sealed.
    suite: Option<String>,
    /// What the two would encipher with.
    cipher: Option<String>,
    /// What they would sign with.
    hash: Option<String>,
    /// How long it would be good, in milliseconds.
    lasts: u64,
    /// What the provider would be told of the consumer.
    auth_data: Json,
}

async fn ticket(context: Context, params: Ticket) -> Result<Answer<TicketView>, Refusal> {
    let consumer = super::find(&context, &params.consumer).await?;
    let provider = super::find(&context, &params.provider).await?;
    let key = provider
        .keys
        .iter()
        .find(|key| key.is_accepted(context.now()));
    let agreed = agreed(&consumer, &provider, context.now());
    let view = TicketView {
        granted: false,
        why_not: None,
        edition: provider.edition,
        sealed_to: key.map(crate::applications::ApplicationKey::fingerprint),
        suite: (provider.edition == Edition::V2).then(|| SealingSuite::XWing.name().to_owned()),
        cipher: agreed.as_ref().ok().map(|agreed| agreed.0.clone()),
        hash: agreed.as_ref().ok().map(|agreed| agreed.1.clone()),
        lasts: provider.keys_last,
        auth_data: consumer.auth_data.clone(),
    };
    let has_key = |opened: Arc<Opened>| !opened.broker.v1_public().is_empty();
    let no_key =
        provider.edition == Edition::ServerosV1 && !context.site().opened().is_some_and(has_key);
    let why_not = why_not(&consumer, &provider, &view)
        .or(agreed.err())
        .or_else(|| {
            let none = "the site has no key for serveros-v1; `broker new_v1_key` makes one";
            no_key.then(|| none.to_owned())
        });
    let said = match &why_not {
        None => format!(
            "{} may call {}: a ticket lasts {} s.",
            consumer.id,
            provider.id,
            view.lasts / 1_000
        ),
        Some(why) => format!("{} gets no ticket for {}: {why}.", consumer.id, provider.id),
    };
    let view = TicketView {
        granted: why_not.is_none(),
        why_not,
        ..view
    };
    Ok(Answer::new(view).saying(said))
}

/// The cipher and the hash that the two would use, as the dialog chooses them; or what is missing.
fn agreed(
    consumer: &Application,
    provider: &Application,
    now: Timestamp,
) -> Result<(String, String), String> {
    if provider.edition == Edition::V2 {
        return Ok((CIPHER.to_owned(), HASH.to_owned()));
    }
    let missing = |what: &str| {
        let (one, other) = (&consumer.id, &provider.id);
        format!("{one} and {other} have no {what} in common: see `app update`")
    };
    let (Some(first), Some(second)) = (consumer.as_v1(now), provider.as_v1(now)) else {
        return Err(missing("edition and key"));
    };
    match v1::Agreed::between(&first, &second) {
        Ok(agreed) => Ok((
            agreed.cipher.name().to_owned(),
            agreed.hash.name().to_owned(),
        )),
        Err(v1::V1Refusal::NoCommonCipher) => Err(missing("cipher")),
        Err(_) => Err(missing(
            "hash that the site signs with and Hawk knows, which sha256 alone is,",
        )),
    }
}

fn why_not(consumer: &Application, provider: &Application, view: &TicketView) -> Option<String> {
    for application in [consumer, provider] {
        if application.state != State::Active {
            return Some(format!(
                "{} is {}",
                application.id,
                application.state.as_str()
            ));
        }
    }
    if consumer.edition != provider.edition {
        let (one, other) = (consumer.edition.as_str(), provider.edition.as_str());
        return Some(format!("one speaks {one}, the other {other}"));
    }
    if !consumer.may_call(provider) {
        let (one, other) = (&consumer.id, &provider.id);
        return Some(format!(
            "policy does not allow it; `countersign app update {one} --allow {other}` does"
        ));
    }
    if view.sealed_to.is_none() {
        return Some(format!("{} has no key that is accepted now", provider.id));
    }
    None
}

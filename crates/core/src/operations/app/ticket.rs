//! `app ticket`: previews the ticket that one application would get for another, or explains why it
//! would get none.

use std::sync::Arc;

use countersign_crypto::party::SealingSuite;
use countersign_proto::broker::v1;
use countersign_proto::broker::v2::message::{CIPHER, HASH};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::preview::{Decided, ForeignPair};
use crate::access::Role;
use crate::accounts::State;
use crate::applications::{Application, ApplicationId, Edition};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal, Site};
use crate::json::Json;
use crate::site_key::UnsealedKeys;
use crate::text::argument;
use crate::timestamp::Timestamp;

pub(super) fn entry() -> Entry {
    Entry::new("app", "ticket")
        .summary("Previews the ticket that a consumer would get for a provider, or explains why it would get none. Issues no ticket.")
        .allow(&[Role::Admin])
        .rest(RestMethod::Get, "/apps/{consumer}/tickets/{provider}")
        .example(json!({ "consumer": "billing", "provider": "ledger" }))
        .handler(ticket)
}

/// The two applications.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ticket {
    /// The application that calls; one of a peer is named with `@` and the zone of the peer.
    consumer: ApplicationId,
    /// The application that is called; one of a peer is named with `@` and the zone of the peer.
    provider: ApplicationId,
}

/// The ticket that would be issued.
#[derive(Debug, Serialize, JsonSchema)]
struct TicketView {
    /// Whether the site would issue the ticket. Of a ticket across sites, the other site decides too.
    granted: bool,
    /// Why the site would not issue it; absent when it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    /// The edition of the ticket protocol that the provider speaks.
    edition: Edition,
    /// The SHA-256 of the provider key that the ticket would be sealed to, in hexadecimal.
    sealed_to: Option<String>,
    /// The suite that the ticket would be sealed with.
    suite: Option<String>,
    /// The cipher that the two applications would use.
    cipher: Option<String>,
    /// The hash that the two applications would use.
    hash: Option<String>,
    /// The lifetime of the ticket, in milliseconds; the longest one of a ticket across sites.
    lasts: u64,
    /// The data about the consumer that the provider would find in the ticket. Absent while the site
    /// is sealed, when the stored data is damaged, and for a ticket across sites, which has its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<Json>,
}

async fn ticket(context: Context, params: Ticket) -> Result<Answer<TicketView>, Refusal> {
    let (consumer, provider) = (&params.consumer, &params.provider);
    if let Some(pair) = ForeignPair::of(&context, consumer, provider).await? {
        return foreign_ticket(&context, &params, &pair).await;
    }
    let consumer = super::find(&context, &params.consumer).await?;
    let provider = super::find(&context, &params.provider).await?;
    let key = provider.keys.iter().find(|key| key.is_valid(context.now()));
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
        auth_data: super::view::opened_data(&context, &consumer),
    };
    let has_key = |opened: Arc<UnsealedKeys>| !opened.broker.v1_public().is_empty();
    let no_key = provider.edition == Edition::ServerosV1
        && !context.site().unsealed_keys().is_some_and(has_key);
    let why_not = why_not(context.site(), &consumer, &provider, &view)
        .or(agreed.err())
        .or_else(|| {
            let none = "the site has no key for serveros-v1; `broker new_v1_key` makes one";
            no_key.then(|| none.to_owned())
        });
    let output = match &why_not {
        None => format!(
            "{} may call {}: a ticket is valid for {} s.",
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
    Ok(Answer::new(view).with_output(output))
}

/// Previews a ticket across sites, as far as this site decides.
async fn foreign_ticket(
    context: &Context,
    params: &Ticket,
    pair: &ForeignPair,
) -> Result<Answer<TicketView>, Refusal> {
    let (now, own) = (context.now(), pair.own());
    let provider = match pair {
        ForeignPair::Calls(..) => None,
        ForeignPair::Called(..) => own.keys.iter().find(|key| key.is_valid(now)),
    };
    let Decided {
        why_not,
        other_site,
    } = pair.decided(context).await?;
    let (consumer, called) = (&params.consumer, &params.provider);
    let lasts = pair.lasts();
    let output = match &why_not {
        None => format!(
            "This site allows {consumer} to call {called}: a ticket is valid for at most {} s. {other_site}.",
            lasts / 1_000
        ),
        Some(why) => format!("{consumer} gets no ticket for {called}: {why}."),
    };
    let view = TicketView {
        granted: why_not.is_none(),
        why_not,
        edition: Edition::V2,
        sealed_to: provider.map(crate::applications::ApplicationKey::fingerprint),
        suite: Some(SealingSuite::XWing.name().to_owned()),
        cipher: Some(CIPHER.to_owned()),
        hash: Some(HASH.to_owned()),
        lasts,
        auth_data: None,
    };
    Ok(Answer::new(view).with_output(output))
}

/// Returns the cipher and the hash that the protocol would choose for the two applications.
///
/// # Errors
/// A text that names what the two do not have in common.
fn agreed(
    consumer: &Application,
    provider: &Application,
    now: Timestamp,
) -> Result<(String, String), String> {
    if provider.edition == Edition::V2 {
        return Ok((CIPHER.to_owned(), HASH.to_owned()));
    }
    let missing = |what: &str| {
        format!(
            "{} and {} have no {what} in common: see `app show {}` and `app show {}`",
            consumer.id,
            provider.id,
            argument(consumer.id.as_str()),
            argument(provider.id.as_str())
        )
    };
    let of = |application: &Application| application.as_v1(&Json::default(), now);
    let (Some(first), Some(second)) = (of(consumer), of(provider)) else {
        return Err(missing("edition and key"));
    };
    match v1::Agreed::between(&first, &second) {
        Ok(agreed) => Ok((
            agreed.cipher.name().to_owned(),
            agreed.hash.name().to_owned(),
        )),
        Err(v1::V1Refusal::NoCommonCipher) => Err(missing("cipher")),
        Err(_) => Err(missing(
            "hash that the site and Hawk support (sha256 is the only one)",
        )),
    }
}

fn why_not(
    site: &Site,
    consumer: &Application,
    provider: &Application,
    view: &TicketView,
) -> Option<String> {
    for application in [consumer, provider] {
        if !site.permits_application(application) {
            return Some(format!("{} is in lockdown", application.id));
        }
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
        return Some(format!(
            "{} speaks {one}, {} speaks {other}",
            consumer.id, provider.id
        ));
    }
    if !consumer.may_call(provider) {
        let (one, other) = (
            argument(consumer.id.as_str()),
            argument(provider.id.as_str()),
        );
        return Some(format!(
            "policy does not allow the call; `app update {one} --allow {other}` allows it"
        ));
    }
    if view.sealed_to.is_none() {
        return Some(format!("{} has no valid key", provider.id));
    }
    None
}

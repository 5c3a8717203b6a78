//! `broker foreign_ticket` and `broker foreign_void`: what a peer calls for its consumers, which call
//! providers of this site.

use std::collections::BTreeSet;

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::symmetric::TicketResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::Channel;
use crate::engine::{Answer, Changes, Context, Entry, MAX_VOID_NAMES, PeerBreach, Refusal};
use crate::lockdown::OperationKind;
use crate::operations::Done;
use crate::operations::peer::{called, permitted};
use crate::peers::{Peer, PeerPermission};
use crate::throttle::Rate;
use crate::tickets::ForeignTicketParams;

pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("broker", "foreign_ticket")
            .for_programs()
            .of_kind(OperationKind::IssuesTickets)
            .summary("Makes a service ticket for a consumer of the peer that calls and a provider of this site. Both sites' policies must allow it.")
            .only_on(&[Channel::Peer])
            .no_rest("only a peer calls it, on its own connection")
            .public_key()
            .example(json!({
                "consumer": "billing@a.example",
                "provider": "ledger@b.example",
                "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
                "key": "0000000000000000000000000000000000000000000000000000000000000000",
                "lasts": 3_600_000
            }))
            .handler(foreign_ticket),
        Entry::new("broker", "foreign_void")
            .for_programs()
            .summary("Tells this site that the tickets of consumers of the peer that calls are void. Providers with a session are told.")
            .only_on(&[Channel::Peer])
            .no_rest("only a peer calls it, on its own connection")
            .changes()
            .example(json!({ "consumers": ["billing@a.example"] }))
            .handler(foreign_void),
    ]
}

/// The answer to a peer.
#[derive(Serialize, JsonSchema)]
struct ForeignTicket {
    /// `granted` with the members of an auth response, or `refused` with a code of the broker.
    #[schemars(with = "Value")]
    ticket: TicketResult,
}

async fn foreign_ticket(
    context: Context,
    params: ForeignTicketParams,
) -> Result<Answer<ForeignTicket>, Refusal> {
    let delay = context.site().refusal_delay();
    let peer = permitted(&context, PeerPermission::Tickets).await?;
    own_consumer(&context, &peer, &params.consumer).await?;
    let (site, now) = (context.site(), context.now());
    if *params.provider.zone() != site.zone() {
        breach(&context, &peer).await?;
        return Err(Refusal::not_permitted(
            "the provider is no application of this site",
            "ask the site of the provider: a site passes no request on",
        )
        .of_field("provider"));
    }
    let keys = &site.expect_unsealed()?.broker;
    let answer = site
        .answer_foreign(keys, context.caller(), &params, now)
        .await?;
    let ticket = match answer {
        Ok(response) => TicketResult::Granted(Box::new(response)),
        Err(refusal) => {
            delay.await;
            TicketResult::Refused(refusal.code().to_owned())
        }
    };
    Ok(Answer::new(ForeignTicket { ticket }))
}

/// The consumers whose tickets are void.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForeignVoid {
    /// The consumers, at most 64: their ids at the peer, `@` and the zone of the peer.
    #[schemars(with = "Vec<String>", length(min = 1, max = 64))]
    consumers: Vec<ForeignName>,
}

async fn foreign_void(context: Context, params: ForeignVoid) -> Result<Answer<Done>, Refusal> {
    // Not a permission: a peer that may not ask for tickets any more may have got some.
    let peer = called(&context).await?;
    if !(1..=MAX_VOID_NAMES).contains(&params.consumers.len()) {
        let problem = format!("must have 1 to {MAX_VOID_NAMES} names");
        return Err(Refusal::invalid("consumers", problem));
    }
    for consumer in &params.consumers {
        own_consumer(&context, &peer, consumer).await?;
    }
    let consumers: BTreeSet<ForeignName> = params.consumers.into_iter().collect();
    let (site, now) = (context.site(), context.now());
    let notices = site
        .foreign_tickets_void(peer.site(), Some(&consumers), now)
        .await?;
    // No provider with a session may be called by any of them: there is nothing to write.
    if !notices.is_empty() {
        context.rate(Rate::ForeignVoid(peer.site()), "void tickets")?;
        let details = json!({ "consumers": consumers, "zone": peer.zone });
        let changes = notices.into_iter().fold(Changes::default(), Changes::and);
        let target = peer.site().to_string();
        context.commit(changes, target, details).await?;
    }
    Ok(Answer::new(Done {}))
}

/// Refuses a consumer of another site than the peer. An honest site never names one, so it is a
/// breach of the protocol.
async fn own_consumer(
    context: &Context,
    peer: &Peer,
    consumer: &ForeignName,
) -> Result<(), Refusal> {
    if *consumer.zone() == peer.zone {
        return Ok(());
    }
    breach(context, peer).await?;
    Err(Refusal::not_permitted(
        "the consumer is no application of your site",
        "ask for applications of your own site only",
    )
    .of_field("consumer"))
}

async fn breach(context: &Context, peer: &Peer) -> Result<(), Refusal> {
    let (site, now) = (context.site(), context.now());
    Ok(site.peer_fault(peer.site(), PeerBreach::Line, now).await?)
}

//! `broker ticket` and `broker ticket_keys`: service tickets for an application whose service asks,
//! and the keys with which a provider opens them. An application that asks with its own key sends a
//! ticket request, which is the operation `broker ticket` too (`engine::tickets`).

use std::sync::Arc;

use countersign_proto::broker::v2::SealedMessage;
use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::limits::TICKETS;
use countersign_proto::broker::v2::symmetric::TicketResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{Channel, Role};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::lockdown::OperationKind;
use crate::text::argument;
use crate::tickets::Registered;

/// The most applications of peers in one request. Each costs the peer public-key work.
const MAX_FOREIGN: usize = 16;

pub(super) fn entries() -> Vec<Entry> {
    // A service may have the role of an admin. An application cannot name a person as its service.
    let services = [Role::Service, Role::Admin];
    vec![
        Entry::new("broker", "ticket")
            .for_programs()
            .of_kind(OperationKind::IssuesTickets)
            .summary("Issues service tickets to an application. The caller is the service that the application names, or the application itself with a ticket request over HTTP.")
            .allow(&services)
            .also_on(Channel::Application)
            .rest(RestMethod::Post, "/broker/tickets")
            .example(json!({ "app": "billing", "providers": ["ledger", "ledger", "archive"] }))
            .handler(ticket),
        Entry::new("broker", "ticket_keys")
            .for_programs()
            .of_kind(OperationKind::IssuesTickets)
            .summary("Returns the keys with which an application opens service tickets, sealed to its own keys. The caller is the service that the application names.")
            .allow(&services)
            .public_key()
            .no_rest("a provider needs the events of a session, which tell it that tickets are void")
            .example(json!({ "app": "ledger" }))
            .handler(ticket_keys),
    ]
}

/// Returns the application if the caller is its service. Otherwise neither the refusal nor its
/// timing reveals whether the application exists.
async fn spoken_for(context: &Context, app: &str) -> Result<Arc<Registered>, Refusal> {
    let delay = context.site().refusal_delay();
    let found = context.site().registered(app, context.now()).await?;
    let found = found.filter(|found| found.application.has_service(context.caller()));
    if let Some(found) = found {
        return Ok(found);
    }
    delay.await;
    let refusal = Refusal::not_permitted(
        "you are not the service of that application",
        "an admin can set the service with `app update ID --service NAME`",
    );
    Err(refusal.of_field("app"))
}

/// A request for tickets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    /// The application that calls.
    app: String,
    /// The ids of the applications that are called: 1 to 256. The same id may appear more than once.
    /// At most 16 may be of peers, each with `@` and the zone of the peer.
    providers: Vec<String>,
}

/// The answers.
#[derive(Serialize, JsonSchema)]
struct Tickets {
    /// One answer per provider, in the order of `providers`: `granted` with the members of an auth
    /// response, or `refused` with a code of the broker.
    #[schemars(with = "Vec<Value>")]
    tickets: Vec<TicketResult>,
}

fn is_foreign(id: &str) -> bool {
    id.parse::<ForeignName>().is_ok()
}

async fn ticket(context: Context, params: TicketRequest) -> Result<Answer<Tickets>, Refusal> {
    if !(1..=TICKETS).contains(&params.providers.len()) {
        let problem = format!("must have 1 to {TICKETS} ids");
        return Err(Refusal::invalid("providers", problem));
    }
    let delay = context.site().refusal_delay();
    let consumer = spoken_for(&context, &params.app).await?;
    let (site, now) = (context.site(), context.now());
    let keys = &site.expect_unsealed()?.broker;
    let (foreign, own): (Vec<_>, Vec<_>) = params.providers.iter().partition(|id| is_foreign(id));
    if foreign.len() > MAX_FOREIGN {
        let problem = format!("has more than {MAX_FOREIGN} applications of peers");
        return Err(Refusal::invalid("providers", problem));
    }
    let own: Vec<String> = own.into_iter().cloned().collect();
    let arrival = context.caller().arrival();
    let own = site
        .symmetric_tickets(keys, &consumer, arrival, &own, now)
        .await?;
    let foreign = foreign.iter().filter_map(|id| id.parse().ok()).collect();
    let foreign = site
        .foreign_tickets(&consumer, arrival, foreign, now)
        .await?;
    let (mut own, mut foreign) = (own.into_iter(), foreign.into_iter());
    let tickets = params
        .providers
        .iter()
        .filter_map(|id| match is_foreign(id) {
            true => foreign.next(),
            false => own.next(),
        });
    let tickets: Vec<TicketResult> = tickets.collect();
    if tickets
        .iter()
        .any(|answer| matches!(answer, TicketResult::Refused(_)))
    {
        delay.await;
    }
    Ok(Answer::new(Tickets { tickets }))
}

/// Names a provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Provider {
    /// The application that is called.
    app: String,
}

/// Ticket keys of a provider.
#[derive(Serialize, JsonSchema)]
struct TicketKeys {
    /// One sealed message for each valid key of the application, newest first.
    #[schemars(with = "Vec<Value>")]
    keys: Vec<SealedMessage>,
}

async fn ticket_keys(context: Context, params: Provider) -> Result<Answer<TicketKeys>, Refusal> {
    let provider = spoken_for(&context, &params.app).await?;
    let site = context.site();
    let keys = site.ticket_keys(&site.expect_unsealed()?.broker, &provider, context.now());
    let keys = keys.map_err(|_| {
        Refusal::conflict(
            "that application has no ticket keys",
            format!(
                "it must be active and of edition v2: see `app show {}`",
                argument(&params.app)
            ),
        )
    })?;
    Ok(Answer::new(TicketKeys { keys }))
}

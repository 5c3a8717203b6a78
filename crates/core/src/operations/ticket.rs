//! `broker`: tickets for an application whose service asks in a session, and the keys that a provider opens
//! them with.

use std::sync::Arc;

use countersign_proto::broker::v2::SealedMessage;
use countersign_proto::broker::v2::limits::TICKETS;
use countersign_proto::broker::v2::symmetric::TicketResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::Role;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::tickets::Registered;

pub(super) fn entries() -> Vec<Entry> {
    // A service may be an admin; a person is named by no application.
    let services = [Role::Service, Role::Admin];
    vec![
        Entry::new("broker", "ticket")
            .summary("Gives an application tickets for others, to the service that is named for it.")
            .allow(&services)
            .example(json!({ "app": "billing", "providers": ["ledger", "ledger", "archive"] }))
            .handler(ticket),
        Entry::new("broker", "ticket_keys")
            .summary("Gives an application the keys of tickets for it, sealed to its own keys, to the service that is named for it.")
            .allow(&services)
            .public_key()
            .example(json!({ "app": "ledger" }))
            .handler(ticket_keys),
    ]
}

/// The application, if the caller speaks for it. Neither the answer nor its time tells whether there is one
/// otherwise.
async fn spoken_for(context: &Context, app: &str) -> Result<Arc<Registered>, Refusal> {
    let delay = context.site().refusal_delay();
    let found = context.site().registered(app, context.now()).await?;
    let found = found.filter(|found| found.application.is_spoken_for_by(context.caller()));
    if let Some(found) = found {
        return Ok(found);
    }
    delay.await;
    let refusal = Refusal::not_permitted(
        "you do not speak for that application",
        "an admin names the service that does: see `app update`",
    );
    Err(refusal.of_field("app"))
}

/// Whom tickets are wanted for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The application that calls.
    app: String,
    /// The applications that are called: 1 to 256, each as often as it says.
    providers: Vec<String>,
}

/// What was answered to each.
#[derive(Serialize, JsonSchema)]
struct Tickets {
    /// In the order of `providers`: `granted` with the members of an auth response, or `refused` with a code of
    /// the broker.
    #[schemars(with = "Vec<Value>")]
    tickets: Vec<TicketResult>,
}

async fn ticket(context: Context, params: Ask) -> Result<Answer<Tickets>, Refusal> {
    if !(1..=TICKETS).contains(&params.providers.len()) {
        let problem = format!("takes 1 to {TICKETS} ids");
        return Err(Refusal::invalid("providers", problem));
    }
    let delay = context.site().refusal_delay();
    let requester = spoken_for(&context, &params.app).await?;
    let (site, now) = (context.site(), context.now());
    let keys = &site.expect_open()?.broker;
    let tickets = site.symmetric_tickets(keys, &requester, &params.providers, now);
    let tickets = tickets.await?;
    if tickets
        .iter()
        .any(|answered| matches!(answered, TicketResult::Refused(_)))
    {
        delay.await;
    }
    Ok(Answer::new(Tickets { tickets }))
}

/// Whose keys are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Provider {
    /// The application that is called.
    app: String,
}

/// Ticket keys.
#[derive(Serialize, JsonSchema)]
struct TicketKeys {
    /// A sealed message for each key of the application that is accepted, the newest first.
    #[schemars(with = "Vec<Value>")]
    keys: Vec<SealedMessage>,
}

async fn ticket_keys(context: Context, params: Provider) -> Result<Answer<TicketKeys>, Refusal> {
    let provider = spoken_for(&context, &params.app).await?;
    let site = context.site();
    let keys = site.ticket_keys(&site.expect_open()?.broker, &provider, context.now());
    let keys = keys.map_err(|_| {
        Refusal::conflict(
            "there are no ticket keys for that application",
            "it has to be active and to speak v2: see `app show`",
        )
    })?;
    Ok(Answer::new(TicketKeys { keys }))
}

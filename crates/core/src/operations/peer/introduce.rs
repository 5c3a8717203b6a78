//! `peer ticket` and `peer join`: how two sites become peers.

use countersign_proto::enrolment::TicketKind;
use countersign_proto::name::AccountName;
use countersign_proto::peer::PeerTicket;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::view::PeerView;
use crate::accounts::Account;
use crate::engine::{Answer, Context, PEER_TRIES, Refusal};
use crate::id::TicketId;
use crate::operations::attempts::Attempts;
use crate::operations::{condition, proof, ticket};
use crate::store::{Change, PeerChange};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// A new ticket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Issue {
    /// The person who gives the ticket to a person of the other site.
    #[schemars(with = "String")]
    person: AccountName,
    /// How long it can be used, in seconds: to 7 days, 1 hour when left out.
    #[schemars(range(min = 1, max = 604_800))]
    expires_in: Option<u32>,
}

/// A ticket, shown this once. A site that has it can become a peer.
#[derive(Serialize, JsonSchema)]
pub(super) struct Issued {
    /// Names it in `ticket list` and `ticket revoke`; the ticket itself does not contain it.
    id: TicketId,
    /// The person, with the zone of this site.
    #[schemars(with = "String")]
    person: AccountName,
    /// When it expires.
    expires: Timestamp,
    /// The ticket as URI.
    uri: String,
    /// The ticket as URI for a QR code: upper case alone.
    qr_uri: String,
    /// The ticket as JSON: `kind`, `host`, `port`, `token`, `expires`, `site_key` and `id`.
    ticket: Value,
}

pub(super) async fn ticket(context: Context, params: Issue) -> Result<Answer<Issued>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_ticket(&context, &params, &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_ticket(
    context: &Context,
    params: &Issue,
    attempts: &mut Attempts,
) -> Result<Answer<Issued>, Refusal> {
    let account = active(context, &params.person).await?;
    attempts.expect_same(&account)?;
    let lifetime = ticket::lifetime(params.expires_in)?;
    let site = context.site();
    let address = site.endpoints().peer.ok_or_else(|| {
        Refusal::conflict(
            "the peer server does not run, so that no site could use the ticket",
            "start it with `peer start`",
        )
    })?;
    let issuing = ticket::new_ticket(context, &account, TicketKind::Peer, lifetime, attempts);
    let (ticket, token, changes) = issuing.await?;
    let expires = u64::try_from(ticket.expires.millis() / 1_000).unwrap_or(0);
    let (host, port, key) = (address.host, address.port, site.public_key());
    let handed_out = PeerTicket::new(&host, port, token, expires, key, account.name.clone())
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let details = json!({ "ticket": ticket.id, "expires": ticket.expires });
    let target = account.name.to_string();
    context.commit(changes, target, details).await?;
    let uri = handed_out.to_uri().expose().to_owned();
    let output = format!(
        "{uri}\nAnother site can use the ticket {} of {} once, until {}. It is not shown again.",
        ticket.id, account.name, ticket.expires
    );
    let issued = Issued {
        id: ticket.id,
        person: account.name,
        expires: ticket.expires,
        qr_uri: handed_out.to_qr_uri().expose().to_owned(),
        ticket: serde_json::from_str(handed_out.to_json().expose())?,
        uri,
    };
    Ok(Answer::new(issued).with_output(output))
}

/// A ticket of another site.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// The ticket as URI or JSON.
    ticket: String,
    /// The person of this site whose business it is.
    #[schemars(with = "String")]
    person: AccountName,
}

pub(super) async fn join(context: Context, params: Join) -> Result<Answer<PeerView>, Refusal> {
    let account = active(&context, &params.person).await?;
    let parsed: Result<PeerTicket, _> = params.ticket.parse();
    let ticket = parsed.map_err(|error| Refusal::invalid("ticket", error))?;
    proof::require(&context, account.id)?;
    context.rate(Rate::Issued(account.id), "tickets of this person")?;
    proof::consume(&context, account.id)?;
    let site = context.site();
    let joined = site.join_peer(&ticket, &account).await?;
    // The other site may have answered slowly.
    let now = context.now_after_wait();
    let id = joined.site.known.id();
    let details = json!({ "site": id, "id": ticket.id(), "person": account.name });
    let mut tries = 0;
    let peer = loop {
        // A lockdown of the person since then, and a lock, count as if they had been there before.
        let current = active(&context, &params.person).await?;
        if current.id != account.id {
            return Err(Refusal::conflict(
                format!("{} is another person now", account.name),
                "repeat with the same ticket",
            ));
        }
        let unchanged = condition::unchanged(&context, &current).await?;
        let change = site.joined_change(&joined, &ticket, now).await?;
        let peer = match &change {
            PeerChange::Insert(peer) | PeerChange::Update(peer) => (**peer).clone(),
            _ => return Err(Refusal::internal("joining changes a peer")),
        };
        tries += 1;
        let changes = vec![unchanged.account, Change::Peer(change), unchanged.lockdowns];
        match context
            .commit(changes, id.to_string(), details.clone())
            .await
        {
            Ok(_) => break peer,
            // A connection stores what the peer was told, and when it was seen, meanwhile; or the person or a
            // lockdown was changed.
            Err(refusal) if refusal.is_conflict() && tries < PEER_TRIES => {}
            Err(refusal) => return Err(refusal),
        }
    };
    let output = format!("The site of {} is a peer: {id}.", ticket.id());
    Ok(Answer::new(PeerView::of(site, peer)).with_output(output))
}

async fn active(context: &Context, name: &AccountName) -> Result<Account, Refusal> {
    let account = ticket::person(context, name).await?;
    ticket::expect_no_lockdown(context, &account)?;
    match account.is_active() {
        true => Ok(account),
        false => Err(Refusal::conflict(
            format!("{} may not log in", account.name),
            format!(
                "allow it with `person unlock {0}` or `person enable {0}` first",
                account.name
            ),
        )),
    }
}

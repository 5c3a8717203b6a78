//! The operations that peers call.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::accounts::Kind;
use crate::engine::{
    Answer, Changes, Context, DeliveryReport, Incoming, IncomingState, MAX_BATCH, PeerBreach,
    Refusal,
};
use crate::id::AccountId;
use crate::peers::{InboxMessage, MAX_INBOX, Peer, PeerPermission, SealedText};
use crate::sessions::Audience;
use crate::store::{Change, Notice, PeerChange};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// The seconds by which the number of a message may be ahead of this site's clock before it counts as that of a
/// wrong clock: a day.
const FAR_AHEAD: u32 = 86_400;

/// Messages for people of this site.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deliver {
    /// The messages, at most 32, each pair of persons in its order.
    #[schemars(length(min = 1, max = 32))]
    messages: Vec<Incoming>,
}

/// What the site does with them.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Delivered {
    /// One report for each message, in the same order.
    reports: Vec<DeliveryReport>,
}

pub(super) async fn deliver(
    context: Context,
    params: Deliver,
) -> Result<Answer<Delivered>, Refusal> {
    if params.messages.len() > MAX_BATCH {
        let problem = format!("has more than {MAX_BATCH} messages");
        return Err(Refusal::invalid("messages", problem));
    }
    // Before anything is looked up.
    let offered = params.messages.len();
    limited(&context, Rate::Offered, offered, "messages").await?;
    let peer = permitted(&context, PeerPermission::Messages).await?;
    let mut reports = Vec::with_capacity(params.messages.len());
    // After one that has to wait, the others of its pair have to wait too.
    let mut later: HashSet<(AccountName, AccountName)> = HashSet::new();
    for message in params.messages {
        let pair = (message.from.clone(), message.to.clone());
        let id = message.id;
        let state = match later.contains(&pair) {
            true => IncomingState::Later,
            false => take(&context, &peer, message).await?,
        };
        if state == IncomingState::Later {
            later.insert(pair);
        }
        reports.push(DeliveryReport { id, state });
    }
    Ok(Answer::new(Delivered { reports }))
}

/// An event for the open connections of the recipient.
#[derive(Serialize)]
struct Arrived<'a> {
    id: crate::id::MessageId,
    peer: String,
    from: &'a AccountName,
    text: &'a str,
    received: Timestamp,
}

async fn take(context: &Context, peer: &Peer, message: Incoming) -> Result<IncomingState, Refusal> {
    let refused = |why: &str| {
        Ok(IncomingState::Refused {
            why: why.to_owned(),
        })
    };
    let (site, now) = (context.site(), context.now());
    // A peer speaks for its own zone alone.
    if message.from.zone() != Some(&peer.zone) {
        return refused("the sender has another zone than the site");
    }
    if message.to.zone() != Some(&site.zone()) || message.number == 0 {
        return refused("there is no such recipient");
    }
    // Looked up only if it could be stored.
    let delivered = Rate::Delivered(peer.site());
    if site.throttle().rates().wait(delivered, now).is_some() {
        return Ok(IncomingState::Later);
    }
    // Checked before the recipient is looked up: a refusal that depends on the recipient would tell
    // that it exists.
    if i64::try_from(message.number).is_err() {
        return refused("its number has more than 63 bits");
    }
    let found = site.store().account_by_name(&message.to).await?;
    let person = found.filter(|account| account.kind == Kind::Person);
    // The store is asked the same for a person that does not exist, so that it takes as long.
    let decoy = || AccountId::new(now, &mut site.entropy());
    let own = person.as_ref().map_or_else(decoy, |person| person.id);
    let last = site
        .store()
        .last_received(peer.site(), &message.from, own)
        .await?;
    // A peer that tests names waits for every person that it has not written to before, so that it
    // does not learn whether the person exists.
    if last.number == 0
        && context
            .rate(Rate::FirstMessages(peer.site()), "new recipients")
            .is_err()
    {
        return Ok(IncomingState::Later);
    }
    let Some(person) = person else {
        return refused("there is no such recipient");
    };
    if last.recent.contains(&message.id) {
        return Ok(IncomingState::Accepted);
    }
    if !follows(message.number, last.number, now) {
        return refused("its number was used: the clock of the sender's site may be behind");
    }
    if site.store().inbox_count(person.id).await? >= MAX_INBOX
        || context.rate(delivered, "messages").is_err()
    {
        return Ok(IncomingState::Later);
    }
    let keys = site.expect_unsealed()?;
    let text = SealedText::seal(&keys.root, message.id, &message.text, &mut site.entropy());
    let arrived = Arrived {
        id: message.id,
        peer: peer.site().to_string(),
        from: &message.from,
        text: message.text.as_str(),
        received: now,
    };
    let to = Audience::Accounts(Arc::new(BTreeSet::from([person.id])));
    let event = Notice::event(to, "peer", "message", &arrived)?;
    let alarm = site.message_alarm(&person, &message.from, now).await?;
    let details = json!({ "message": message.id, "from": message.from, "site": peer.site() });
    let stored = InboxMessage {
        id: message.id,
        peer: peer.site(),
        other: message.from,
        own: person.id,
        number: message.number,
        text,
        sent: message.sent,
        received: now,
    };
    let received = PeerChange::Receive {
        message: Box::new(stored),
        last: last.number,
    };
    let changes = Changes::from(Change::Peer(received)).and(event).with(alarm);
    let committed = context
        .commit(changes, person.name.to_string(), details)
        .await;
    match committed {
        // It came over both connections at once, or another one of the pair did: it comes again.
        Err(refusal) if refusal.is_conflict() => Ok(IncomingState::Later),
        Err(refusal) if refusal.is_not_found() => refused("there is no such recipient"),
        Err(refusal) => Err(refusal),
        Ok(_) => Ok(IncomingState::Accepted),
    }
}

/// Whether a message with this number comes after one with the number `last`. A last number that is far
/// ahead is that of a wrong clock at the sender's site, or of a thief of its key: a number of a right clock
/// follows it, or else that person could send nothing before that time comes.
fn follows(number: u64, last: u64, now: Timestamp) -> bool {
    let latest = now.plus_seconds(FAR_AHEAD).millis();
    let is_ahead = |number: u64| i64::try_from(number).map_or(true, |number| number > latest);
    number > last || (is_ahead(last) && !is_ahead(number))
}

/// The peer that calls, which is active.
pub(in crate::operations) async fn called(context: &Context) -> Result<Peer, Refusal> {
    let found = match context.caller().peer {
        Some(peer) => context.site().store().peer(peer.site).await?,
        None => None,
    };
    found.filter(Peer::is_active).ok_or_else(|| {
        Refusal::not_permitted(
            "the site is no active peer",
            "ask the operator of this site",
        )
    })
}

/// Counts actions of the peer that calls, or none of them. Too many of them are a breach of the protocol. The
/// engine counts the operations themselves.
async fn limited(
    context: &Context,
    rate: impl FnOnce(SiteId) -> Rate,
    actions: usize,
    what: &str,
) -> Result<(), Refusal> {
    let Some(peer) = context.caller().peer.map(|peer| peer.site) else {
        return Ok(());
    };
    let counted = context.rate_all(rate(peer), actions, what);
    if counted.is_err() {
        let (site, now) = (context.site(), context.now());
        site.peer_fault(peer, PeerBreach::Rate, now).await?;
    }
    counted
}

/// The peer that calls, if it may ask for that.
pub(in crate::operations) async fn permitted(
    context: &Context,
    what: PeerPermission,
) -> Result<Peer, Refusal> {
    let peer = called(context).await?;
    match peer.allows.contains(&what) {
        true => Ok(peer),
        false => Err(Refusal::not_permitted(
            "this site does not allow that to the peer",
            "ask the operator of this site",
        )),
    }
}

//! Messages to and from people of peers, as the people of this site see them.

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::accounts::Account;
use crate::engine::{Answer, Context, Refusal};
use crate::id::MessageId;
use crate::operations::{Done, Limit, Listing, account, ticket};
use crate::page::Page;
use crate::peers::{
    InboxMessage, MAX_NEW_RECIPIENTS, MAX_OUTBOX, MAX_OUTBOX_PEERS, MessageText, OutboxMessage,
    SealedText, SendState,
};
use crate::site_key::RootSecret;
use crate::store::{Change, PeerChange};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

use super::places::Places;

/// A new message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    /// The sender; the caller when left out.
    #[schemars(with = "Option<String>")]
    from: Option<AccountName>,
    /// The recipient, with the zone of a peer.
    #[schemars(with = "String")]
    to: AccountName,
    /// The text: 1 to 4,096 bytes.
    text: MessageText,
}

/// A message that waits for its peer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sent {
    /// The message's id.
    id: MessageId,
    /// The site id of the peer.
    peer: String,
}

pub(super) async fn send(context: Context, params: Send) -> Result<Answer<Sent>, Refusal> {
    let sender = person(&context, params.from.as_ref(), "from").await?;
    if !sender.is_active() {
        return Err(Refusal::conflict(
            format!("{} may not log in", sender.name),
            format!(
                "allow it with `person unlock {0}` or `person enable {0}` first",
                sender.name
            ),
        ));
    }
    let zone = params.to.zone().ok_or_else(|| {
        Refusal::invalid("to", "has no zone; name the person as name@zone of a peer")
    })?;
    let (site, now) = (context.site(), context.now());
    if *zone == site.zone() {
        let problem = format!(
            "is {}, a name of this site; name a person of a peer",
            params.to
        );
        return Err(Refusal::invalid("to", problem));
    }
    let peer = site.store().peer_of_zone(zone).await?;
    let peer = peer.ok_or_else(|| Refusal::not_found("peer", zone).of_field("to"))?;
    let keys = site.expect_unsealed()?;
    context.rate(Rate::Sent(sender.id), "messages")?;
    if site.store().outbox_count(sender.id).await? >= MAX_OUTBOX {
        return Err(Refusal::conflict(
            format!("{} has {MAX_OUTBOX} messages in the outbox", sender.name),
            "wait until peers accept some, or discard some with `peer discard PERSON ID`",
        ));
    }
    let awaited = site.store().outbox_peers(sender.id).await?;
    if awaited.len() >= MAX_OUTBOX_PEERS && !awaited.contains(&peer.site()) {
        return Err(Refusal::conflict(
            format!(
                "messages of {} wait for {MAX_OUTBOX_PEERS} other peers",
                sender.name
            ),
            "wait until peers accept some, or discard some with `peer discard PERSON ID`",
        ));
    }
    // A site answers first messages to new recipients slowly: one person's many would delay those of
    // all others.
    let new = site.store().new_recipients(peer.site(), sender.id).await?;
    if new.len() >= MAX_NEW_RECIPIENTS && !new.contains(&params.to) {
        let accepted = site.store();
        let accepted = accepted.has_accepted(peer.site(), &params.to, sender.id);
        if !accepted.await? {
            return Err(Refusal::conflict(
                format!(
                    "first messages of {} to {MAX_NEW_RECIPIENTS} persons of {zone} wait",
                    sender.name
                ),
                "wait until the peer accepts some, or discard some with `peer discard PERSON ID`",
            ));
        }
    }
    let id = MessageId::new(now, &mut site.entropy());
    let message = OutboxMessage {
        id,
        peer: peer.site(),
        own: sender.id,
        other: params.to,
        number: u64::try_from(now.millis()).unwrap_or(0).max(1),
        text: SealedText::seal(&keys.root, id, &params.text, &mut site.entropy()),
        at: now,
        state: SendState::Waiting,
    };
    let details = json!({
        "message": id,
        "to": message.other,
        "peer": message.peer,
        "session": context.caller().session,
    });
    let output = format!("The message {id} waits for the peer {}.", peer.zone);
    let change = Change::Peer(PeerChange::Send(Box::new(message)));
    context
        .commit(change, sender.name.to_string(), details)
        .await?;
    let sent = Sent {
        id,
        peer: peer.site().to_string(),
    };
    Ok(Answer::new(sent).with_output(output))
}

/// Selects a page of the inbox.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Inbox {
    /// The person; the caller when left out.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The place after which the page begins: the `next` of the previous page.
    after: Option<String>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// A message from a person of a peer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InboxView {
    /// Its place in the inbox.
    place: String,
    /// The message's id.
    id: MessageId,
    /// The site id of the peer, which is what identifies the sender's site.
    peer: String,
    /// The sender, as the peer claims.
    #[schemars(with = "String")]
    from: AccountName,
    /// The text. Absent if the stored text is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<MessageText>,
    /// When it was sent, by the clock of the peer.
    sent: Timestamp,
    /// When this site accepted it.
    received: Timestamp,
}

impl InboxView {
    fn of((number, message): (u64, InboxMessage), places: &Places, root: &RootSecret) -> Self {
        Self {
            place: places.seal(number),
            id: message.id,
            peer: message.peer.to_string(),
            from: message.other,
            text: message.text.open(root, message.id),
            sent: message.sent,
            received: message.received,
        }
    }

    fn line(&self) -> String {
        let Self {
            id,
            from,
            text,
            received,
            ..
        } = self;
        // Otherwise a text with line ends could pass for several messages.
        let text = text.as_ref().map_or("(damaged)", MessageText::as_str);
        let text = text.replace('\n', "\n    ");
        format!("{id}  {received}  {from}  {text}")
    }
}

pub(super) async fn inbox(
    context: Context,
    params: Inbox,
) -> Result<Answer<Listing<InboxView>>, Refusal> {
    let account = person(&context, params.person.as_ref(), "person").await?;
    let keys = context.site().expect_unsealed()?;
    let places = Places::of(account.id, &keys.root);
    let after = params.after.map(|place| {
        let problem = "is not the `next` of a previous page of this inbox";
        let number = places.open(&place);
        number.ok_or_else(|| Refusal::invalid("after", problem))
    });
    let page = Page {
        after: after.transpose()?,
        limit: params.limit.plus_one(),
    };
    let messages = context.site().store().inbox(account.id, &page).await?;
    let views = messages
        .into_iter()
        .map(|message| InboxView::of(message, &places, &keys.root))
        .collect();
    let listing = Listing::of(views, params.limit, |view: &InboxView| view.place.clone());
    let text = listing.lines(InboxView::line);
    Ok(Answer::new(listing).with_output(text))
}

/// Selects a page of the outbox.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbox {
    /// The person; the caller when left out.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The message after which the page begins: the `next` of the previous page.
    after: Option<MessageId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// A message to a person of a peer, which the peer has not accepted.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OutboxView {
    /// The message's id.
    id: MessageId,
    /// The site id of the peer.
    peer: String,
    /// The recipient.
    #[schemars(with = "String")]
    to: AccountName,
    /// The text. Absent if the stored text is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<MessageText>,
    /// When it was sent.
    sent: Timestamp,
    /// `waiting` or `refused`.
    state: &'static str,
    /// The reason, which the peer gave unless the text is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl OutboxView {
    fn of(message: OutboxMessage, root: &RootSecret) -> Self {
        let (state, why) = match message.state {
            SendState::Waiting => ("waiting", None),
            SendState::Refused { why, .. } => ("refused", Some(why)),
        };
        Self {
            id: message.id,
            peer: message.peer.to_string(),
            to: message.other,
            text: message.text.open(root, message.id),
            sent: message.at,
            state,
            why,
        }
    }

    fn line(&self) -> String {
        let Self { id, to, state, .. } = self;
        match &self.why {
            Some(why) => format!("{id}  {to}  {state}: {why}"),
            None => format!("{id}  {to}  {state}"),
        }
    }
}

pub(super) async fn outbox(
    context: Context,
    params: Outbox,
) -> Result<Answer<Listing<OutboxView>>, Refusal> {
    let account = person(&context, params.person.as_ref(), "person").await?;
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let keys = context.site().expect_unsealed()?;
    let messages = context.site().store().outbox(account.id, &page).await?;
    let views = messages
        .into_iter()
        .map(|message| OutboxView::of(message, &keys.root))
        .collect();
    let listing = Listing::of(views, params.limit, |view: &OutboxView| view.id.to_string());
    let text = listing.lines(OutboxView::line);
    Ok(Answer::new(listing).with_output(text))
}

/// Names a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Discard {
    /// The person; the caller when left out.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The message's id.
    id: MessageId,
}

pub(super) async fn discard(context: Context, params: Discard) -> Result<Answer<Done>, Refusal> {
    let account = person(&context, params.person.as_ref(), "person").await?;
    let (id, own) = (params.id, account.id);
    let details = json!({ "message": id });
    let target = account.name.to_string();
    let received = Change::Peer(PeerChange::DiscardReceived { id, own });
    let discarded = context
        .commit(received, target.clone(), details.clone())
        .await;
    if let Err(refusal) = discarded {
        if !refusal.is_not_found() {
            return Err(refusal);
        }
        let sent = Change::Peer(PeerChange::DiscardSent { id, own });
        let discarded = context.commit(sent, target, details).await;
        discarded.map_err(|refusal| refusal.of_field("id"))?;
    }
    Ok(Answer::new(Done {}).with_output(format!("Discarded the message {id}.")))
}

/// Names the sender of messages that wait.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscardWaiting {
    /// The person; the caller when left out.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
}

pub(super) async fn discard_waiting(
    context: Context,
    params: DiscardWaiting,
) -> Result<Answer<Done>, Refusal> {
    let account = person(&context, params.person.as_ref(), "person").await?;
    let waiting = context.site().store().outbox_peers(account.id).await?;
    if waiting.is_empty() {
        // No change, and so no audit entry: it may be called in a loop.
        let output = format!("No messages of {} wait.", account.name);
        return Ok(Answer::new(Done {}).with_output(output));
    }
    let change = Change::Peer(PeerChange::DiscardWaiting { own: account.id });
    context
        .commit(change, account.name.to_string(), json!({}))
        .await?;
    let output = format!("Discarded the messages of {} that waited.", account.name);
    Ok(Answer::new(Done {}).with_output(output))
}

/// The person of that name, if the caller may touch them; the caller without a name.
async fn person(
    context: &Context,
    name: Option<&AccountName>,
    field: &str,
) -> Result<Account, Refusal> {
    match name {
        Some(name) => {
            let found = ticket::person(context, name).await;
            found.map_err(|refusal| refusal.of_field(field))
        }
        None if context.caller().account.is_none() => {
            Err(Refusal::invalid(field, "is missing; name the person"))
        }
        None => account::own(context).await,
    }
}

//! Messages between people of two sites: which wait for a peer, and what became of them.

mod arrivals;
mod held;

use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{Site, lock};
use crate::access::Caller;
use crate::accounts::Account;
use crate::audit::{AuditDraft, AuditOutcome};
use crate::id::MessageId;
use crate::lockdown::LockdownTarget;
use crate::peers::{MessageText, OutboxMessage};
use crate::site_key::RootSecret;
use crate::store::{Change, ChangeSet, MAX_RECENT, PeerChange, StoreError, Withheld};
use crate::text::is_allowed;
use crate::timestamp::Timestamp;

pub(super) use held::HeldPairs;

/// The most messages in one operation `peer deliver`.
pub const MAX_BATCH: usize = MAX_RECENT;
/// Why a message is set aside whose text cannot be opened.
const DAMAGED: &str = "its text is damaged in the database of this site";

/// A message as it travels to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incoming {
    /// The message's id, which the sender's site chose.
    pub id: MessageId,
    /// Its number within the pair of persons: greater than that of the message before it.
    #[schemars(range(min = 1))]
    pub number: u64,
    /// The sender, with the zone of the sender's site.
    #[schemars(with = "String")]
    pub from: AccountName,
    /// The recipient, with the zone of the recipient's site.
    #[schemars(with = "String")]
    pub to: AccountName,
    /// The text.
    pub text: MessageText,
    /// When it was sent, by the clock of the sender's site.
    pub sent: Timestamp,
}

/// What a site does with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IncomingState {
    /// It is stored, now or before.
    Accepted,
    /// It may be accepted later: send it again, with those after it.
    Later,
    /// It will not be accepted.
    Refused {
        /// The reason.
        why: String,
    },
}

/// What a site does with one message of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeliveryReport {
    /// The message.
    pub id: MessageId,
    /// What the site does with it.
    #[serde(flatten)]
    pub state: IncomingState,
}

/// The members of a report: the derived reader of [`IncomingState`] is not strict.
#[derive(Deserialize)]
struct ReportForm {
    id: MessageId,
    state: ReportedState,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReportedState {
    Accepted,
    Later,
    Refused,
}

impl<'de> Deserialize<'de> for DeliveryReport {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ReportForm { id, state, why } = ReportForm::deserialize(from)?;
        let state = match state {
            ReportedState::Accepted => IncomingState::Accepted,
            ReportedState::Later => IncomingState::Later,
            ReportedState::Refused => IncomingState::Refused {
                why: why.ok_or_else(|| D::Error::missing_field("why"))?,
            },
        };
        Ok(Self { id, state })
    }
}

/// The messages that a peer gets next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outgoing {
    /// The messages in the order in which they were sent, at most [`MAX_BATCH`].
    pub messages: Vec<Incoming>,
    /// When messages that the peer asked to wait may be sent; `None` if it asked none.
    #[serde(skip)]
    pub again: Option<Timestamp>,
}

/// Messages that wait, as they are sent.
#[derive(Default)]
struct Sendable {
    messages: Vec<Incoming>,
    /// The same messages.
    sent: Vec<OutboxMessage>,
    /// Messages whose texts cannot be opened.
    damaged: Vec<MessageId>,
}

impl Site {
    /// The peers for which messages that may be sent now, or the head of the audit log, wait.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn peers_awaited(&self, now: Timestamp) -> Result<Vec<SiteId>, StoreError> {
        let mut awaited = self.store().peers_awaited(&self.withheld(now)).await?;
        awaited.extend(self.peers_due(now).await?);
        awaited.sort_unstable();
        awaited.dedup();
        Ok(awaited)
    }

    /// The next messages for a peer; none while the site is sealed. Messages whose text is damaged are set
    /// aside.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails: `peer doctor` names it.
    pub async fn messages_for(&self, peer: SiteId, now: Timestamp) -> Result<Outgoing, StoreError> {
        let batch = self.batch_for(peer, now).await;
        self.messages_read(peer, batch.as_ref().err(), now);
        batch
    }

    async fn batch_for(&self, peer: SiteId, now: Timestamp) -> Result<Outgoing, StoreError> {
        let mut messages = Vec::new();
        if let Some(keys) = self.unsealed_keys() {
            let limit = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
            let withheld = self.withheld(now);
            let waiting = || self.store().waiting_messages(peer, &withheld, limit);
            let mut batch = self.sendable(waiting().await?, &keys.root).await?;
            // Each time, fewer messages wait.
            while !batch.damaged.is_empty() {
                self.set_aside(peer, &batch.damaged, now).await?;
                batch = self.sendable(waiting().await?, &keys.root).await?;
            }
            lock(&self.peering().held).sent(peer, &batch.sent);
            messages = batch.messages;
        }
        let again = lock(&self.peering().held).next(peer, now);
        Ok(Outgoing { messages, again })
    }

    /// Sets messages aside whose texts cannot be opened: an attacker who can write to the database must not
    /// stop all other messages to that peer.
    async fn set_aside(
        &self,
        peer: SiteId,
        damaged: &[MessageId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let change = |id: &MessageId| {
            let change = PeerChange::Undeliverable {
                id: *id,
                peer,
                why: DAMAGED.to_owned(),
                at: now,
            };
            Change::Peer(change)
        };
        let audit = AuditDraft {
            target: Some(peer.to_string()),
            outcome: AuditOutcome::Failed,
            details: json!({ "messages": damaged }).to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.message_damaged", now)
        };
        let set = ChangeSet::new(damaged.iter().map(change).collect(), audit);
        self.store().commit(set).await.map(|_| ())
    }

    /// What is not sent now: a thief of a session may have written the messages of a person who is
    /// locked or in lockdown, and a peer asked some pairs to wait.
    fn withheld(&self, now: Timestamp) -> Withheld {
        Withheld {
            accounts: self.lockdowns().accounts(),
            pairs: lock(&self.peering().held).now(now),
        }
    }

    async fn sendable(
        &self,
        waiting: Vec<OutboxMessage>,
        root: &RootSecret,
    ) -> Result<Sendable, StoreError> {
        let mut sendable = Sendable::default();
        for message in waiting {
            // Asked again: the store looked before a lock or a lockdown that was imposed meanwhile.
            let account = self.store().account(message.own).await?;
            if let Some(account) = account.filter(|account| self.may_send(account)) {
                let Some(text) = message.text.open(root, message.id) else {
                    sendable.damaged.push(message.id);
                    continue;
                };
                sendable.sent.push(message.clone());
                sendable.messages.push(Incoming {
                    id: message.id,
                    number: message.number,
                    from: account.name,
                    to: message.other,
                    text,
                    sent: message.at,
                });
            }
        }
        Ok(sendable)
    }

    fn may_send(&self, account: &Account) -> bool {
        let target = LockdownTarget::Account(account.id);
        account.is_active() && self.lockdowns().of(&target).is_none()
    }

    /// Stores what a peer did with messages. Returns whether others may follow at once: it accepted or
    /// refused all of them. A message that it asked to wait holds up those of its pair of persons.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; the messages are sent again then, and the peer knows
    /// them.
    pub async fn messages_reported(
        &self,
        peer: SiteId,
        reports: &[DeliveryReport],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        lock(&self.peering().held).reported(peer, reports, now);
        let changes: Vec<_> = reports
            .iter()
            .filter_map(|report| change(peer, report, now))
            .collect();
        let follow = changes.len() == reports.len();
        if changes.is_empty() {
            return Ok(false);
        }
        let refused = reports
            .iter()
            .filter(|report| matches!(report.state, IncomingState::Refused { .. }));
        let details = json!({ "messages": changes.len(), "refused": refused.count() });
        let audit = AuditDraft {
            target: Some(peer.to_string()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "peer.delivered", now)
        };
        self.store().commit(ChangeSet::new(changes, audit)).await?;
        Ok(follow)
    }
}

fn change(peer: SiteId, report: &DeliveryReport, at: Timestamp) -> Option<Change> {
    let id = report.id;
    let change = match &report.state {
        IncomingState::Accepted => PeerChange::Delivered { id, peer },
        IncomingState::Later => return None,
        IncomingState::Refused { why } => PeerChange::Undeliverable {
            id,
            peer,
            // The peer chose the text.
            why: why.chars().filter(|c| is_allowed(*c)).take(200).collect(),
            at,
        },
    };
    Some(Change::Peer(change))
}

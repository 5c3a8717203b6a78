//! The outbox: which messages are to be sent now, and what came of them. A worker of the server sends them.
//!
//! ```text
//! loop {
//!     due_deliveries(now, limit) ──▶ for each: still_due(&it, now)? ──▶ send ──▶ delivered(it.message_id, result, now)
//!     none? wait for the hook of on_outbox_change, at most until next_delivery()
//! }
//! ```
//!
//! What is handed out is leased for [`LEASE_S`](crate::alarms::LEASE_S): after that it is handed out again, so a
//! worker that was killed loses nothing. A message is sent at least once; one whose alarm was acknowledged is never handed out again. Messages to
//! one account over one channel and of one severity are handed out one after the other, in their order.

mod contact;
mod round;

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::json;

use super::{Refusal, Site};
use crate::access::Caller;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, DEAD_AFTER_S, Delivery, DeliveryChannel, DeliveryState, Item, Message, OneLine,
    PublicUrl, Severity, backoff_s, message,
};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::id::{AccountId, DeliveryId};
use crate::store::{AlarmChange, Change, ChangeSet, StoreError};
use crate::timestamp::Timestamp;

pub(super) use contact::Contact;
use round::Round;

/// Alarms that are escalated at once.
const MOST_ESCALATIONS: u32 = 16;
/// How often something is decided anew when it was overtaken.
const TRIES: usize = 4;

/// What the site can deliver with. Without a channel no deliveries over it are written, and those that wait become
/// dead letters when they are due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Whether there is a mail server.
    pub email: bool,
    /// Whether there is a webhook for short texts.
    pub text: bool,
    /// Where links in messages lead; without it there are none.
    pub public_url: Option<PublicUrl>,
}

/// A message that is to be sent now.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// The message, for [`Site::still_due`] and [`Site::delivered`].
    pub message_id: DeliveryId,
    /// For a mail's `Message-ID` and a webhook's idempotency key: hexadecimal digits, `-` and `.`. It is the same when
    /// the message is handed out again with the same content, and another one when a summary tells of other alarms.
    pub idempotency_key: String,
    /// The account that gets it.
    pub account: AccountId,
    /// The account's name.
    pub name: String,
    /// The channel.
    pub channel: DeliveryChannel,
    /// The e-mail address, or where short texts of the account go.
    pub address: String,
    /// The highest severity in it.
    pub severity: Severity,
    /// The texts.
    pub message: Message,
    /// How many deliveries it tells of; more than one makes it a summary.
    pub deliveries: usize,
    /// When its lease ends: do not begin to send it after that.
    pub until: Timestamp,
}

/// What came of sending a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The channel accepted it.
    Sent,
    /// It failed and may go well later: it is tried again.
    Failed {
        /// Why, without secrets. Cut off at 200 characters.
        error: String,
        /// Seconds that the channel asked to wait; at most an hour counts.
        retry_after_s: Option<u32>,
    },
    /// It will never be accepted: it is dead.
    Rejected {
        /// Why, without secrets. Cut off at 200 characters.
        error: String,
    },
}

/// Called after alarms or deliveries changed. Must not wait.
pub type OutboxHook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
pub(super) struct Outbox {
    settings: RwLock<DeliverySettings>,
    hook: RwLock<Option<OutboxHook>>,
}

impl Site {
    /// The site delivers with this from now on. Until this is called, open connections alone get alarms.
    pub fn deliver_with(&self, settings: DeliverySettings) {
        let slot = self.0.outbox.settings.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// What the site delivers with.
    #[must_use]
    pub fn delivery_settings(&self) -> DeliverySettings {
        let slot = self.0.outbox.settings.read();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this hook is called when there may be something to deliver, and no other one is.
    pub fn on_outbox_change(&self, hook: OutboxHook) {
        let slot = self.0.outbox.hook.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    pub(super) fn wake_outbox(&self) {
        let slot = self.0.outbox.hook.read();
        let hook = slot.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook();
        }
    }

    /// When [`Site::due_deliveries`] has something to do next; it may be over. `None` while nothing waits.
    ///
    /// # Errors
    /// [`StoreError`] when the store is in trouble.
    pub async fn next_delivery(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store().next_due().await
    }

    /// Leases the messages that are to be sent at `now`, at most `limit`, and does what else is due: alarms go on to
    /// the admins, messages are held for quiet hours, folded into summaries or cancelled.
    ///
    /// A worker calls this until it gets nothing. For each message it asks [`Site::still_due`], sends it, and tells
    /// [`Site::delivered`]. Then it waits for [`Site::on_outbox_change`], at most until [`Site::next_delivery`]. A message
    /// is leased for [`LEASE_S`](crate::alarms::LEASE_S): when nothing is told of it by then, it is handed out again. So
    /// a message is sent at least once. Messages to one account over one channel and of one severity are handed out one
    /// after the other, in their order. Several workers may do so at once.
    ///
    /// # Errors
    /// A [`Refusal`] when the store is in trouble; then nothing is leased.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, Refusal> {
        self.due_escalations(now).await?;
        for _ in 0..TRIES {
            let heads = self.store().due_deliveries(now, limit).await?;
            if heads.is_empty() {
                return Ok(Vec::new());
            }
            let mut round = Round::new(now);
            for head in heads {
                round.decide(self, head).await?;
            }
            let details = json!({
                "messages": round.messages.len(),
                "deliveries": round.changed.len(),
            });
            let change = AlarmChange::UpdateDeliveries(round.changed);
            let set = site_set(
                vec![Change::Alarm(change)],
                "alarm.lease",
                None,
                &details,
                now,
            );
            match self.store().commit(set).await {
                Ok(_) if round.messages.is_empty() => {}
                Ok(_) => return Ok(round.messages),
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }

    /// The message as it is to be sent now: without the alarms that were acknowledged since it was leased. `None` when
    /// nothing is left of it or its lease is over. Ask right before sending.
    ///
    /// # Errors
    /// A [`Refusal`] when the store is in trouble.
    pub async fn still_due(
        &self,
        due: &DueDelivery,
        now: Timestamp,
    ) -> Result<Option<DueDelivery>, Refusal> {
        let left = self.store().leased_deliveries(due.message_id).await?;
        let left: Vec<Delivery> = left.into_iter().filter(|one| one.is_leased(now)).collect();
        if left.is_empty() || due.until <= now {
            return Ok(None);
        }
        if left.len() == due.deliveries {
            return Ok(Some(due.clone()));
        }
        let mut items = Vec::with_capacity(left.len());
        for delivery in left {
            let alarm = self.store().alarm(delivery.alarm).await?;
            items.extend(alarm.map(|alarm| (delivery, alarm)));
        }
        let Some(account) = self.store().account(due.account).await? else {
            return Ok(None);
        };
        let contact = Contact::read(self, &account, now).await?;
        Ok(self.due_delivery(&account, &contact, due.channel, &items, due.until))
    }

    /// Records what came of sending a message. `false` when there is nothing to record: the deliveries were cancelled
    /// or deleted meanwhile, or were recorded before.
    ///
    /// # Errors
    /// A [`Refusal`] when the store is in trouble; the lease ends by itself then, and the message is handed out again.
    pub async fn delivered(
        &self,
        message_id: DeliveryId,
        result: &DeliveryResult,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        for _ in 0..TRIES {
            let leased = self.store().leased_deliveries(message_id).await?;
            let Some(first) = leased.first() else {
                return Ok(false);
            };
            let details = json!({
                "account": first.account,
                "channel": first.channel,
                "deliveries": leased.len(),
            });
            let outcomes = leased.into_iter().map(|one| outcome(one, result, now));
            let change = AlarmChange::UpdateDeliveries(outcomes.collect());
            let target = Some(message_id.to_string());
            let mut set = site_set(
                vec![Change::Alarm(change)],
                "alarm.deliver",
                target,
                &details,
                now,
            );
            if *result != DeliveryResult::Sent {
                set.audit.outcome = AuditOutcome::Failed;
            }
            match self.store().commit(set).await {
                Ok(_) => return Ok(true),
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn due_escalations(&self, now: Timestamp) -> Result<(), Refusal> {
        for alarm in self.store().due_escalations(now, MOST_ESCALATIONS).await? {
            let target = Some(alarm.id.to_string());
            let changes = self.escalate(alarm, now).await?;
            let mut set = site_set(Vec::new(), "alarm.escalate", target, &json!({}), now);
            (set.changes, set.notices) = changes.into_parts();
            match self.store().commit(set).await {
                // One that was overtaken is due again, if it still is.
                Err(error) if !is_overtaken(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn due_delivery(
        &self,
        account: &Account,
        contact: &Contact,
        channel: DeliveryChannel,
        items: &[(Delivery, Alarm)],
        until: Timestamp,
    ) -> Option<DueDelivery> {
        let address = contact.address(account, channel)?;
        let message_id = items.first()?.0.lease?.message;
        let told: Vec<Item<'_>> = items
            .iter()
            .map(|(delivery, alarm)| Item {
                alarm,
                about: delivery.about,
            })
            .collect();
        let severity = items.iter().map(|(delivery, _)| delivery.severity).max()?;
        // Deliveries join at the end alone, so these tell whether any joined or left.
        let (first, last) = (items.first()?.0.id, items.last()?.0.id);
        let idempotency_key = format!("{first}.{last}.{}", items.len());
        let link = self.delivery_settings().public_url;
        let zone = self.zone().to_string();
        Some(DueDelivery {
            message_id,
            idempotency_key,
            account: account.id,
            name: account.name.to_string(),
            channel,
            address,
            severity,
            message: message(&told, &contact.preferences, &zone, link.as_ref()),
            deliveries: items.len(),
            until,
        })
    }
}

/// A delivery after an attempt.
fn outcome(delivery: Delivery, result: &DeliveryResult, now: Timestamp) -> Delivery {
    let (error, retry_after_s) = match result {
        DeliveryResult::Sent => {
            return delivery.revised(|one| {
                one.state = DeliveryState::Sent;
                one.last_error = None;
            });
        }
        DeliveryResult::Failed {
            error,
            retry_after_s,
        } => (error, *retry_after_s),
        DeliveryResult::Rejected { error } => return dead(delivery, error),
    };
    if now >= delivery.since.plus_seconds(DEAD_AFTER_S) {
        return dead(delivery, error);
    }
    delivery.revised(|one| {
        one.attempts = one.attempts.saturating_add(1);
        let wait = backoff_s(one.attempts);
        let asked = retry_after_s.unwrap_or(0).min(backoff_s(u32::MAX));
        one.due = now.plus_seconds(wait.max(asked));
        one.last_error = Some(OneLine::cut(error));
        one.lease = None;
    })
}

fn dead(delivery: Delivery, error: &str) -> Delivery {
    delivery.revised(|one| {
        one.state = DeliveryState::Dead;
        one.last_error = Some(OneLine::cut(error));
        one.lease = None;
    })
}

const fn is_overtaken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Stale { .. } | StoreError::NotFound { .. } | StoreError::Conflict { .. }
    )
}

/// A change set of the site itself.
fn site_set(
    changes: Vec<Change>,
    operation: &str,
    target: Option<String>,
    details: &serde_json::Value,
    now: Timestamp,
) -> ChangeSet {
    let audit = AuditDraft {
        target,
        details: details.to_string(),
        ..AuditDraft::done(&Caller::site(), operation, now)
    };
    ChangeSet::new(changes, audit)
}

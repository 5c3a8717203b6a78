//! The outbox: hands out due messages and records the results. A worker of the server sends them.
//!
//! ```text
//! loop {
//!     due_deliveries(now, limit)
//!     for each: still_due(&it, now)? ──▶ send ──▶ delivered(it.message_id, result, now)
//!     none? wait for the hook of on_outbox_change, at most until next_delivery()
//! }
//! ```
//!
//! A message is leased for [`LEASE_S`](crate::alarms::LEASE_S). After that it is handed out again,
//! so a killed worker loses nothing and a message is sent at least once. An acknowledgement cancels
//! the deliveries of its alarm. Messages with the same account, channel and severity are handed out
//! one at a time, in their order.

mod contact;
mod round;

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::json;

use crate::access::Caller;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, DEAD_AFTER_S, Delivery, DeliveryChannel, DeliveryState, Item, MAX_REFUSALS,
    MailTemplates, Message, MessageContext, OneLine, Severity, backoff_s, message,
};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, DeliveryId};
use crate::public_url::PublicUrl;
use crate::store::{AlarmChange, Change, ChangeSet, StoreError};
use crate::timestamp::Timestamp;

pub(super) use contact::Contact;
use round::Round;

/// The limit on alarms that one call escalates.
const MAX_ESCALATIONS: u32 = 16;
/// The limit on attempts to commit when concurrent changes conflict.
const MAX_TRIES: usize = 4;

/// The channels that the site supports. No deliveries are written for a missing channel. Waiting
/// deliveries over it are dead when they are due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Whether a mail server is configured.
    pub email: bool,
    /// Whether a webhook for short texts is configured.
    pub text: bool,
    /// The base URL of links in messages; `None` for messages without links.
    pub public_url: Option<PublicUrl>,
    /// The templates of e-mail.
    pub templates: MailTemplates,
}

/// A leased message that is due.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// Identifies the message in [`Site::delivered`].
    pub message_id: DeliveryId,
    /// For a mail's `Message-ID` and a webhook's idempotency key: hexadecimal digits, `-` and `.`.
    /// It is the same when the message is handed out again with the same alarms, and differs when a
    /// summary has other alarms.
    pub idempotency_key: String,
    /// The recipient.
    pub account: AccountId,
    /// The recipient's name.
    pub name: String,
    /// The channel.
    pub channel: DeliveryChannel,
    /// The recipient's email address or address for short texts.
    pub address: String,
    /// The highest severity of its alarms.
    pub severity: Severity,
    /// The texts.
    pub message: Message,
    /// The number of its deliveries. A message with more than one is a summary.
    pub deliveries: usize,
    /// The end of its lease. Do not start to send it after that.
    pub until: Timestamp,
}

/// The result of an attempt to send a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The channel accepted it.
    Sent,
    /// The channel cannot take messages now: another attempt follows, for at most 24 hours.
    Failed {
        /// Why, without secrets. Cut off at 200 characters.
        error: String,
        /// The delay in seconds that the channel requested; limited to one hour.
        retry_after_s: Option<u32>,
    },
    /// The channel answered that it does not take this message now: another attempt follows, until
    /// there were [`MAX_REFUSALS`].
    Refused {
        /// Why, without secrets. Cut off at 200 characters.
        error: String,
        /// The delay in seconds that the channel requested; limited to one hour.
        retry_after_s: Option<u32>,
    },
    /// A permanent failure: the deliveries are dead.
    Rejected {
        /// Why, without secrets. Cut off at 200 characters.
        error: String,
    },
}

/// Called after a change of alarms or deliveries. It must not block.
pub type OutboxHook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
pub(in crate::engine) struct Outbox {
    settings: RwLock<DeliverySettings>,
    hook: RwLock<Option<OutboxHook>>,
}

impl Site {
    /// Sets the supported channels. Until the first call, only open connections receive alarms.
    pub fn deliver_with(&self, settings: DeliverySettings) {
        let slot = self.0.outbox.settings.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The supported channels.
    #[must_use]
    pub fn delivery_settings(&self) -> DeliverySettings {
        let slot = self.0.outbox.settings.read();
        slot.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the hook that is called when a delivery may be due. It replaces the previous hook.
    pub fn on_outbox_change(&self, hook: OutboxHook) {
        let slot = self.0.outbox.hook.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    pub(in crate::engine) fn wake_outbox(&self) {
        let slot = self.0.outbox.hook.read();
        let hook = slot.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook();
        }
    }

    /// The next time at which [`Site::due_deliveries`] has work. It may be in the past. `None`
    /// while nothing waits.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub async fn next_delivery(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store().next_due().await
    }

    /// Leases at most `limit` messages that are due at `now`. It also escalates due alarms to the
    /// admins, delays messages for quiet hours, folds them into summaries and cancels those that
    /// are no longer needed.
    ///
    /// A worker calls this until it returns no messages. For each message it calls
    /// [`Site::still_due`], sends the message and reports the result to [`Site::delivered`]. Then
    /// it waits for the hook of [`Site::on_outbox_change`], at most until [`Site::next_delivery`].
    /// A message without a result is handed out again when its lease ends after
    /// [`LEASE_S`](crate::alarms::LEASE_S), so each message is sent at least once. Messages with
    /// the same account, channel and severity are handed out one at a time, in their order. Several
    /// workers may run concurrently.
    ///
    /// # Errors
    /// A [`Refusal`] when the store fails; then nothing is leased.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, Refusal> {
        self.due_escalations(now).await?;
        for _ in 0..MAX_TRIES {
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
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }

    /// The message without the alarms that were acknowledged after the lease; `None` when no alarm
    /// remains or the lease has ended. Call this right before sending.
    ///
    /// # Errors
    /// A [`Refusal`] when the store fails.
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
        let account = self.store().account(due.account).await?;
        let (Some(account), Some((_, alarm))) = (account, items.first()) else {
            return Ok(None);
        };
        let contact = Contact::read(self, &account, alarm, now).await?;
        Ok(self.due_delivery(&account, &contact, due.channel, &items, due.until))
    }

    /// Records the result of an attempt. Returns `false` when there is nothing to record: the
    /// deliveries were cancelled or deleted, or already have a result.
    ///
    /// # Errors
    /// A [`Refusal`] when the store fails. The message is handed out again when its lease ends.
    pub async fn delivered(
        &self,
        message_id: DeliveryId,
        result: &DeliveryResult,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        for _ in 0..MAX_TRIES {
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
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn due_escalations(&self, now: Timestamp) -> Result<(), Refusal> {
        for alarm in self.store().due_escalations(now, MAX_ESCALATIONS).await? {
            let target = Some(alarm.id.to_string());
            // The others and the deliveries must go on; this one stays due.
            let Ok(changes) = self.escalate(alarm, now).await else {
                continue;
            };
            let mut set = site_set(Vec::new(), "alarm.escalate", target, &json!({}), now);
            (set.changes, set.notices) = changes.into_parts();
            match self.store().commit(set).await {
                // After a conflict the escalation stays due, unless the other change cancelled it.
                Err(error) if !is_conflict(&error) => return Err(error.into()),
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
        let listed: Vec<Item<'_>> = items
            .iter()
            .map(|(delivery, alarm)| Item {
                alarm,
                about: delivery.about,
            })
            .collect();
        let severity = items.iter().map(|(delivery, _)| delivery.severity).max()?;
        // Deliveries are added at the end only, so the first id, the last id and the number
        // identify the content.
        let (first, last) = (items.first()?.0.id, items.last()?.0.id);
        let idempotency_key = format!("{first}.{last}.{}", items.len());
        let settings = self.delivery_settings();
        let (name, zone) = (account.name.to_string(), self.zone().to_string());
        let context = MessageContext {
            name: &name,
            site: &zone,
            link: settings.public_url.as_ref(),
            templates: &settings.templates,
            in_commands: &|text| self.table().in_commands(text),
        };
        Some(DueDelivery {
            message_id,
            idempotency_key,
            account: account.id,
            channel,
            address,
            severity,
            message: message(&listed, &contact.preferences, &context),
            name,
            deliveries: items.len(),
            until,
        })
    }
}

/// The delivery after an attempt with this result.
fn outcome(delivery: Delivery, result: &DeliveryResult, now: Timestamp) -> Delivery {
    let (error, retry_after_s, refusals) = match result {
        DeliveryResult::Sent => {
            return delivery.revised(|one| {
                one.state = DeliveryState::Sent;
                one.last_error = None;
            });
        }
        DeliveryResult::Failed {
            error,
            retry_after_s,
        } => (error, *retry_after_s, delivery.refusals),
        DeliveryResult::Refused {
            error,
            retry_after_s,
        } => (error, *retry_after_s, delivery.refusals.saturating_add(1)),
        DeliveryResult::Rejected { error } => return dead(delivery, error),
    };
    if now >= delivery.since.plus_seconds(DEAD_AFTER_S) || refusals >= MAX_REFUSALS {
        return dead(delivery, error);
    }
    delivery.revised(|one| {
        one.refusals = refusals;
        one.attempts = one.attempts.saturating_add(1);
        let backoff = backoff_s(one.attempts);
        let requested = retry_after_s.unwrap_or(0).min(backoff_s(u32::MAX));
        one.due = now.plus_seconds(backoff.max(requested));
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

const fn is_conflict(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Stale { .. } | StoreError::NotFound { .. } | StoreError::Conflict { .. }
    )
}

/// A change set whose actor is the site itself.
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

//! Raising, ending and escalating alarms, as changes for any change set.
//!
//! ```text
//! NewAlarm ─▶ repeats one that is not over? ──yes──▶ update it; notify outside the window
//!                        │ no
//!                        ▼
//!                 within the limits? ─▶ alarm + recipients + deliveries + event
//!                 (deletes the oldest alarm that is over)
//! ```

mod event;
mod joining;
mod limits;
mod plan;

use std::collections::BTreeSet;

use crate::access::{Caller, Channel};
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmData, AlarmKey, AlarmState, AlarmText, Language, News, Raiser, Recipient, Severity,
    SystemAlarm, Target,
};
use crate::engine::{Changes, Refusal, Site};
use crate::id::{AccountId, AlarmId};
use crate::store::AlarmChange;
use crate::timestamp::Timestamp;

use event::{as_changes, with_event};
use limits::{limit_reached, max_alarms_of_person};
use plan::Plan;

/// An alarm to be raised.
#[derive(Debug, Clone)]
pub struct NewAlarm {
    /// The person or group that it is for.
    pub to: Target,
    /// Its severity.
    pub severity: Severity,
    /// What happened. It must not contain a secret.
    pub text: AlarmText,
    /// Its deduplication key. Without a key it never repeats another alarm.
    pub key: Option<AlarmKey>,
    /// Data for programs, which messages do not include. It must not contain a secret.
    pub data: Option<AlarmData>,
}

impl NewAlarm {
    /// An alarm of the site itself.
    pub(crate) fn of_site(to: Target, alarm: &SystemAlarm) -> Self {
        Self {
            to,
            severity: alarm.severity(),
            text: alarm.text(Language::default()),
            key: Some(alarm.key()),
            data: alarm.data(),
        }
    }
}

/// A raised alarm that takes effect when its changes are committed.
#[derive(Debug)]
pub struct Raised {
    /// The alarm after the commit.
    pub alarm: Alarm,
    /// The number of its recipients after the commit.
    pub recipients: usize,
    /// The number of new deliveries.
    pub deliveries: usize,
    /// The changes to commit.
    pub changes: Changes,
}

impl Raiser {
    /// The raiser of alarms from this caller.
    #[must_use]
    pub(crate) const fn of(caller: &Caller) -> Self {
        match (caller.account, caller.channel) {
            (Some(account), _) => Self::Account(account),
            (None, Channel::Site) => Self::Site,
            (None, _) => Self::LocalAdmin,
        }
    }
}

impl Site {
    /// Returns the changes that raise an alarm of the site itself. Commit them together with the
    /// change that causes the alarm ([`Changes::with`]). An alarm with the same key and target that
    /// is not over is repeated. When a limit on alarms is reached, the changes are empty, so that
    /// the cause does not fail.
    ///
    /// # Errors
    /// `not_found` when the person does not exist, `internal` when the store fails. The later
    /// commit fails with `conflict` when the same alarm was changed concurrently; call this again
    /// then.
    pub async fn site_alarm(&self, new: NewAlarm, now: Timestamp) -> Result<Changes, Refusal> {
        let raised = self.raise(&Caller::site(), new, now).await;
        match raised {
            Ok(raised) => Ok(raised.changes),
            Err(refusal) if refusal.is_conflict() => Ok(Changes::default()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Like [`Site::site_alarm`], for any caller.
    ///
    /// # Errors
    /// Those of [`Site::site_alarm`]; and `conflict` when a limit on alarms is reached.
    pub async fn raise(
        &self,
        caller: &Caller,
        new: NewAlarm,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let raiser = Raiser::of(caller);
        let current = match &new.key {
            Some(key) => self.store().current_alarm(raiser, new.to, key).await?,
            None => None,
        };
        let accounts = self.accounts_of(new.to).await?;
        match current {
            Some(alarm) => self.repeat(alarm, accounts, new, now).await,
            None => {
                let can_escalate = matches!(new.to, Target::Person(_));
                self.raise_new(caller, accounts, new, can_escalate, now)
                    .await
            }
        }
    }

    /// Returns the changes that send a test alarm to an account. It replaces the raiser's previous
    /// test alarm and is never a repeat, so test alarms count as one. It does not escalate: a member
    /// must not be able to wake the admins with it.
    pub(crate) async fn test_alarm(
        &self,
        caller: &Caller,
        account: AccountId,
        severity: Severity,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let (to, key) = (Target::Person(account), AlarmKey::cut("test"));
        let raiser = Raiser::of(caller);
        let previous = self.store().current_alarm(raiser, to, &key).await?;
        let accounts = self.accounts_of(to).await?;
        let new = NewAlarm {
            to,
            severity,
            text: AlarmText::cut("This is a test alarm."),
            key: Some(key),
            data: None,
        };
        let mut raised = self.raise_new(caller, accounts, new, false, now).await?;
        let previous = previous.map(|alarm| AlarmChange::Delete {
            id: alarm.id,
            revision: alarm.revision,
        });
        raised.changes = as_changes(previous).with(raised.changes);
        Ok(raised)
    }

    /// Returns the changes that end an alarm. Notified recipients are notified of the end, unless
    /// the alarm was acknowledged.
    pub(crate) async fn end_alarm(&self, alarm: Alarm, now: Timestamp) -> Result<Changes, Refusal> {
        let alarm = alarm.revised(|alarm| {
            alarm.state = AlarmState::Over;
            alarm.ended = Some(now);
            alarm.escalates = None;
        });
        let recipients = self.recipients_now(&alarm).await?;
        let mut plan = Plan::of(self, now, &alarm, false).await?;
        for recipient in &recipients {
            if let Some(account) = self.store().account(recipient.account).await? {
                plan.notify(self, &alarm, &account, News::Over, 0).await?;
            }
        }
        let changes = [
            AlarmChange::Update(alarm.clone()),
            AlarmChange::CancelDeliveries(alarm.id),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        with_event(changes, &alarm, "over", recipient_ids(&recipients))
    }

    /// Returns the changes that acknowledge an alarm and cancel its waiting deliveries. `recipient`
    /// is the acknowledging account, if it is one of the `recipients`.
    pub(crate) fn acknowledge_alarm(
        &self,
        alarm: &Alarm,
        recipient: Option<Recipient>,
        recipients: &[Recipient],
    ) -> Result<Changes, Refusal> {
        let mut changes = vec![
            AlarmChange::Update(alarm.clone()),
            AlarmChange::CancelDeliveries(alarm.id),
        ];
        changes.extend(recipient.map(|recipient| AlarmChange::PutRecipients {
            alarm: alarm.id,
            recipients: vec![recipient],
        }));
        with_event(changes, alarm, "acknowledged", recipient_ids(recipients))
    }

    /// The accounts of a person or group, at most [`MAX_RECIPIENTS`].
    async fn accounts_of(&self, to: Target) -> Result<Vec<Account>, Refusal> {
        match to {
            Target::Person(id) => {
                let found = self.store().account(id).await?;
                let found = found.ok_or_else(|| Refusal::not_found("person", id))?;
                Ok(vec![found])
            }
            Target::Admins => self.admins().await,
        }
    }

    async fn repeat(
        &self,
        previous: Alarm,
        accounts: Vec<Account>,
        new: NewAlarm,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let news = match previous.severity < new.severity || has_other_actor(&previous, &new) {
            true => News::Raised,
            false => News::Repeated,
        };
        let mut alarm = previous.revised(|alarm| {
            alarm.severity = alarm.severity.max(new.severity);
            if news == News::Raised {
                // It became worse after it was acknowledged, or has another actor.
                (alarm.state, alarm.acknowledged) = (AlarmState::Open, None);
            }
            (alarm.text, alarm.data) = (new.text, new.data);
            alarm.count = alarm.count.saturating_add(1);
            alarm.last = now;
        });
        let recipients = self.store().recipients(alarm.id).await?;
        let limit = max_alarms_of_person(alarm.raiser);
        let (joined, _) = self.joining(&recipients, accounts, limit).await?;
        let can_escalate = matches!(alarm.to, Target::Person(_)) && recipients.len() == 1;
        let current = self.among_recipients_now(&alarm, &recipients).await?;
        let mut plan = Plan::of(self, now, &alarm, can_escalate).await?;
        let mut notified = Vec::new();
        if alarm.is_open() && (news == News::Raised || !alarm.was_notified_recently(now)) {
            for recipient in &current {
                notified.extend(self.store().account(recipient.account).await?);
            }
        }
        let listening = self
            .events()
            .listening(&ids(notified.iter().chain(&joined)));
        let again = notified.iter().map(|account| (account, news));
        let first = joined.iter().map(|account| (account, News::Raised));
        for (account, news) in again.chain(first) {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.notify(self, &alarm, account, news, connections)
                .await?;
        }
        let notifies = !notified.is_empty();
        if notifies {
            alarm.notified = now;
        }
        alarm.escalates = [alarm.escalates, plan.escalates]
            .into_iter()
            .flatten()
            .min();
        let deliveries = plan.deliveries.len();
        let all: BTreeSet<AccountId> = recipient_ids(&current)
            .chain(joined.iter().map(|account| account.id))
            .collect();
        let recipients = all.len();
        let changes = [
            AlarmChange::Update(alarm.clone()),
            put_recipients(&alarm, &joined),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        let changes = match notifies {
            true => with_event(changes, &alarm, "repeated", all)?,
            false => as_changes(changes),
        };
        Ok(Raised {
            alarm,
            recipients,
            deliveries,
            changes,
        })
    }

    async fn raise_new(
        &self,
        caller: &Caller,
        accounts: Vec<Account>,
        new: NewAlarm,
        can_escalate: bool,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let id = AlarmId::new(now, &mut self.entropy());
        let raiser = Raiser::of(caller);
        let mut alarm = Alarm {
            id,
            key: new.key.unwrap_or_else(|| AlarmKey::cut(&id.to_string())),
            to: new.to,
            raiser,
            raised_by: caller.name.clone(),
            severity: new.severity,
            text: new.text,
            data: new.data,
            first: now,
            last: now,
            notified: now,
            count: 1,
            state: AlarmState::Open,
            acknowledged: None,
            ended: None,
            escalates: None,
            revision: 1,
        };
        let mut deletions = self.free_place(raiser).await?;
        let (accounts, more) = self
            .joining(&[], accounts, max_alarms_of_person(raiser))
            .await?;
        deletions.extend(more);
        if accounts.is_empty() {
            return Err(match alarm.to {
                Target::Person(_) => limit_reached("the person is a recipient of too many alarms"),
                Target::Admins => limit_reached(
                    "each admin is a recipient of too many alarms, or there is no active admin",
                ),
            });
        }
        let mut plan = Plan::of(self, now, &alarm, can_escalate).await?;
        let listening = self.events().listening(&ids(&accounts));
        for account in &accounts {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.notify(self, &alarm, account, News::Raised, connections)
                .await?;
        }
        alarm.escalates = plan.escalates;
        let deliveries = plan.deliveries.len();
        let deletions = deletions
            .into_iter()
            .map(|(id, revision)| AlarmChange::Delete { id, revision });
        let raised = [
            AlarmChange::Insert(alarm.clone()),
            put_recipients(&alarm, &accounts),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        let changes = with_event(deletions.chain(raised), &alarm, "raised", ids(&accounts))?;
        Ok(Raised {
            alarm,
            recipients: accounts.len(),
            deliveries,
            changes,
        })
    }
}

/// Whether an alarm of the site is raised again about another actor. An admin who acknowledged it
/// knows of the previous one only.
fn has_other_actor(previous: &Alarm, new: &NewAlarm) -> bool {
    let before = SystemAlarm::of(previous);
    let cause = SystemAlarm::from_data(previous.raiser, new.data.as_ref());
    matches!((before, cause), (Some(before), Some(cause)) if !cause.has_actor_of(&before))
}

fn recipient_ids(recipients: &[Recipient]) -> impl Iterator<Item = AccountId> {
    recipients.iter().map(|recipient| recipient.account)
}

fn put_recipients(alarm: &Alarm, accounts: &[Account]) -> AlarmChange {
    let recipients = accounts.iter().map(|account| Recipient {
        account: account.id,
        acknowledged: None,
    });
    AlarmChange::PutRecipients {
        alarm: alarm.id,
        recipients: recipients.collect(),
    }
}

fn ids<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> BTreeSet<AccountId> {
    accounts.into_iter().map(|account| account.id).collect()
}

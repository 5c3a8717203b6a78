//! Raising, ending and escalating alarms: what has to be written, as changes for any change set.
//!
//! ```text
//! NewAlarm ─▶ repeats one that is not over? ──yes──▶ count and last go up; told again outside the window
//!                        │ no
//!                        ▼
//!             room? (the oldest that is over goes) ─▶ alarm + recipients + deliveries + event
//! ```

mod event;
mod plan;
mod room;

use std::collections::BTreeSet;

use super::{Changes, Refusal, Site};
use crate::access::{Caller, Channel};
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmData, AlarmKey, AlarmState, AlarmText, MOST_ALARMS_OF_PERSON, MOST_RECIPIENTS,
    News, Raiser, Recipient, Severity, Target,
};
use crate::id::{AccountId, AlarmId};
use crate::store::AlarmChange;
use crate::timestamp::Timestamp;

use event::{as_changes, with_event_for_admins, with_events};
use plan::Plan;
use room::{most_of_person, no_room};

/// An alarm that is to be raised.
#[derive(Debug, Clone)]
pub struct NewAlarm {
    /// The person or group that it is for.
    pub to: Target,
    /// How much it matters.
    pub severity: Severity,
    /// What happened. It must not hold a secret.
    pub text: AlarmText,
    /// Its deduplication key; without one it never repeats another alarm.
    pub key: Option<AlarmKey>,
    /// More for programs, which messages leave out. It must not hold a secret.
    pub data: Option<AlarmData>,
}

/// What raising an alarm comes to. Nothing has happened until the changes are committed.
#[derive(Debug)]
pub struct Raised {
    /// The alarm as it is once the changes are committed.
    pub alarm: Alarm,
    /// How many recipients it has then.
    pub recipients: usize,
    /// How many deliveries are written.
    pub deliveries: usize,
    /// What to commit.
    pub changes: Changes,
}

impl Raiser {
    /// Who raises an alarm when this caller does.
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
    /// The changes that raise an alarm of the site itself; commit them with what it is about
    /// ([`Changes::with`]). A repeat of the same key and target is coalesced. No changes at all when there is no room:
    /// what it is about must not fail for that.
    ///
    /// # Errors
    /// `not_found` when the person is gone, `internal` when the store is in trouble. When the commit is refused because
    /// the same alarm was raised or acknowledged meanwhile (`conflict`), begin anew.
    pub async fn site_alarm(&self, new: NewAlarm, now: Timestamp) -> Result<Changes, Refusal> {
        let raised = self.raise(&Caller::site(), new, now).await;
        match raised {
            Ok(raised) => Ok(raised.changes),
            Err(refusal) if refusal.is_conflict() => Ok(Changes::default()),
            Err(refusal) => Err(refusal),
        }
    }

    /// As [`Site::site_alarm`], for any caller.
    ///
    /// # Errors
    /// As there; and `conflict` when there is no room for another alarm.
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
            None => self.raise_anew(caller, accounts, new, now).await,
        }
    }

    /// The changes that send a test alarm to an account, in place of the one before: a test is never a repeat, and takes
    /// one place.
    pub(crate) async fn test_alarm(
        &self,
        caller: &Caller,
        account: AccountId,
        severity: Severity,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let (to, key) = (Target::Person(account), AlarmKey::cut("test"));
        let raiser = Raiser::of(caller);
        let before = self.store().current_alarm(raiser, to, &key).await?;
        let accounts = self.accounts_of(to).await?;
        let new = NewAlarm {
            to,
            severity,
            text: AlarmText::cut("This is a test alarm."),
            key: Some(key),
            data: None,
        };
        let mut raised = self.raise_anew(caller, accounts, new, now).await?;
        let before = before.map(|alarm| AlarmChange::Delete {
            id: alarm.id,
            revision: alarm.revision,
        });
        raised.changes = as_changes(before).with(raised.changes);
        Ok(raised)
    }

    /// The changes that end an alarm: those who were told get to know it, unless it was acknowledged.
    pub(crate) async fn end_alarm(&self, alarm: Alarm, now: Timestamp) -> Result<Changes, Refusal> {
        let alarm = alarm.revised(|alarm| {
            alarm.state = AlarmState::Over;
            alarm.ended = Some(now);
            alarm.escalates = None;
        });
        let recipients = self.store().recipients(alarm.id).await?;
        let mut plan = Plan::of(self, now, &alarm, false).await?;
        for recipient in &recipients {
            if let Some(account) = self.store().account(recipient.account).await? {
                plan.tell(self, &alarm, &account, News::Over, 0).await?;
            }
        }
        let changes = [
            AlarmChange::Update(alarm.clone()),
            AlarmChange::CancelDeliveries(alarm.id),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        with_events(changes, &alarm, "over", recipients.len())
    }

    /// The changes that acknowledge an alarm; `recipient` is the account that does, if it is a recipient. Nothing of
    /// the alarm is delivered any more.
    pub(crate) fn acknowledge_alarm(
        &self,
        alarm: &Alarm,
        recipient: Option<Recipient>,
        recipients: usize,
    ) -> Result<Changes, Refusal> {
        let mut changes = vec![
            AlarmChange::Update(alarm.clone()),
            AlarmChange::CancelDeliveries(alarm.id),
        ];
        changes.extend(recipient.map(|recipient| AlarmChange::PutRecipients {
            alarm: alarm.id,
            recipients: vec![recipient],
        }));
        with_events(changes, alarm, "acknowledged", recipients)
    }

    /// The changes that make the admins recipients of an alarm that was not acknowledged.
    pub(super) async fn escalate(&self, alarm: Alarm, now: Timestamp) -> Result<Changes, Refusal> {
        let alarm = alarm.revised(|alarm| alarm.escalates = None);
        let recipients = self.store().recipients(alarm.id).await?;
        let admins = self.accounts_of(Target::Admins).await?;
        let (joined, _) = self
            .joining(&recipients, admins, MOST_ALARMS_OF_PERSON)
            .await?;
        let mut plan = Plan::of(self, now, &alarm, false).await?;
        let listening = self.events().listening(&ids(&joined));
        for account in &joined {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.tell(self, &alarm, account, News::Raised, connections)
                .await?;
        }
        let changes = [
            AlarmChange::Update(alarm.clone()),
            put_recipients(&alarm, &joined),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        with_event_for_admins(changes, &alarm, "raised")
    }

    /// The accounts of a person or group, at most [`MOST_RECIPIENTS`].
    async fn accounts_of(&self, to: Target) -> Result<Vec<Account>, Refusal> {
        match to {
            Target::Person(id) => {
                let found = self.store().account(id).await?;
                let found = found.ok_or_else(|| Refusal::not_found("person", id))?;
                Ok(vec![found])
            }
            Target::Admins => {
                let most = u32::try_from(MOST_RECIPIENTS).unwrap_or(u32::MAX);
                Ok(self.store().active_admins(most).await?)
            }
        }
    }

    async fn repeat(
        &self,
        before: Alarm,
        accounts: Vec<Account>,
        new: NewAlarm,
        now: Timestamp,
    ) -> Result<Raised, Refusal> {
        let news = match before.severity < new.severity {
            true => News::Raised,
            false => News::Repeated,
        };
        let mut alarm = before.revised(|alarm| {
            alarm.severity = alarm.severity.max(new.severity);
            (alarm.text, alarm.data) = (new.text, new.data);
            alarm.count = alarm.count.saturating_add(1);
            alarm.last = now;
        });
        let recipients = self.store().recipients(alarm.id).await?;
        let most = most_of_person(alarm.raiser);
        let (joined, _) = self.joining(&recipients, accounts, most).await?;
        let others = matches!(alarm.to, Target::Person(_)) && recipients.len() == 1;
        let mut plan = Plan::of(self, now, &alarm, others).await?;
        let mut told = Vec::new();
        if alarm.is_open() && (news == News::Raised || !alarm.was_told_lately(now)) {
            for recipient in &recipients {
                told.extend(self.store().account(recipient.account).await?);
            }
        }
        let listening = self.events().listening(&ids(told.iter().chain(&joined)));
        let again = told.iter().map(|account| (account, news));
        let first = joined.iter().map(|account| (account, News::Raised));
        for (account, news) in again.chain(first) {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.tell(self, &alarm, account, news, connections).await?;
        }
        let tells = !told.is_empty();
        if tells {
            alarm.told = now;
        }
        alarm.escalates = [alarm.escalates, plan.escalates]
            .into_iter()
            .flatten()
            .min();
        let (recipients, deliveries) = (recipients.len() + joined.len(), plan.deliveries.len());
        let changes = [
            AlarmChange::Update(alarm.clone()),
            put_recipients(&alarm, &joined),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        let changes = match tells {
            true => with_events(changes, &alarm, "repeated", recipients)?,
            false => as_changes(changes),
        };
        Ok(Raised {
            alarm,
            recipients,
            deliveries,
            changes,
        })
    }

    async fn raise_anew(
        &self,
        caller: &Caller,
        accounts: Vec<Account>,
        new: NewAlarm,
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
            told: now,
            count: 1,
            state: AlarmState::Open,
            acknowledged: None,
            ended: None,
            escalates: None,
            revision: 1,
        };
        let mut room = self.make_room(raiser).await?;
        let (accounts, more) = self.joining(&[], accounts, most_of_person(raiser)).await?;
        room.extend(more);
        if accounts.is_empty() {
            return Err(match alarm.to {
                Target::Person(_) => no_room("the person has as many alarms as there may be"),
                Target::Admins => no_room("no admin can get another alarm"),
            });
        }
        let others = matches!(alarm.to, Target::Person(_));
        let mut plan = Plan::of(self, now, &alarm, others).await?;
        let listening = self.events().listening(&ids(&accounts));
        for account in &accounts {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.tell(self, &alarm, account, News::Raised, connections)
                .await?;
        }
        alarm.escalates = plan.escalates;
        let deliveries = plan.deliveries.len();
        let deletions = room
            .into_iter()
            .map(|(id, revision)| AlarmChange::Delete { id, revision });
        let raised = [
            AlarmChange::Insert(alarm.clone()),
            put_recipients(&alarm, &accounts),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        let changes = with_events(deletions.chain(raised), &alarm, "raised", accounts.len())?;
        Ok(Raised {
            alarm,
            recipients: accounts.len(),
            deliveries,
            changes,
        })
    }
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

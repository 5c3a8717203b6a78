//! The recipients of an alarm: those that are still to be notified, and admins that join.

use std::collections::BTreeSet;

use super::event::with_event;
use super::limits::max_alarms_of_person;
use super::plan::Plan;
use super::{ids, put_recipients};
use crate::accounts::Account;
use crate::alarms::{Alarm, MAX_RECIPIENTS, News, Recipient, Target};
use crate::engine::{Changes, Refusal, Site};
use crate::id::AccountId;
use crate::lockdown::LockdownTarget;
use crate::store::AlarmChange;
use crate::timestamp::Timestamp;

impl Site {
    /// The recipients of an alarm that still may be some ([`Alarm::is_for`]), without former admins
    /// and admins that cannot log in.
    pub(crate) async fn recipients_now(&self, alarm: &Alarm) -> Result<Vec<Recipient>, Refusal> {
        let stored = self.store().recipients(alarm.id).await?;
        self.among_recipients_now(alarm, &stored).await
    }

    /// The target of the only alarms that an account may see of those that it is a recipient of;
    /// `None` for an active admin, who may see all of them.
    pub(crate) async fn only_own_alarms(
        &self,
        account: AccountId,
    ) -> Result<Option<Target>, Refusal> {
        let found = self.store().account(account).await?;
        let is_admin = found.is_some_and(|found| found.is_active_admin());
        Ok((!is_admin).then_some(Target::Person(account)))
    }

    pub(super) async fn among_recipients_now(
        &self,
        alarm: &Alarm,
        stored: &[Recipient],
    ) -> Result<Vec<Recipient>, Refusal> {
        let is_person = |one: &Recipient| alarm.to == Target::Person(one.account);
        if stored.iter().all(is_person) {
            return Ok(stored.to_vec());
        }
        let admins = self.admins().await?;
        let admins: BTreeSet<AccountId> = admins.iter().map(|admin| admin.id).collect();
        let current = stored.iter();
        let current = current.filter(|one| is_person(one) || admins.contains(&one.account));
        Ok(current.copied().collect())
    }

    /// The active admins without those in lockdown, at most [`MAX_RECIPIENTS`].
    pub(super) async fn admins(&self) -> Result<Vec<Account>, Refusal> {
        let limit = u32::try_from(MAX_RECIPIENTS).unwrap_or(u32::MAX);
        let lockdowns = self.lockdowns();
        let mut admins = self.store().active_admins(limit).await?;
        admins.retain(|admin| lockdowns.of(&LockdownTarget::Account(admin.id)).is_none());
        Ok(admins)
    }

    /// Returns the changes that make the admins recipients of an unacknowledged alarm.
    pub(in crate::engine) async fn escalate(
        &self,
        alarm: Alarm,
        now: Timestamp,
    ) -> Result<Changes, Refusal> {
        let joined = self.joining_admins(&alarm).await?;
        self.join(alarm, joined, now).await
    }

    /// Returns the changes that make admins recipients of an alarm that was raised before they were
    /// admins; no changes if there are none.
    pub(in crate::engine) async fn with_later_admins(
        &self,
        alarm: &Alarm,
        now: Timestamp,
    ) -> Result<Changes, Refusal> {
        let joined = self.joining_admins(alarm).await?;
        match joined.is_empty() {
            true => Ok(Changes::default()),
            false => self.join(alarm.clone(), joined, now).await,
        }
    }

    async fn joining_admins(&self, alarm: &Alarm) -> Result<Vec<Account>, Refusal> {
        let recipients = self.store().recipients(alarm.id).await?;
        let limit = max_alarms_of_person(alarm.raiser);
        let (joined, _) = self
            .joining(&recipients, self.admins().await?, limit)
            .await?;
        Ok(joined)
    }

    async fn join(
        &self,
        alarm: Alarm,
        joined: Vec<Account>,
        now: Timestamp,
    ) -> Result<Changes, Refusal> {
        let alarm = alarm.revised(|alarm| alarm.escalates = None);
        let mut plan = Plan::of(self, now, &alarm, false).await?;
        let listening = self.events().listening(&ids(&joined));
        for account in &joined {
            let connections = listening.get(&account.id).copied().unwrap_or(0);
            plan.notify(self, &alarm, account, News::Raised, connections)
                .await?;
        }
        let changes = [
            AlarmChange::Update(alarm.clone()),
            put_recipients(&alarm, &joined),
            AlarmChange::InsertDeliveries(plan.deliveries),
        ];
        with_event(changes, &alarm, "raised", ids(&joined))
    }
}

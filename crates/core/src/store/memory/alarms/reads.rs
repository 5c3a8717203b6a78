//! Reads of alarms and the outbox.

use std::collections::BTreeSet;
use std::ops::Bound;

use async_trait::async_trait;

use super::Place;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmKey, AlarmState, Delivery, DeliveryChannel, DeliveryState, Raiser, Recipient,
    Severity, Target,
};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::store::{
    AlarmCounts, AlarmSearch, Alarms, DeliverySearch, MAX_COUNTED_DELIVERIES, MemoryStore,
    OldestDelivery, OutboxState, StoreError, StoredPreferences,
};
use crate::timestamp::Timestamp;

#[async_trait]
impl Alarms for MemoryStore {
    async fn alarm(&self, id: AlarmId) -> Result<Option<Alarm>, StoreError> {
        self.read(|rows| rows.alarms.alarms.get(&id).cloned()).await
    }

    async fn current_alarm(
        &self,
        raiser: Raiser,
        to: Target,
        key: &AlarmKey,
    ) -> Result<Option<Alarm>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let id = rows.current.get(&(raiser, to, key.clone()))?;
            rows.alarms.get(id).cloned()
        })
        .await
    }

    async fn alarms(&self, search: &AlarmSearch) -> Result<Vec<Alarm>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let end = search.before.map_or(Bound::Unbounded, Bound::Excluded);
            let older = rows.alarms.range((Bound::Unbounded, end)).rev();
            let found = older.map(|(_, alarm)| alarm).filter(|alarm| {
                search.matches(alarm)
                    && search
                        .account
                        .is_none_or(|account| rows.recipients.get(&(alarm.id, account)).is_some())
            });
            found.take(search.limit as usize).cloned().collect()
        })
        .await
    }

    async fn recipients(&self, alarm: AlarmId) -> Result<Vec<Recipient>, StoreError> {
        self.read(|rows| rows.alarms.recipients_of(alarm).copied().collect())
            .await
    }

    async fn alarm_counts(&self, raiser: Option<Raiser>) -> Result<AlarmCounts, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let own = rows.current.range(..);
            let own = own.filter(|((of, ..), _)| Some(*of) == raiser);
            AlarmCounts {
                stored: rows.alarms.len() as u64,
                of_raiser: raiser.map_or(0, |_| own.count() as u64),
            }
        })
        .await
    }

    async fn recipients_at_limit(&self, alarms: u64) -> Result<Vec<AccountId>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let counts = rows.alarm_counts.range(..);
            let full = counts.filter(|(_, count)| **count >= alarms);
            let full = full.map(|(account, _)| *account);
            full.collect()
        })
        .await
    }

    async fn oldest_over(&self, account: Option<AccountId>) -> Result<Option<Alarm>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let mut all = rows.alarms.values().filter(|alarm| {
                alarm.state == AlarmState::Over
                    && account
                        .is_none_or(|account| rows.recipients.get(&(alarm.id, account)).is_some())
            });
            all.next().cloned()
        })
        .await
    }

    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<Alarm>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let due = rows.escalating.range(..);
            let due = due.take_while(|((at, _), ())| *at <= now);
            let due = due.filter_map(|((_, id), ())| rows.alarms.get(id));
            due.take(limit as usize).cloned().collect()
        })
        .await
    }

    async fn active_admins(&self, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.read(|rows| {
            let admins = rows.accounts.by_name();
            let admins = admins.filter(|account| account.is_active_admin());
            admins.take(limit as usize).cloned().collect()
        })
        .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            rows.deliveries.get(rows.places.get(&id)?).cloned()
        })
        .await
    }

    async fn deliveries(&self, search: &DeliverySearch) -> Result<Vec<Delivery>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let begin = search.after.map_or(Bound::Unbounded, Bound::Excluded);
            let behind = rows.places.range((begin, Bound::Unbounded));
            let found = behind.filter_map(|(_, place)| rows.deliveries.get(place));
            let found = found.filter(|one| search.state.is_none_or(|state| one.state == state));
            found.take(search.limit as usize).cloned().collect()
        })
        .await
    }

    async fn deliveries_of(
        &self,
        alarm: AlarmId,
        account: Option<AccountId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(|rows| {
            let places = rows.alarms.places_of(alarm, account);
            let found = places
                .iter()
                .filter_map(|place| rows.alarms.deliveries.get(place));
            found.cloned().collect()
        })
        .await
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(|rows| {
            let heads = rows.alarms.heads().into_iter();
            let due = heads.filter(|head| head.due <= now && !head.is_leased(now));
            due.take(limit as usize).cloned().collect()
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let escalations = rows.escalating.range(..).map(|((at, _), ())| *at).take(1);
            let heads = rows.heads().into_iter().map(|head| head.due);
            heads.chain(escalations).min()
        })
        .await
    }

    async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        self.read(|rows| {
            let most = MAX_COUNTED_DELIVERIES as usize;
            let of = |state| {
                let all = rows.alarms.deliveries.range(..);
                let all = all.map(|(_, one)| one);
                all.filter(move |one| one.state == state).take(most)
            };
            OutboxState {
                waiting: of(DeliveryState::Waiting).count() as u64,
                dead: of(DeliveryState::Dead).count() as u64,
                oldest: of(DeliveryState::Waiting)
                    .min_by_key(|one| one.since)
                    .map(|one| OldestDelivery {
                        since: one.since,
                        attempts: one.attempts,
                        last_error: one.last_error.clone(),
                    }),
            }
        })
        .await
    }

    async fn waiting_deliveries(
        &self,
        account: AccountId,
        channel: DeliveryChannel,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let queues = rows.waiting.range(
                (account, channel, Severity::Info, 0)..(account, channel, Severity::Critical, 0),
            );
            let mut places: Vec<Place> = queues.map(|((.., place), ())| *place).collect();
            places.sort_unstable();
            places.truncate(limit as usize);
            let found = places.iter().filter_map(|place| rows.deliveries.get(place));
            found.cloned().collect()
        })
        .await
    }

    async fn leased_deliveries(&self, message: DeliveryId) -> Result<Vec<Delivery>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let first = rows.places.get(&message);
            let first = first.and_then(|place| rows.deliveries.get(place));
            let Some(first) = first else {
                return Vec::new();
            };
            let own = rows.to_account.range((first.account, 0)..);
            let own = own.take_while(|((account, _), ())| *account == first.account);
            let own = own.filter_map(|((_, place), ())| rows.deliveries.get(place));
            let leased = own.filter(|one| {
                one.state == DeliveryState::Waiting
                    && one.lease.is_some_and(|lease| lease.message == message)
            });
            leased.cloned().collect()
        })
        .await
    }

    async fn recent_messages(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DeliveryChannel, Timestamp)>, StoreError> {
        self.read(|rows| {
            let rows = &rows.alarms;
            let own = rows.to_account.range((account, 0)..);
            let own = own.take_while(|((to, _), ())| *to == account);
            let own = own.filter_map(|((_, place), ())| rows.deliveries.get(place));
            let messages = own.filter_map(|one| {
                let counts = one.severity != Severity::Critical
                    && (one.state == DeliveryState::Sent || one.is_leased(now));
                let at = one.attempted.filter(|at| counts && since < *at)?;
                Some((at, one.lease?.message, one.channel))
            });
            let messages: BTreeSet<_> = messages.collect();
            let newest = messages.into_iter().rev().take(limit as usize);
            newest.map(|(at, _, channel)| (channel, at)).collect()
        })
        .await
    }

    async fn preferences(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredPreferences>, StoreError> {
        self.read(|rows| rows.alarms.preferences.get(&account).cloned())
            .await
    }
}

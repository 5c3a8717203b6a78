//! Alarms, their recipients, the outbox and preferences.

mod reads;

use super::rows::Rows;
use crate::alarms::{
    About, Alarm, AlarmKey, AlarmState, Delivery, DeliveryChannel, DeliveryState, MAX_ALARMS,
    MAX_ALARMS_OF_PERSON, Raiser, Recipient, Severity, Target,
};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::store::{AlarmChange, StoreError, StoredPreferences, Thing, Unique};
use crate::timestamp::Timestamp;

const STALE: StoreError = StoreError::Stale { what: Thing::Alarm };
const NOT_FOUND: StoreError = StoreError::NotFound { what: Thing::Alarm };
const NO_ACCOUNT: StoreError = StoreError::NotFound {
    what: Thing::Account,
};
const LIMIT_REACHED: StoreError = StoreError::Conflict {
    what: Unique::AlarmRoom,
};

/// The position of a delivery in the order of writing.
type Place = u64;
type DeliveryKey = (AlarmId, AccountId, DeliveryChannel, About);
type Queue = (AccountId, DeliveryChannel, Severity, Place);

#[derive(Debug, Default)]
pub(super) struct AlarmRows {
    alarms: Rows<AlarmId, Alarm>,
    /// Alarms that are not over.
    current: Rows<(Raiser, Target, AlarmKey), AlarmId>,
    /// Open alarms with a planned escalation, by its time.
    escalating: Rows<(Timestamp, AlarmId), ()>,
    recipients: Rows<(AlarmId, AccountId), Recipient>,
    of_account: Rows<(AccountId, AlarmId), ()>,
    /// The number of alarms of each recipient.
    alarm_counts: Rows<AccountId, u64>,
    deliveries: Rows<Place, Delivery>,
    places: Rows<DeliveryId, Place>,
    by_key: Rows<DeliveryKey, Place>,
    to_account: Rows<(AccountId, Place), ()>,
    waiting: Rows<Queue, ()>,
    preferences: Rows<AccountId, StoredPreferences>,
    written: Place,
}

impl AlarmRows {
    /// `is_account` returns whether an account with that id exists.
    pub(super) fn apply(
        &mut self,
        change: &AlarmChange,
        is_account: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        match change {
            AlarmChange::Insert(alarm) => self.insert(alarm),
            AlarmChange::Update(alarm) => self.update(alarm),
            AlarmChange::Delete { id, revision } => self.delete(*id, *revision),
            AlarmChange::PutRecipients { alarm, recipients } => {
                let mut recipients = recipients.iter();
                recipients.try_for_each(|one| self.put_recipient(*alarm, *one, &is_account))
            }
            AlarmChange::InsertDeliveries(deliveries) => {
                let mut deliveries = deliveries.iter();
                deliveries.try_for_each(|one| self.insert_delivery(one, &is_account))
            }
            AlarmChange::UpdateDeliveries(deliveries) => {
                let mut deliveries = deliveries.iter();
                deliveries.try_for_each(|one| self.update_delivery(one))
            }
            AlarmChange::CancelDeliveries(alarm) => {
                self.cancel(*alarm);
                Ok(())
            }
            AlarmChange::PutPreferences { account, stored } => {
                self.put_preferences(*account, stored, &is_account)
            }
        }
    }

    fn insert(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        if self.alarms.len() as u64 >= MAX_ALARMS {
            return Err(LIMIT_REACHED);
        }
        self.put(alarm)
    }

    fn update(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        let before = self.alarms.get(&alarm.id).ok_or(NOT_FOUND)?;
        if before.revision.checked_add(1) != Some(alarm.revision) {
            return Err(STALE);
        }
        let before = before.clone();
        self.remove_from_indexes(&before);
        self.put(alarm)
    }

    fn put(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        if alarm.state != AlarmState::Over {
            if self.current.get(&identity(alarm)).is_some() {
                let what = Unique::Alarm;
                return Err(StoreError::Conflict { what });
            }
            self.current.put(identity(alarm), alarm.id);
        }
        if let Some(escalates) = escalation(alarm) {
            self.escalating.put((escalates, alarm.id), ());
        }
        self.alarms.put(alarm.id, alarm.clone());
        Ok(())
    }

    fn delete(&mut self, id: AlarmId, revision: u64) -> Result<(), StoreError> {
        let alarm = self.alarms.get(&id).ok_or(NOT_FOUND)?;
        if alarm.revision != revision {
            return Err(STALE);
        }
        self.remove(id);
        Ok(())
    }

    fn remove(&mut self, id: AlarmId) {
        let Some(alarm) = self.alarms.get(&id).cloned() else {
            return;
        };
        self.remove_from_indexes(&alarm);
        self.alarms.remove(&id);
        for account in self.accounts_of(id) {
            self.remove_recipient(id, account);
        }
        for place in self.places_of(id, None) {
            self.remove_delivery(place);
        }
    }

    /// Removes an alarm from the indexes.
    fn remove_from_indexes(&mut self, alarm: &Alarm) {
        let identity = identity(alarm);
        if self.current.get(&identity) == Some(&alarm.id) {
            self.current.remove(&identity);
        }
        if let Some(escalates) = escalation(alarm) {
            self.escalating.remove(&(escalates, alarm.id));
        }
    }

    fn put_recipient(
        &mut self,
        alarm: AlarmId,
        recipient: Recipient,
        is_account: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        let account = recipient.account;
        self.alarms.get(&alarm).ok_or(NOT_FOUND)?;
        is_account(account).then_some(()).ok_or(NO_ACCOUNT)?;
        let is_new = self.recipients.get(&(alarm, account)).is_none();
        if is_new && self.alarm_count(account) >= MAX_ALARMS_OF_PERSON {
            return Err(LIMIT_REACHED);
        }
        self.recipients.put((alarm, account), recipient);
        self.of_account.put((account, alarm), ());
        if is_new {
            let alarm_count = self.alarm_count(account).saturating_add(1);
            self.alarm_counts.put(account, alarm_count);
        }
        Ok(())
    }

    fn remove_recipient(&mut self, alarm: AlarmId, account: AccountId) {
        self.recipients.remove(&(alarm, account));
        self.of_account.remove(&(account, alarm));
        match self.alarm_count(account) {
            0 | 1 => self.alarm_counts.remove(&account),
            alarm_count => self.alarm_counts.put(account, alarm_count - 1),
        }
    }

    fn insert_delivery(
        &mut self,
        delivery: &Delivery,
        is_account: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        let Delivery { alarm, account, .. } = *delivery;
        self.alarms.get(&alarm).ok_or(NOT_FOUND)?;
        is_account(account).then_some(()).ok_or(NO_ACCOUNT)?;
        let before = self.by_key.get(&delivery_key(delivery)).copied();
        if let Some(before) = before {
            self.remove_delivery(before);
        }
        self.written = self.written.saturating_add(1);
        let place = self.written;
        self.places.put(delivery.id, place);
        self.by_key.put(delivery_key(delivery), place);
        self.to_account.put((account, place), ());
        self.put_delivery(place, delivery);
        Ok(())
    }

    fn update_delivery(&mut self, delivery: &Delivery) -> Result<(), StoreError> {
        let what = Thing::Delivery;
        let place = self.places.get(&delivery.id).copied();
        let before = place.and_then(|place| self.deliveries.get(&place));
        let before = before.ok_or(StoreError::NotFound { what })?;
        if before.revision.checked_add(1) != Some(delivery.revision) {
            return Err(StoreError::Stale { what });
        }
        if let Some(place) = place {
            self.put_delivery(place, delivery);
        }
        Ok(())
    }

    fn put_delivery(&mut self, place: Place, delivery: &Delivery) {
        if delivery.state == DeliveryState::Waiting {
            self.waiting.put(queue(delivery, place), ());
        } else {
            self.waiting.remove(&queue(delivery, place));
        }
        self.deliveries.put(place, delivery.clone());
    }

    fn remove_delivery(&mut self, place: Place) {
        let Some(delivery) = self.deliveries.get(&place).cloned() else {
            return;
        };
        self.deliveries.remove(&place);
        self.places.remove(&delivery.id);
        self.by_key.remove(&delivery_key(&delivery));
        self.to_account.remove(&(delivery.account, place));
        self.waiting.remove(&queue(&delivery, place));
    }

    fn cancel(&mut self, alarm: AlarmId) {
        for place in self.places_of(alarm, None) {
            let waiting = self.deliveries.get(&place).cloned();
            let waiting = waiting.filter(|one| one.state == DeliveryState::Waiting);
            if let Some(delivery) = waiting {
                let cancelled = delivery.revised(|one| one.state = DeliveryState::Cancelled);
                self.put_delivery(place, &cancelled);
            }
        }
    }

    fn put_preferences(
        &mut self,
        account: AccountId,
        stored: &StoredPreferences,
        is_account: impl Fn(AccountId) -> bool,
    ) -> Result<(), StoreError> {
        is_account(account).then_some(()).ok_or(NO_ACCOUNT)?;
        let before = self.preferences.get(&account);
        let before = before.map_or(0, |before| before.revision);
        if before.checked_add(1) != Some(stored.revision) {
            let what = Thing::Preferences;
            return Err(StoreError::Stale { what });
        }
        self.preferences.put(account, stored.clone());
        Ok(())
    }

    /// Deletes the preferences, deliveries and recipients of an account, and alarms without other
    /// recipients.
    pub(super) fn delete_account(&mut self, account: AccountId) {
        self.preferences.remove(&account);
        let own = self.to_account.range((account, 0)..);
        let own = own.map(|(key, ())| *key);
        let places: Vec<_> = own.take_while(|(of, _)| *of == account).collect();
        for (_, place) in places {
            self.remove_delivery(place);
        }
        for alarm in self.alarms_of(account) {
            self.remove_recipient(alarm, account);
            if self.accounts_of(alarm).is_empty() {
                self.remove(alarm);
            }
        }
    }

    fn alarms_of(&self, account: AccountId) -> Vec<AlarmId> {
        let first = (account, AlarmId::from_bytes([0; 16]));
        let own = self.of_account.range(first..).map(|(key, ())| *key);
        let own = own.take_while(|(of, _)| *of == account);
        own.map(|(_, alarm)| alarm).collect()
    }

    fn accounts_of(&self, alarm: AlarmId) -> Vec<AccountId> {
        self.recipients_of(alarm).map(|one| one.account).collect()
    }

    fn recipients_of(&self, alarm: AlarmId) -> impl Iterator<Item = &Recipient> {
        let first = (alarm, AccountId::from_bytes([0; 16]));
        let rows = self.recipients.range(first..);
        rows.take_while(move |((of, _), _)| *of == alarm)
            .map(|(_, one)| one)
    }

    fn places_of(&self, alarm: AlarmId, account: Option<AccountId>) -> Vec<Place> {
        let nil = AccountId::from_bytes([0; 16]);
        let first = (
            alarm,
            account.unwrap_or(nil),
            DeliveryChannel::Email,
            About::Raised,
        );
        let rows = self.by_key.range(first..);
        let rows = rows.take_while(|((of, to, ..), _)| {
            *of == alarm && account.is_none_or(|account| *to == account)
        });
        let mut places: Vec<_> = rows.map(|(_, place)| *place).collect();
        places.sort_unstable();
        places
    }

    fn alarm_count(&self, account: AccountId) -> u64 {
        self.alarm_counts.get(&account).copied().unwrap_or(0)
    }

    /// The first waiting delivery of each queue, ordered by due time.
    fn heads(&self) -> Vec<&Delivery> {
        let mut heads = Vec::new();
        let mut next = self.waiting.range(..).next();
        while let Some(((account, channel, severity, place), ())) = next {
            let head = self.deliveries.get(place);
            heads.extend(head.map(|head| (head.due, *place, head)));
            let end = (*account, *channel, *severity, Place::MAX);
            next = self.waiting.range(end..).next();
        }
        heads.sort_unstable_by_key(|(due, place, _)| (*due, *place));
        heads.into_iter().map(|(.., head)| head).collect()
    }

    pub(super) fn commit(&mut self) {
        self.alarms.commit();
        self.current.commit();
        self.escalating.commit();
        self.recipients.commit();
        self.of_account.commit();
        self.alarm_counts.commit();
        self.deliveries.commit();
        self.places.commit();
        self.by_key.commit();
        self.to_account.commit();
        self.waiting.commit();
        self.preferences.commit();
    }

    pub(super) fn roll_back(&mut self) {
        self.alarms.roll_back();
        self.current.roll_back();
        self.escalating.roll_back();
        self.recipients.roll_back();
        self.of_account.roll_back();
        self.alarm_counts.roll_back();
        self.deliveries.roll_back();
        self.places.roll_back();
        self.by_key.roll_back();
        self.to_account.roll_back();
        self.waiting.roll_back();
        self.preferences.roll_back();
    }
}

fn identity(alarm: &Alarm) -> (Raiser, Target, AlarmKey) {
    (alarm.raiser, alarm.to, alarm.key.clone())
}

const fn escalation(alarm: &Alarm) -> Option<Timestamp> {
    if alarm.is_open() {
        alarm.escalates
    } else {
        None
    }
}

const fn delivery_key(delivery: &Delivery) -> DeliveryKey {
    (
        delivery.alarm,
        delivery.account,
        delivery.channel,
        delivery.about,
    )
}

const fn queue(delivery: &Delivery, place: Place) -> Queue {
    (delivery.account, delivery.channel, delivery.severity, place)
}

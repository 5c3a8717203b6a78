//! Alarms, their recipients, the outbox and the preferences of people.

use async_trait::async_trait;

use super::StoreError;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmKey, AlarmState, Delivery, DeliveryChannel, DeliveryState,
    MAX_DELIVERY_ERROR_CHARS, OneLine, Preferences, Raiser, Recipient, Target,
};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::timestamp::Timestamp;

/// Reads alarms and the outbox.
#[async_trait]
pub trait Alarms: Send + Sync {
    /// The alarm with this id.
    async fn alarm(&self, id: AlarmId) -> Result<Option<Alarm>, StoreError>;

    /// The alarm with this raiser, target and key that is not over. A further one with the same
    /// values repeats it.
    async fn current_alarm(
        &self,
        raiser: Raiser,
        to: Target,
        key: &AlarmKey,
    ) -> Result<Option<Alarm>, StoreError>;

    /// Alarms, newest first.
    async fn alarms(&self, search: &AlarmSearch) -> Result<Vec<Alarm>, StoreError>;

    /// The recipients of an alarm, ordered by account id.
    async fn recipients(&self, alarm: AlarmId) -> Result<Vec<Recipient>, StoreError>;

    /// The number of stored alarms and, if `raiser` is given, of that raiser's alarms.
    async fn alarm_counts(&self, raiser: Option<Raiser>) -> Result<AlarmCounts, StoreError>;

    /// The accounts that are recipients of at least `alarms` alarms, ordered by account id.
    async fn recipients_at_limit(&self, alarms: u64) -> Result<Vec<AccountId>, StoreError>;

    /// The oldest alarm that is over. With `account`, only alarms with this recipient count.
    async fn oldest_over(&self, account: Option<AccountId>) -> Result<Option<Alarm>, StoreError>;

    /// Open alarms whose escalation is due at `now`, the most overdue first. One that cannot be read
    /// is left out.
    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<Alarm>, StoreError>;

    /// Active persons with the role admin, ordered by name.
    async fn active_admins(&self, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// The delivery with this id.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Deliveries, ordered by id.
    async fn deliveries(&self, search: &DeliverySearch) -> Result<Vec<Delivery>, StoreError>;

    /// The deliveries of an alarm, in the order in which they were written. With `account`, only
    /// those to it.
    async fn deliveries_of(
        &self,
        alarm: AlarmId,
        account: Option<AccountId>,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// The first waiting delivery of each account, channel and severity, if it is due at `now` and
    /// not leased. The most overdue first. One that cannot be read is left out.
    async fn due_deliveries(&self, now: Timestamp, limit: u32)
    -> Result<Vec<Delivery>, StoreError>;

    /// The earliest due time of an escalation or of the first waiting delivery of an account,
    /// channel and severity. It may be in the past.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Returns the state of the outbox, for operators.
    async fn outbox_state(&self) -> Result<OutboxState, StoreError>;

    /// Waiting deliveries to an account over a channel, without critical ones, in the order in
    /// which they were written.
    async fn waiting_deliveries(
        &self,
        account: AccountId,
        channel: DeliveryChannel,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// The waiting deliveries that share a lease, in the order in which they were written.
    async fn leased_deliveries(&self, message: DeliveryId) -> Result<Vec<Delivery>, StoreError>;

    /// Messages to an account after `since` that were sent or are leased at `now`, without critical
    /// ones. Newest first, at most `limit`.
    async fn recent_messages(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DeliveryChannel, Timestamp)>, StoreError>;

    /// The preferences of an account; `None` while it has the defaults.
    async fn preferences(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredPreferences>, StoreError>;
}

/// A search for alarms. An alarm must match all given fields.
#[derive(Debug, Clone, Default)]
pub struct AlarmSearch {
    /// Only alarms with this recipient.
    pub account: Option<AccountId>,
    /// Only alarms that were raised for this person or group.
    pub to: Option<Target>,
    /// Only those in this state.
    pub state: Option<AlarmState>,
    /// Only alarms of this raiser.
    pub raiser: Option<Raiser>,
    /// Only alarms with this key that are not over.
    pub current_key: Option<AlarmKey>,
    /// Only alarms that are older than this one.
    pub before: Option<AlarmId>,
    /// The limit on results.
    pub limit: u32,
}

impl AlarmSearch {
    /// Whether an alarm matches the fields other than `account`.
    #[must_use]
    pub fn matches(&self, alarm: &Alarm) -> bool {
        self.state.is_none_or(|state| alarm.state == state)
            && self.raiser.is_none_or(|raiser| alarm.raiser == raiser)
            && self.to.is_none_or(|to| alarm.to == to)
            && self
                .current_key
                .as_ref()
                .is_none_or(|key| alarm.key == *key && alarm.state != AlarmState::Over)
            && self.before.is_none_or(|before| alarm.id < before)
    }
}

/// A search for deliveries. A delivery must match all given fields.
#[derive(Debug, Clone, Default)]
pub struct DeliverySearch {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries with a greater id.
    pub after: Option<DeliveryId>,
    /// The limit on results.
    pub limit: u32,
}

/// The number of alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlarmCounts {
    /// All stored alarms, including alarms that are over.
    pub stored: u64,
    /// The raiser's alarms that are not over; 0 without a raiser.
    pub of_raiser: u64,
}

/// Deliveries that [`Alarms::outbox_state`] counts at most per state: an outbox may have millions.
pub const MAX_COUNTED_DELIVERIES: u32 = 1_000;

/// The state of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// The number of deliveries that wait, at most [`MAX_COUNTED_DELIVERIES`].
    pub waiting: u64,
    /// The number of deliveries that are dead, at most [`MAX_COUNTED_DELIVERIES`].
    pub dead: u64,
    /// The delivery that waits longest, of the oldest [`MAX_COUNTED_DELIVERIES`] that wait.
    pub oldest: Option<OldestDelivery>,
}

/// The delivery that waits longest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestDelivery {
    /// When its first attempt was due. It is in the future if all deliveries are held.
    pub since: Timestamp,
    /// The number of failed attempts.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<OneLine<MAX_DELIVERY_ERROR_CHARS>>,
}

/// Preferences with their revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPreferences {
    /// The preferences.
    pub preferences: Preferences,
    /// Starts at 1 and grows by one with each change.
    pub revision: u64,
}

/// A change of alarms, of the outbox or of preferences.
#[derive(Debug, Clone, PartialEq)]
pub enum AlarmChange {
    /// Inserts an alarm. [`StoreError::Conflict`] when another one with the same raiser, target and
    /// key is not over, or when the store is full.
    Insert(Alarm),
    /// Replaces an alarm. Its revision must be one more than the stored revision.
    Update(Alarm),
    /// Deletes an alarm with its recipients and deliveries.
    Delete {
        /// The alarm.
        id: AlarmId,
        /// The stored revision.
        revision: u64,
    },
    /// Inserts or replaces recipients of an alarm. [`StoreError::Conflict`] when a new recipient
    /// has reached its limit, [`StoreError::NotFound`] when the alarm or the account does not
    /// exist.
    PutRecipients {
        /// The alarm.
        alarm: AlarmId,
        /// The recipients.
        recipients: Vec<Recipient>,
    },
    /// Inserts deliveries after all existing ones. A delivery replaces an existing one with the
    /// same alarm, account, channel and `about`. [`StoreError::NotFound`] when the alarm or the
    /// account does not exist.
    InsertDeliveries(Vec<Delivery>),
    /// Replaces deliveries. Each revision must be one more than the stored revision.
    UpdateDeliveries(Vec<Delivery>),
    /// Cancels all waiting deliveries of an alarm, including leased ones.
    CancelDeliveries(AlarmId),
    /// Sets the preferences of an account. The revision must be one more than the stored revision,
    /// or 1 when none is stored.
    PutPreferences {
        /// The account.
        account: AccountId,
        /// The preferences and their revision.
        stored: StoredPreferences,
    },
}

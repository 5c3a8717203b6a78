//! Alarms, their recipients, the outbox, and how people want to be told.

use async_trait::async_trait;

use super::StoreError;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmKey, AlarmState, Delivery, DeliveryChannel, DeliveryState, Preferences, Raiser,
    Recipient, Target,
};
use crate::id::{AccountId, AlarmId, DeliveryId};
use crate::timestamp::Timestamp;

/// Reads alarms and the outbox.
#[async_trait]
pub trait Alarms: Send + Sync {
    /// The alarm of that id.
    async fn alarm(&self, id: AlarmId) -> Result<Option<Alarm>, StoreError>;

    /// The alarm that another one of this raiser, target and key repeats: it is not over.
    async fn current_alarm(
        &self,
        raiser: Raiser,
        to: Target,
        key: &AlarmKey,
    ) -> Result<Option<Alarm>, StoreError>;

    /// Alarms, newest first.
    async fn alarms(&self, search: &AlarmSearch) -> Result<Vec<Alarm>, StoreError>;

    /// The recipients of an alarm, by account id.
    async fn recipients(&self, alarm: AlarmId) -> Result<Vec<Recipient>, StoreError>;

    /// How much room alarms take, those of a raiser included if one is named.
    async fn alarm_counts(&self, raiser: Option<Raiser>) -> Result<AlarmCounts, StoreError>;

    /// The accounts that are recipients of so many alarms or more, by account id.
    async fn crowded_recipients(&self, alarms: u64) -> Result<Vec<AccountId>, StoreError>;

    /// The oldest alarm that is over; with an account, of those of which it is a recipient.
    async fn oldest_over(&self, account: Option<AccountId>) -> Result<Option<Alarm>, StoreError>;

    /// Open alarms whose admins are to be told at `now`, the most overdue first.
    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<Alarm>, StoreError>;

    /// The persons with the role admin who may log in, by name.
    async fn active_admins(&self, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// The delivery of that id.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Deliveries by id.
    async fn deliveries(&self, search: &DeliverySearch) -> Result<Vec<Delivery>, StoreError>;

    /// The deliveries of an alarm in the order in which they were written; with an account, those to it.
    async fn deliveries_of(
        &self,
        alarm: AlarmId,
        account: Option<AccountId>,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Deliveries that wait, are due at `now` and are not leased: the first one of each account, channel and severity,
    /// and none whose predecessors wait. The most overdue first.
    async fn due_deliveries(&self, now: Timestamp, limit: u32)
    -> Result<Vec<Delivery>, StoreError>;

    /// When an escalation, or the first delivery that waits of an account, channel and severity, is due next. It may be
    /// over.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The state of the outbox, for operators.
    async fn outbox_state(&self) -> Result<OutboxState, StoreError>;

    /// Deliveries to an account over a channel that wait and are not critical, in the order in which they were written.
    async fn waiting_deliveries(
        &self,
        account: AccountId,
        channel: DeliveryChannel,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// The deliveries that share a lease and still wait, in the order in which they were written.
    async fn leased_deliveries(&self, message: DeliveryId) -> Result<Vec<Delivery>, StoreError>;

    /// The messages that an account got after `since`, or that a worker has at `now`; critical ones left out. Newest
    /// first, at most `limit`.
    async fn recent_messages(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DeliveryChannel, Timestamp)>, StoreError>;

    /// How that account wants to be told; `None` while it has the defaults.
    async fn preferences(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredPreferences>, StoreError>;
}

/// Which alarms are wanted.
#[derive(Debug, Clone, Default)]
pub struct AlarmSearch {
    /// Those with this recipient.
    pub account: Option<AccountId>,
    /// Those in this state.
    pub state: Option<AlarmState>,
    /// Those of this raiser.
    pub raiser: Option<Raiser>,
    /// Those with this key that are not over.
    pub current_key: Option<AlarmKey>,
    /// Those that are older than this one.
    pub before: Option<AlarmId>,
    /// How many to read at most.
    pub limit: u32,
}

impl AlarmSearch {
    /// Whether an alarm is one of those that are wanted, apart from its recipients.
    #[must_use]
    pub fn matches(&self, alarm: &Alarm) -> bool {
        self.state.is_none_or(|state| alarm.state == state)
            && self.raiser.is_none_or(|raiser| alarm.raiser == raiser)
            && self
                .current_key
                .as_ref()
                .is_none_or(|key| alarm.key == *key && alarm.state != AlarmState::Over)
            && self.before.is_none_or(|before| alarm.id < before)
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default)]
pub struct DeliverySearch {
    /// Those in this state.
    pub state: Option<DeliveryState>,
    /// Those behind this one.
    pub after: Option<DeliveryId>,
    /// How many to read at most.
    pub limit: u32,
}

/// How much room alarms take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlarmCounts {
    /// All alarms that are stored, those that are over included.
    pub stored: u64,
    /// The alarms of the raiser that are not over; 0 when none is named.
    pub of_raiser: u64,
}

/// Deliveries that [`Alarms::outbox_state`] counts at most per state: an outbox may have millions.
pub const MAX_COUNTED_DELIVERIES: u32 = 1_000;

/// The state of the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// The number of deliveries that wait, at most [`MAX_COUNTED_DELIVERIES`].
    pub waiting: u64,
    /// The number of deliveries that are dead, at most [`MAX_COUNTED_DELIVERIES`].
    pub dead: u64,
    /// When the first attempt of a delivery that still waits was due, the earliest of the oldest
    /// [`MAX_COUNTED_DELIVERIES`]. It is in the future if all of them are held.
    pub oldest: Option<Timestamp>,
}

/// Preferences with their revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPreferences {
    /// The preferences.
    pub preferences: Preferences,
    /// 1 at first, one more with each change.
    pub revision: u64,
}

/// One change of alarms or of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub enum AlarmChange {
    /// A new alarm. [`StoreError::Conflict`] when one of the same raiser, target and key is not over, or when there is no
    /// room for it.
    Insert(Alarm),
    /// The alarm as it is from now on; its revision must be one more than the stored one's.
    Update(Alarm),
    /// Takes an alarm with its recipients and deliveries away.
    Delete {
        /// Which one.
        id: AlarmId,
        /// The revision that this was decided on.
        revision: u64,
    },
    /// Recipients of an alarm, new ones or as they are from now on. [`StoreError::Conflict`] when a new one has no room
    /// for a further alarm, [`StoreError::NotFound`] without the alarm or the account.
    PutRecipients {
        /// The alarm.
        alarm: AlarmId,
        /// The recipients.
        recipients: Vec<Recipient>,
    },
    /// New deliveries, behind all others. One to the same account, of the same alarm, over the same channel and about
    /// the same is replaced. [`StoreError::NotFound`] without the alarm or the account.
    InsertDeliveries(Vec<Delivery>),
    /// Deliveries as they are from now on; each revision must be one more than the stored one's.
    UpdateDeliveries(Vec<Delivery>),
    /// All deliveries of an alarm that wait are cancelled, those that a worker has included.
    CancelDeliveries(AlarmId),
    /// How an account wants to be told; the revision must be one more than the stored one's (1 for the first one).
    PutPreferences {
        /// The account.
        account: AccountId,
        /// The preferences and their revision.
        stored: StoredPreferences,
    },
}

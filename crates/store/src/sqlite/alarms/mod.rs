//! Alarms and the outbox. An alarm is stored as one document, a delivery as one row.

mod row;
mod write;

use async_trait::async_trait;
use countersign_core::accounts::Account;
use countersign_core::alarms::{
    Alarm, AlarmKey, AlarmState, Delivery, DeliveryChannel, DeliveryState, LEASE_S, Raiser,
    Recipient, Target,
};
use countersign_core::id::{AccountId, AlarmId, DeliveryId};
use countersign_core::store::{
    AlarmCounts, AlarmSearch, Alarms, DeliverySearch, MAX_COUNTED_DELIVERIES, OutboxState,
    StoreError, StoredPreferences,
};
use countersign_core::timestamp::Timestamp;

use super::SqliteStore;
use super::accounts::{account_columns, account_row};
use super::reads::{many, one, readable};
use super::row::signed;
use row::{delivery_columns, delivery_tables};

pub(super) use write::apply;

#[async_trait]
impl Alarms for SqliteStore {
    async fn alarm(&self, id: AlarmId) -> Result<Option<Alarm>, StoreError> {
        let query = sqlx::query("SELECT document FROM alarm WHERE id = ?");
        let query = query.bind(id.as_bytes().to_vec());
        one(&self.readers, query, row::alarm).await
    }

    async fn current_alarm(
        &self,
        raiser: Raiser,
        to: Target,
        key: &AlarmKey,
    ) -> Result<Option<Alarm>, StoreError> {
        let query = sqlx::query(
            "SELECT document FROM alarm \
             WHERE raiser = ? AND target = ? AND name = ? AND state <> 'over'",
        );
        let query = query
            .bind(raiser.to_string())
            .bind(to.to_string())
            .bind(key.as_str().to_owned());
        one(&self.readers, query, row::alarm).await
    }

    async fn alarms(&self, search: &AlarmSearch) -> Result<Vec<Alarm>, StoreError> {
        // This reads at most 10,000 rows, or 1,000 rows with an account.
        let text = match search.account {
            Some(_) => concat!(
                "SELECT alarm.document FROM account \
                 JOIN alarm_recipient ON alarm_recipient.account = account.key \
                 JOIN alarm ON alarm.key = alarm_recipient.alarm WHERE account.id = ?1",
                " AND (?2 IS NULL OR alarm.state = ?2) AND (?3 IS NULL OR alarm.raiser = ?3) \
                 AND (?4 IS NULL OR (alarm.name = ?4 AND alarm.state <> 'over')) \
                 AND (?5 IS NULL OR alarm.id < ?5) AND (?7 IS NULL OR alarm.target = ?7) ORDER BY alarm.id DESC LIMIT ?6"
            ),
            None => concat!(
                "SELECT alarm.document FROM alarm WHERE ?1 IS NULL",
                " AND (?2 IS NULL OR alarm.state = ?2) AND (?3 IS NULL OR alarm.raiser = ?3) \
                 AND (?4 IS NULL OR (alarm.name = ?4 AND alarm.state <> 'over')) \
                 AND (?5 IS NULL OR alarm.id < ?5) AND (?7 IS NULL OR alarm.target = ?7) ORDER BY alarm.id DESC LIMIT ?6"
            ),
        };
        let key = search.current_key.as_ref();
        let query = sqlx::query(text)
            .bind(search.account.map(|account| account.as_bytes().to_vec()))
            .bind(search.state.map(AlarmState::as_str))
            .bind(search.raiser.map(|raiser| raiser.to_string()))
            .bind(key.map(|key| key.as_str().to_owned()))
            .bind(search.before.map(|before| before.as_bytes().to_vec()))
            .bind(search.limit)
            .bind(search.to.map(|to| to.to_string()));
        many(&self.readers, query, row::alarm).await
    }

    async fn recipients(&self, alarm: AlarmId) -> Result<Vec<Recipient>, StoreError> {
        let query = sqlx::query(
            "SELECT account.id, alarm_recipient.acknowledged FROM alarm \
             JOIN alarm_recipient ON alarm_recipient.alarm = alarm.key \
             JOIN account ON account.key = alarm_recipient.account \
             WHERE alarm.id = ? ORDER BY account.id",
        );
        let query = query.bind(alarm.as_bytes().to_vec());
        many(&self.readers, query, row::recipient).await
    }

    async fn alarm_counts(&self, raiser: Option<Raiser>) -> Result<AlarmCounts, StoreError> {
        let query = sqlx::query(
            "SELECT (SELECT count(*) FROM alarm), \
             (SELECT count(*) FROM alarm WHERE raiser = ?1 AND state <> 'over')",
        );
        let query = query.bind(raiser.map(|raiser| raiser.to_string()));
        let counts = one(&self.readers, query, |columns| {
            Ok(AlarmCounts {
                stored: columns.number()?,
                of_raiser: columns.number()?,
            })
        });
        Ok(counts.await?.unwrap_or_default())
    }

    async fn recipients_at_limit(&self, alarms: u64) -> Result<Vec<AccountId>, StoreError> {
        let query = sqlx::query(
            "SELECT account.id FROM alarm_load JOIN account ON account.key = alarm_load.account \
             WHERE alarm_load.alarms >= ? ORDER BY account.id",
        );
        many(&self.readers, query.bind(signed(alarms)), |columns| {
            columns.bytes().map(AccountId::from_bytes)
        })
        .await
    }

    async fn oldest_over(&self, account: Option<AccountId>) -> Result<Option<Alarm>, StoreError> {
        let text = match account {
            Some(_) => {
                "SELECT alarm.document FROM account \
                 JOIN alarm_recipient ON alarm_recipient.account = account.key \
                 JOIN alarm ON alarm.key = alarm_recipient.alarm \
                 WHERE account.id = ?1 AND alarm.state = 'over' ORDER BY alarm.id LIMIT 1"
            }
            None => {
                "SELECT document FROM alarm WHERE state = 'over' AND ?1 IS NULL ORDER BY id LIMIT 1"
            }
        };
        let query = sqlx::query(text).bind(account.map(|account| account.as_bytes().to_vec()));
        one(&self.readers, query, row::alarm).await
    }

    async fn due_escalations(&self, now: Timestamp, limit: u32) -> Result<Vec<Alarm>, StoreError> {
        let query = sqlx::query(
            "SELECT document FROM alarm WHERE state = 'open' AND escalates IS NOT NULL \
             AND escalates <= ? ORDER BY escalates, id LIMIT ?",
        );
        let query = query.bind(now.millis()).bind(limit);
        readable(&self.readers, query, row::alarm).await
    }

    async fn active_admins(&self, limit: u32) -> Result<Vec<Account>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM account WHERE role = 'admin' AND kind = 'person' AND state = 'active' \
             ORDER BY name LIMIT ?"
        ));
        many(&self.readers, query.bind(limit), account_row).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!(),
            delivery_tables!(),
            "WHERE delivery.id = ?"
        ));
        let query = query.bind(id.as_bytes().to_vec());
        one(&self.readers, query, row::delivery).await
    }

    async fn deliveries(&self, search: &DeliverySearch) -> Result<Vec<Delivery>, StoreError> {
        let text = match search.state {
            Some(_) => concat!(
                "SELECT ",
                delivery_columns!(),
                delivery_tables!(),
                "WHERE delivery.state = ?1 AND (?2 IS NULL OR delivery.id > ?2) \
                 ORDER BY delivery.id LIMIT ?3"
            ),
            None => concat!(
                "SELECT ",
                delivery_columns!(),
                delivery_tables!(),
                "WHERE ?1 IS NULL AND (?2 IS NULL OR delivery.id > ?2) \
                 ORDER BY delivery.id LIMIT ?3"
            ),
        };
        let query = sqlx::query(text)
            .bind(search.state.map(DeliveryState::as_str))
            .bind(search.after.map(|after| after.as_bytes().to_vec()))
            .bind(search.limit);
        many(&self.readers, query, row::delivery).await
    }

    async fn deliveries_of(
        &self,
        alarm: AlarmId,
        account: Option<AccountId>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!(),
            delivery_tables!(),
            "WHERE alarm.id = ?1 AND (?2 IS NULL OR account.id = ?2) ORDER BY delivery.key"
        ));
        let query = query
            .bind(alarm.as_bytes().to_vec())
            .bind(account.map(|account| account.as_bytes().to_vec()));
        many(&self.readers, query, row::delivery).await
    }

    async fn due_deliveries(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!(),
            delivery_tables!(),
            "WHERE delivery.state = 'waiting' AND delivery.due <= ?1 AND (delivery.leased IS NULL \
             OR delivery.leased <= ?1 OR delivery.leased > ?2) \
             AND NOT EXISTS (SELECT 1 FROM delivery AS before WHERE before.state = 'waiting' \
             AND before.account = delivery.account AND before.channel = delivery.channel \
             AND before.severity = delivery.severity AND before.key < delivery.key) \
             ORDER BY delivery.due, delivery.key LIMIT ?3"
        ));
        let query = query
            .bind(now.millis())
            .bind(now.plus_seconds(LEASE_S).millis())
            .bind(limit);
        readable(&self.readers, query, row::delivery).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query(
            "SELECT min(at) FROM (SELECT * FROM (SELECT delivery.due AS at FROM delivery \
             WHERE delivery.state = 'waiting' \
             AND NOT EXISTS (SELECT 1 FROM delivery AS before WHERE before.state = 'waiting' \
             AND before.account = delivery.account AND before.channel = delivery.channel \
             AND before.severity = delivery.severity AND before.key < delivery.key) \
             ORDER BY delivery.due LIMIT 1) UNION ALL SELECT min(escalates) FROM alarm \
             WHERE state = 'open' AND escalates IS NOT NULL)",
        );
        let next = one(&self.readers, query, |columns| {
            columns.take::<Option<i64>>()
        });
        Ok(next.await?.flatten().map(Timestamp::from_millis))
    }

    async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        // `delivery_state` has these rows in the order of their ids, which ascend with time.
        let query = sqlx::query(
            "SELECT \
             (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = 'waiting' LIMIT ?1)), \
             (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE state = 'dead' LIMIT ?1)), \
             oldest.since, oldest.attempts, oldest.last_error FROM (SELECT 1) LEFT JOIN \
             (SELECT since, attempts, last_error FROM (SELECT id, since, attempts, last_error \
             FROM delivery WHERE state = 'waiting' ORDER BY id LIMIT ?1) \
             ORDER BY since, id LIMIT 1) AS oldest ON true",
        );
        let query = query.bind(MAX_COUNTED_DELIVERIES);
        let state = one(&self.readers, query, |columns| {
            Ok(OutboxState {
                waiting: columns.number()?,
                dead: columns.number()?,
                oldest: row::oldest(columns)?,
            })
        });
        Ok(state.await?.unwrap_or_default())
    }

    async fn waiting_deliveries(
        &self,
        account: AccountId,
        channel: DeliveryChannel,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!(),
            delivery_tables!(),
            "WHERE delivery.state = 'waiting' AND delivery.account = \
             (SELECT key FROM account WHERE id = ?1) AND delivery.channel = ?2 \
             AND delivery.severity < 2 ORDER BY delivery.key LIMIT ?3"
        ));
        let query = query
            .bind(account.as_bytes().to_vec())
            .bind(channel.as_str())
            .bind(limit);
        many(&self.readers, query, row::delivery).await
    }

    async fn leased_deliveries(&self, message: DeliveryId) -> Result<Vec<Delivery>, StoreError> {
        let query = sqlx::query(concat!(
            "SELECT ",
            delivery_columns!(),
            delivery_tables!(),
            "WHERE delivery.message = ? AND delivery.state = 'waiting' ORDER BY delivery.key"
        ));
        let query = query.bind(message.as_bytes().to_vec());
        many(&self.readers, query, row::delivery).await
    }

    async fn recent_messages(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(DeliveryChannel, Timestamp)>, StoreError> {
        let query = sqlx::query(
            "SELECT channel, attempted FROM delivery \
             WHERE account = (SELECT key FROM account WHERE id = ?1) AND attempted > ?2 \
             AND severity < 2 AND message IS NOT NULL \
             AND (state = 'sent' OR (state = 'waiting' AND leased > ?3 AND leased <= ?4)) \
             GROUP BY attempted, message, channel \
             ORDER BY attempted DESC, message DESC LIMIT ?5",
        );
        let query = query
            .bind(account.as_bytes().to_vec())
            .bind(since.millis())
            .bind(now.millis())
            .bind(now.plus_seconds(LEASE_S).millis())
            .bind(limit);
        many(&self.readers, query, row::message).await
    }

    async fn preferences(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredPreferences>, StoreError> {
        let query = sqlx::query(
            "SELECT alarm_preferences.revision, alarm_preferences.document FROM account \
             JOIN alarm_preferences ON alarm_preferences.account = account.key \
             WHERE account.id = ?",
        );
        let query = query.bind(account.as_bytes().to_vec());
        one(&self.readers, query, row::preferences).await
    }
}

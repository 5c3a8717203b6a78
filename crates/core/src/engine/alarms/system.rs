//! The alarms that the site raises itself.
//!
//! ```text
//! refusal ──▶ reported, in memory ──each second──▶ raised, unless it was written recently
//! check, each minute ──▶ the cause is there: raised once
//!                   └──▶ the cause is gone: over
//! ```
//!
//! A refusal writes nothing by itself, so that its time tells nothing and a client that repeats it costs
//! no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use serde_json::json;

use crate::access::Caller;
use crate::accounts::Account;
use crate::alarms::{
    Alarm, AlarmKey, AlarmState, DiskSpace, MAX_NAMED_APPLICATIONS, Raiser, SystemAlarm, Target,
};
use crate::audit::AuditDraft;
use crate::checks::MAX_BACKUP_AGE;
use crate::engine::{Changes, NewAlarm, Refusal, Site};
use crate::page::Page;
use crate::store::{AlarmSearch, Change, ChangeSet, Notice};
use crate::timestamp::Timestamp;

/// The most alarms that wait to be raised. Further ones are dropped: those that wait say enough.
const MAX_REPORTED: usize = 64;
/// The most actors of alarms with the same key that wait to be raised, so that an attacker with many
/// addresses leaves places for other alarms.
const MAX_REPORTED_ACTORS: usize = 4;
/// So many seconds before a previous key retires, its application has to use the new one.
const KEY_NOTICE: u32 = 6 * 60 * 60;
/// An alarm that is not over is written again after so many seconds at the earliest.
const REPEATED_AFTER: u32 = 60 * 60;
/// Refusals are over so many seconds after they were last written. As repetitions within
/// [`REPEATED_AFTER`] are not written, none recurred for at least an hour then.
const REFUSALS_OVER_AFTER: u32 = 2 * 60 * 60;
/// Alarms about a new site key and about the misuse of credentials are over so many seconds after
/// they were last written.
const MISUSE_OVER_AFTER: u32 = DAY;
/// The alarm about messages from peers is over so many seconds after it was last written.
const MESSAGE_OVER_AFTER: u32 = DAY;
/// The alarms that end by themselves, by the beginning of their keys.
const OVER_AFTER: [(&str, u32); 7] = [
    (SystemAlarm::NEW_SITE_KEY, MISUSE_OVER_AFTER),
    (SystemAlarm::REFUSALS, REFUSALS_OVER_AFTER),
    (SystemAlarm::SECOND_KEY, MISUSE_OVER_AFTER),
    (SystemAlarm::TWO_PLACES, MISUSE_OVER_AFTER),
    (SystemAlarm::REVOKED_DEVICE, MISUSE_OVER_AFTER),
    (SystemAlarm::CONTACT, MISUSE_OVER_AFTER),
    (SystemAlarm::MESSAGE, MESSAGE_OVER_AFTER),
];
/// Alarms and applications that are read at a time.
const PAGE: u32 = 100;
const DAY: u32 = 24 * 60 * 60;

/// Alarms that wait to be raised, by key and actor.
pub(in crate::engine) type Reported = BTreeMap<(AlarmKey, String), SystemAlarm>;

/// What the server observed of the machine and of its connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observed {
    /// The space for the database; `None` if it is unknown.
    pub disk: Option<DiskSpace>,
    /// The size of the database, in bytes; 0 if it is unknown.
    pub database: u64,
    /// How many files the process has open, and how many it may open; `None` if that is unknown.
    pub descriptors: Option<(usize, usize)>,
    /// How many connections of clients the site accepts: the configured limit, lowered to the files that the
    /// process may open. 0 if it is unknown.
    pub connections: usize,
    /// The idle time of connections, in milliseconds: a connection that is older and was lost is closed.
    /// 0 if silent connections are never closed.
    pub idle_timeout: u64,
}

impl Site {
    /// Stores what the server observed, for `site doctor`.
    pub fn observe(&self, observed: Observed) {
        let last = self.0.observed.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = observed;
    }

    /// What the server observed last; nothing if it has not observed anything.
    pub(crate) fn observed(&self) -> Observed {
        let last = self.0.observed.lock();
        *last.unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an alarm raised by the next [`Site::raise_reported`]. This does not wait and writes nothing.
    pub fn report(&self, alarm: SystemAlarm) {
        let mut reported = self
            .0
            .reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (key, actor) = (alarm.key(), alarm.actor());
        let of_key = reported.keys().filter(|(of, _)| *of == key).count();
        let has_place = reported.len() < MAX_REPORTED && of_key < MAX_REPORTED_ACTORS;
        let place = (key, actor);
        if has_place || reported.contains_key(&place) {
            reported.insert(place, alarm);
        }
    }

    /// Removes and returns the keys of the alarms that found no place since the last call: each recipient
    /// has too many alarms, or there is no recipient.
    #[must_use]
    pub fn take_unplaced(&self) -> BTreeSet<AlarmKey> {
        std::mem::take(&mut *self.unplaced())
    }

    /// There are as many as keys of alarms of the site at most, and the server takes them each minute.
    fn unplaced(&self) -> MutexGuard<'_, BTreeSet<AlarmKey>> {
        let unplaced = self.0.unplaced.lock();
        unplaced.unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises the alarms that were reported. Call this each second.
    ///
    /// # Errors
    /// `internal` when the store failed. Those that were not raised are raised by the next call.
    pub async fn raise_reported(&self, now: Timestamp) -> Result<(), Refusal> {
        let reported = {
            let mut reported = self
                .0
                .reported
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *reported)
        };
        let mut result = Ok(());
        for alarm in reported.into_values() {
            if let Err(refusal) = self.raise_system(&alarm, now).await {
                self.report(alarm);
                result = Err(refusal);
            }
        }
        result
    }

    /// Raises and ends the alarms whose causes last. Call this each minute.
    ///
    /// # Errors
    /// `internal` when the store failed in one of the checks; the others were done all the same. The
    /// next call checks everything again.
    pub async fn check_system(&self, observed: Observed, now: Timestamp) -> Result<(), Refusal> {
        let checks = [
            self.check_disk(observed.disk, now).await,
            self.check_backup(now).await,
            self.check_keys(now).await,
            self.check_lockdowns(now).await,
            self.end_quiet(now).await,
            self.report_two_places(observed.idle_timeout, now).await,
        ];
        checks.into_iter().collect()
    }

    async fn check_disk(&self, disk: Option<DiskSpace>, now: Timestamp) -> Result<(), Refusal> {
        let Some(disk) = disk else {
            return Ok(());
        };
        let before = self.system_alarm(SystemAlarm::DISK).await?.is_some();
        let low = disk.is_low(before).then_some(SystemAlarm::DiskLow {
            free: disk.free,
            total: disk.total,
        });
        self.set_cause(SystemAlarm::DISK, low, now).await
    }

    async fn check_backup(&self, now: Timestamp) -> Result<(), Refusal> {
        let overdue = self.overdue_backup(now).await?;
        self.set_cause(SystemAlarm::BACKUP, overdue, now).await
    }

    async fn check_keys(&self, now: Timestamp) -> Result<(), Refusal> {
        let retiring = self.retiring_keys(now).await?;
        self.set_cause(SystemAlarm::KEYS, retiring, now).await
    }

    /// The changes that tell a person that where the person's alarms go was changed. Commit them
    /// together with that change.
    pub(crate) async fn contact_changed(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Changes, Refusal> {
        let alarm = SystemAlarm::ContactChanged {
            account: account.id,
            person: account.name.to_string(),
            at: now,
        };
        let new = NewAlarm::of_site(Target::Person(account.id), &alarm);
        self.site_alarm(new, now).await
    }

    /// Raises an alarm for each of its recipients.
    pub(super) async fn raise_system(
        &self,
        alarm: &SystemAlarm,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut result = Ok(());
        for to in alarm.recipients() {
            let raised = self.raise_system_for(to, alarm, now).await;
            result = result.and(raised);
        }
        result
    }

    /// Raises an alarm, or repeats it, unless it was written within the last hour. An acknowledged alarm
    /// counts too: a client that repeats a refusal must not cause writes. Another actor opens the alarm
    /// again, unless its recipients were notified within the last hour.
    async fn raise_system_for(
        &self,
        to: Target,
        alarm: &SystemAlarm,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let key = alarm.key();
        let current = self.store().current_alarm(Raiser::Site, to, &key).await?;
        if current.is_some_and(|current| {
            let before = SystemAlarm::of(&current);
            let written = match before.is_some_and(|before| !before.has_actor_of(alarm)) {
                true => current.notified,
                false => current.last,
            };
            // A time in the future was written before the clock was set back.
            let is_recent = written <= now && now < written.plus_seconds(REPEATED_AFTER);
            is_recent && current.severity >= alarm.severity()
        }) {
            return Ok(());
        }
        let raised = match self.site_alarm(NewAlarm::of_site(to, alarm), now).await {
            Ok(raised) => raised.into_parts(),
            // The person was deleted: there is no recipient.
            Err(refusal) if refusal.is_not_found() => return Ok(()),
            Err(refusal) => return Err(refusal),
        };
        if raised.0.is_empty() {
            self.unplaced().insert(key);
            return Ok(());
        }
        let severity = alarm.severity().as_str();
        let details = json!({ "to": to, "severity": severity });
        self.commit_alarm("alarm.raise", raised, &key, &details, now)
            .await
    }

    /// Writes the changes of an alarm with an audit entry. Another change of the same alarm came first
    /// if they are stale, and the next check decides again.
    pub(super) async fn commit_alarm(
        &self,
        operation: &str,
        (changes, notices): (Vec<Change>, Vec<Notice>),
        key: &AlarmKey,
        details: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if changes.is_empty() {
            return Ok(());
        }
        let audit = AuditDraft {
            target: Some(key.as_str().to_owned()),
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), operation, now)
        };
        let set = ChangeSet {
            notices,
            ..ChangeSet::new(changes, audit)
        };
        match self.store().commit(set).await.map_err(Refusal::from) {
            Err(refusal) if !refusal.is_conflict() && !refusal.is_not_found() => Err(refusal),
            _ => Ok(()),
        }
    }

    pub(super) async fn system_alarm(&self, key: &str) -> Result<Option<Alarm>, Refusal> {
        let key = AlarmKey::cut(key);
        let current = self
            .store()
            .current_alarm(Raiser::Site, Target::Admins, &key);
        Ok(current.await?)
    }

    /// Raises the alarm with this key while its cause lasts, and ends it afterwards. An admin who is
    /// made later becomes a recipient.
    async fn set_cause(
        &self,
        key: &str,
        cause: Option<SystemAlarm>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        match (cause, self.system_alarm(key).await?) {
            (Some(cause), Some(current))
                if current.severity >= cause.severity()
                    && SystemAlarm::of(&current)
                        .is_none_or(|before| before.has_actor_of(&cause)) =>
            {
                let joined = self.with_later_admins(&current, now).await?.into_parts();
                self.commit_alarm("alarm.join", joined, &current.key, &json!({}), now)
                    .await
            }
            (Some(cause), _) => self.raise_system(&cause, now).await,
            (None, Some(current)) => self.end_system(current, now).await,
            (None, None) => Ok(()),
        }
    }

    async fn end_system(&self, alarm: Alarm, now: Timestamp) -> Result<(), Refusal> {
        let key = alarm.key.clone();
        let ended = self.end_alarm(alarm, now).await?.into_parts();
        self.commit_alarm("alarm.over", ended, &key, &json!({}), now)
            .await
    }

    async fn overdue_backup(&self, now: Timestamp) -> Result<Option<SystemAlarm>, Refusal> {
        let last = self.last_backup().await?;
        let since = match last {
            Some(last) => Some(last),
            // A site without a backup has the age of its first audit entry.
            None => {
                let page = Page {
                    after: None,
                    limit: 1,
                };
                let first = self.store().audit(&page).await?;
                first.first().map(|entry| entry.draft.time)
            }
        };
        let overdue = since.is_some_and(|since| now > since.plus_seconds(MAX_BACKUP_AGE * DAY));
        Ok(overdue.then_some(SystemAlarm::BackupOverdue { last }))
    }

    /// The applications whose previous key retires soon.
    async fn retiring_keys(&self, now: Timestamp) -> Result<Option<SystemAlarm>, Refusal> {
        let soon = now.plus_seconds(KEY_NOTICE);
        let mut page = Page {
            after: None,
            limit: PAGE,
        };
        let mut retiring: Vec<(Timestamp, String)> = Vec::new();
        loop {
            let listed = self.store().applications(&page).await?;
            let more = listed.len() == PAGE as usize;
            for application in listed {
                match application {
                    Ok(application) => {
                        page.after = Some(application.id.to_string());
                        let retires = application.keys.iter().filter_map(|key| key.retires);
                        let first = retires.filter(|at| now < *at && *at < soon).min();
                        retiring.extend(first.map(|at| (at, application.id.to_string())));
                    }
                    Err(damaged) => page.after = Some(damaged.id),
                }
            }
            if !more {
                break;
            }
        }
        retiring.sort_unstable();
        let more = retiring.len().saturating_sub(MAX_NAMED_APPLICATIONS);
        let named = retiring.iter().take(MAX_NAMED_APPLICATIONS);
        let applications = named.map(|(_, application)| application.clone()).collect();
        Ok(retiring
            .first()
            .map(|(retires, _)| SystemAlarm::KeysRetire {
                applications,
                retires: *retires,
                more,
            }))
    }

    /// Ends the alarms about refusals and misuse that did not recur.
    async fn end_quiet(&self, now: Timestamp) -> Result<(), Refusal> {
        let is_quiet = |alarm: &Alarm| {
            let key = alarm.key.as_str();
            let of = OVER_AFTER.iter().find(|(of, _)| key.starts_with(of));
            of.is_some_and(|(_, after)| now > alarm.last.plus_seconds(*after))
        };
        self.end_where(is_quiet, now).await
    }

    /// Ends the alarms of the site that are not over and that `is_over` selects.
    pub(super) async fn end_where(
        &self,
        is_over: impl Fn(&Alarm) -> bool + Send + Sync,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        for state in [AlarmState::Open, AlarmState::Acknowledged] {
            let mut search = AlarmSearch {
                state: Some(state),
                raiser: Some(Raiser::Site),
                limit: PAGE,
                ..AlarmSearch::default()
            };
            loop {
                let listed = self.store().alarms(&search).await?;
                search.before = listed.last().map(|alarm| alarm.id);
                let more = listed.len() == PAGE as usize;
                for alarm in listed.into_iter().filter(&is_over) {
                    self.end_system(alarm, now).await?;
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }
}

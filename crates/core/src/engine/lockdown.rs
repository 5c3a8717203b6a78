//! The lockdowns of a site: what they permit now, and the change that imposes or lifts one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_proto::site_identity::SiteId;
use futures_util::lock::{Mutex, MutexGuard};

use super::site::{LOCKDOWNS, put};
use super::{Refusal, Site};
use crate::access::Channel;
use crate::applications::Application;
use crate::id::AccountId;
use crate::lockdown::{Activity, LockdownTarget, Lockdowns, OperationKind};
use crate::sessions::{CloseReason, SessionInfo};
use crate::store::{Change, Setting, StoreError};

/// The setting without a value whose revision rises when an application gets another service.
const APP_SERVICES: &str = "app_services";

/// The turns of changes of lockdowns, so that none fails because others come first again and again.
///
/// Sessions change one at a time, and none while a change at the local admin socket is under way: a
/// stolen session cannot keep the operator from a lockdown. The operator waits for no session, whose
/// operation may be stopped half-way: at most the one commit that was under way comes first.
#[derive(Default)]
pub(super) struct LockdownTurns {
    sessions: Mutex<()>,
    local: AtomicUsize,
}

/// The turn of a change of lockdowns, which ends when it is dropped.
pub(crate) struct LockdownTurn<'a> {
    turns: &'a LockdownTurns,
    session: Option<MutexGuard<'a, ()>>,
}

impl LockdownTurn<'_> {
    /// Refuses a change over a session while one at the local admin socket is under way. Ask before
    /// each commit.
    pub(crate) fn expect(&self) -> Result<(), Refusal> {
        match self.session.is_some() && self.turns.local.load(Ordering::SeqCst) > 0 {
            true => Err(Refusal::busy(
                "the operator changes lockdowns at the local admin socket",
            )),
            false => Ok(()),
        }
    }
}

impl Drop for LockdownTurn<'_> {
    fn drop(&mut self) {
        if self.session.is_none() {
            self.turns.local.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Site {
    /// Waits for the turn of a change of lockdowns, which one at the local admin socket has at once.
    pub(crate) async fn lockdown_turn(&self, channel: Channel) -> LockdownTurn<'_> {
        let turns = &self.0.lockdown_turns;
        let session = match channel.is_local() {
            true => {
                turns.local.fetch_add(1, Ordering::SeqCst);
                None
            }
            false => Some(turns.sessions.lock().await),
        };
        LockdownTurn { turns, session }
    }

    /// Returns the lockdowns in force. They are available while the site is sealed too.
    #[must_use]
    pub fn lockdowns(&self) -> Arc<Lockdowns> {
        Arc::clone(&self.record().lockdowns)
    }

    /// Returns whether the site permits this activity now. It reads memory only: ask it before
    /// costly work.
    #[must_use]
    pub fn permits(&self, activity: Activity) -> bool {
        self.record().lockdowns.permits(activity)
    }

    /// Returns whether the site permits this activity to this account now.
    #[must_use]
    pub fn permits_account(&self, activity: Activity, account: AccountId) -> bool {
        let record = self.record();
        record.lockdowns.permits_account(activity, account)
    }

    /// Returns whether the site permits this activity now to the peer with this site id.
    #[must_use]
    pub fn permits_peer(&self, activity: Activity, peer: SiteId) -> bool {
        self.record().lockdowns.permits_peer(activity, peer)
    }

    /// Returns whether this application is not in lockdown.
    #[must_use]
    pub fn permits_application(&self, application: &Application) -> bool {
        self.record().lockdowns.permits_application(application)
    }

    /// Refuses an operation of this kind on this channel if a lockdown does.
    pub(super) fn expect_permitted(
        &self,
        activity: Activity,
        account: Option<AccountId>,
    ) -> Result<(), Refusal> {
        let lockdowns = self.lockdowns();
        match lockdowns.level().filter(|_| !lockdowns.permits(activity)) {
            Some(level) => Err(Refusal::lockdown(level)),
            None if account
                .is_some_and(|account| !lockdowns.permits_account(activity, account)) =>
            {
                Err(Refusal::account_lockdown())
            }
            None => Ok(()),
        }
    }

    /// Returns the change that fails once a lockdown was imposed or lifted since now.
    pub(crate) fn expect_lockdowns(&self) -> Change {
        Change::ExpectSetting {
            name: LOCKDOWNS,
            revision: self.record().lockdowns_revision,
        }
    }

    /// Returns the revision of the services of applications. Ask before you read applications.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) async fn app_services(&self) -> Result<u64, StoreError> {
        let setting = self.store().setting(APP_SERVICES).await?;
        Ok(setting.map_or(0, |setting| setting.revision))
    }

    /// Returns the change that fails once an application got another service since this revision.
    pub(crate) const fn expect_app_services(revision: u64) -> Change {
        Change::ExpectSetting {
            name: APP_SERVICES,
            revision,
        }
    }

    /// Returns the changes beside those of an application that gets another service: they fail once another
    /// one got one since this revision, or a lockdown was imposed or lifted since now.
    pub(crate) fn change_app_services(&self, revision: u64) -> Vec<Change> {
        let setting = Setting {
            value: b"null".to_vec(),
            revision: revision.saturating_add(1),
        };
        let name = APP_SERVICES;
        vec![
            self.expect_lockdowns(),
            Change::PutSetting { name, setting },
        ]
    }

    /// Returns the change that stores the lockdowns after `change`.
    pub(crate) fn change_lockdowns(
        &self,
        change: impl FnOnce(Lockdowns) -> Result<Lockdowns, Refusal>,
    ) -> Result<Change, Refusal> {
        let record = self.record();
        let lockdowns = change(Lockdowns::clone(&record.lockdowns))?;
        let revision = record.lockdowns_revision.saturating_add(1);
        Ok(put(LOCKDOWNS, &lockdowns, revision)?)
    }

    /// Returns the change that forgets the lockdowns of what is being deleted, if there are any: its
    /// id is never used again.
    pub(crate) fn forget_lockdowns(
        &self,
        is_deleted: impl Fn(&LockdownTarget) -> bool,
    ) -> Result<Option<Change>, Refusal> {
        let lockdowns = self.lockdowns();
        let deleted: Vec<&LockdownTarget> = lockdowns
            .targets()
            .keys()
            .filter(|target| is_deleted(target))
            .collect();
        if deleted.is_empty() {
            return Ok(None);
        }
        let forget = |lockdowns: Lockdowns| {
            let left = deleted
                .iter()
                .fold(lockdowns, |left, target| left.without(target));
            Ok(left)
        };
        self.change_lockdowns(forget).map(Some)
    }

    /// Ends the sessions and the connections with peers that the lockdowns refuse, after a change of
    /// them, and returns the number of sessions.
    pub(super) fn end_locked_down(&self, setting: &str) -> usize {
        if setting != LOCKDOWNS {
            return 0;
        }
        let lockdowns = self.lockdowns();
        // A connection on which nothing may be called may not continue.
        let called = Activity::Operation(OperationKind::Ordinary, Channel::Peer);
        self.end_peers(CloseReason::Lockdown, |peer| {
            !lockdowns.permits_peer(called, peer)
        });
        let called = Activity::Operation(OperationKind::Ordinary, Channel::Http);
        let events = self.events();
        events.end_streams(CloseReason::Lockdown, |grant| {
            !lockdowns.permits_account(called, grant.account)
        });
        // A session that may not be resumed may not continue either.
        let is_refused =
            |info: &SessionInfo| !lockdowns.permits_account(Activity::Resumption, info.account);
        self.sessions().cut_where(CloseReason::Lockdown, is_refused)
    }
}

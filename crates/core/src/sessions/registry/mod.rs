//! The registry of sessions, in memory, each with the hook that cuts its connection.
//!
//! ```text
//!  register --> Open --connection lost, idle--> Suspended --expired, cut--> Closed --> removed
//!                |  ^                               |                         ^
//!                |  '------------ resume -----------'                         |
//!                '--------------- cut, or its connection ends ----------------'
//! ```
//!
//! A session can outlive its connection: when the connection is lost, the session is suspended
//! until its client resumes it, its time for that ends, or it expires. The connections of a session
//! are numbered, so that the end of an earlier connection does not affect a later one.
//!
//! A session is registered before the account is read for the last time, and an account is changed
//! before its sessions are cut. In either order of the two, a locked account has no session left.

mod activity;
mod suspension;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_proto::session::EncryptionOption;

use super::{CloseReason, FreshProof, SessionInfo};
use crate::access::{Channel, Role, Scope};
use crate::id::{AccountId, SessionId};
use crate::timestamp::Timestamp;

pub(crate) use activity::Activity;
pub use suspension::{Suspension, SuspensionLimits};

/// Closes a session's connection. Called at most once, from any thread; must not block.
pub type CutHook = Box<dyn FnOnce(CloseReason) + Send>;

/// The connection on which a client resumes its session. The client has authenticated.
pub struct Resume {
    /// The number of the client's attempt to resume, which increases with each attempt.
    pub attempt: u64,
    /// The encryption option of the new connection.
    pub option: EncryptionOption,
    /// The client's address and port.
    pub peer: String,
    /// Closes the connection.
    pub cut: CutHook,
}

/// A session and its state.
struct Registered {
    info: SessionInfo,
    state: State,
    /// The number of the last attempt with which the session was resumed; 0 if it never was.
    attempt: u64,
    /// The fresh proof, once one was started.
    fresh: Option<Box<FreshProof>>,
    /// When the last line of a device came; when the session was opened, before the first one.
    active: Timestamp,
}

enum State {
    /// The session has a connection, which the hook closes.
    Open(CutHook),
    /// The connection was lost. The hook closes the session.
    Suspended(CutHook, Place),
    /// The session was cut. The entry stays until its connection has ended, and the session may do
    /// nothing.
    Closed(CloseReason),
}

/// The place of a suspended session.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Orders the suspended sessions of the account.
    number: u64,
    /// When the session ends unless its client has resumed it.
    until: Timestamp,
}

/// The open and suspended sessions.
#[derive(Default)]
pub struct SessionRegistry {
    all: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    /// Boxed, because the nodes of a map that grows at its end are half empty.
    live: BTreeMap<SessionId, Box<Registered>>,
    accounts: HashMap<AccountId, AccountSessions>,
    /// How many sessions are suspended.
    suspended: usize,
    /// How many suspensions there have been; numbers them.
    suspensions: u64,
}

/// The sessions of one account.
#[derive(Default)]
struct AccountSessions {
    /// Sorted, so that listing an account's sessions does not read those of others.
    ids: Vec<SessionId>,
    /// The suspended sessions by the number of their suspension.
    suspended: BTreeMap<u64, SessionId>,
}

impl SessionRegistry {
    /// Registers a session. Returns `false` if the account already has `max` sessions.
    pub(crate) fn register(&self, info: SessionInfo, cut: CutHook, max: usize) -> bool {
        let mut all = self.all();
        let own = all.accounts.entry(info.account).or_default();
        if own.ids.len() >= max {
            return false;
        }
        let place = own.ids.partition_point(|id| *id < info.id);
        own.ids.insert(place, info.id);
        let session = Registered {
            state: State::Open(cut),
            attempt: 0,
            fresh: None,
            active: info.opened,
            info,
        };
        all.live.insert(session.info.id, Box::new(session));
        true
    }

    /// Removes a session whose connection of this number ended, and returns the reason if it was
    /// cut. Returns `None` if the session moved to another connection.
    pub(crate) fn remove(
        &self,
        id: SessionId,
        connection: u32,
    ) -> Option<(SessionInfo, Option<CloseReason>)> {
        let mut all = self.all();
        all.of(id, connection)?;
        let session = *all.live.remove(&id)?;
        let account = session.info.account;
        let cut = match session.state {
            State::Open(_) => None,
            State::Suspended(_, place) => {
                all.no_longer_suspended(account, place);
                None
            }
            State::Closed(reason) => Some(reason),
        };
        if let Some(own) = all.accounts.get_mut(&account) {
            if let Ok(place) = own.ids.binary_search(&id) {
                own.ids.remove(place);
            }
            if own.ids.is_empty() {
                all.accounts.remove(&account);
            }
        }
        Some((session.info, cut))
    }

    /// Suspends a session whose connection of this number was lost, if the limits permit. `cut`
    /// becomes its hook.
    pub(crate) fn suspend(
        &self,
        id: SessionId,
        connection: u32,
        cut: CutHook,
        limits: SuspensionLimits,
    ) -> Suspension {
        let displaced = {
            let mut all = self.all();
            let session = all.of(id, connection).filter(|session| session.is_live());
            let Some(account) = session.map(|session| session.info.account) else {
                return Suspension::Over;
            };
            let suspended = all.accounts.get(&account);
            let suspended = suspended.map_or(0, |own| own.suspended.len());
            let displaces = suspended >= limits.per_account;
            if limits.per_account == 0 || !displaces && all.suspended >= limits.total {
                return Suspension::LimitReached;
            }
            let displaced = match displaces {
                true => all.make_room(account),
                false => None,
            };
            all.suspensions += 1;
            let place = Place {
                number: all.suspensions,
                until: limits.until,
            };
            if let Some(session) = all.live.get_mut(&id) {
                session.info.connected = false;
                session.state = State::Suspended(cut, place);
            }
            all.suspended += 1;
            let own = all.accounts.entry(account).or_default();
            own.suspended.insert(place.number, id);
            displaced
        };
        // Called without the lock, because a hook may use the registry.
        if let Some(cut) = displaced {
            cut(CloseReason::ConnectionLost);
        }
        Suspension::Suspended
    }

    /// Moves a session to a new connection, unless its client has resumed it with a later attempt.
    /// Returns the hook of the previous connection if that still exists.
    pub(crate) fn resume(
        &self,
        id: SessionId,
        resume: Resume,
        now: Timestamp,
    ) -> Option<(SessionInfo, Option<CutHook>)> {
        let mut all = self.all();
        let session = all.live.get_mut(&id).filter(|session| session.is_live())?;
        if session.is_over(now) || resume.attempt <= session.attempt {
            return None;
        }
        session.info.connection = session.info.connection.checked_add(1)?;
        session.info.connected = true;
        session.info.option = Some(resume.option);
        session.info.peer = resume.peer;
        session.attempt = resume.attempt;
        if let Some(fresh) = &mut session.fresh {
            fresh.resumed();
        }
        let info = session.info.clone();
        match std::mem::replace(&mut session.state, State::Open(resume.cut)) {
            State::Open(hook) => Some((info, Some(hook))),
            State::Suspended(_, place) => {
                all.no_longer_suspended(info.account, place);
                Some((info, None))
            }
            State::Closed(_) => None,
        }
    }

    /// Extends a session from its connection of this number. Returns whether it is still open
    /// there.
    pub(crate) fn renew(&self, id: SessionId, connection: u32, expires: Timestamp) -> bool {
        let mut all = self.all();
        let session = all.of(id, connection).filter(|session| session.is_live());
        session
            .map(|session| session.info.expires = expires)
            .is_some()
    }

    /// Changes the encryption option of a session from its connection of this number. Returns
    /// whether the session is still there.
    pub(crate) fn switched(
        &self,
        id: SessionId,
        connection: u32,
        option: EncryptionOption,
    ) -> bool {
        let mut all = self.all();
        let session = all.of(id, connection);
        session
            .map(|session| session.info.option = Some(option))
            .is_some()
    }

    /// Returns the suspended sessions that have expired, or that were suspended for too long.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<SessionInfo> {
        let all = self.all();
        let own = all.accounts.values();
        own.flat_map(|own| own.suspended.values())
            .filter_map(|id| all.live.get(id))
            .filter(|session| session.is_over(now))
            .map(|session| session.info.clone())
            .collect()
    }

    /// Returns how many sessions are suspended.
    #[must_use]
    pub fn suspended(&self) -> usize {
        self.all().suspended
    }

    /// Reads or changes the fresh proof of an open session. `change` runs under the lock, so it
    /// must be quick.
    pub(crate) fn fresh_proof<T>(
        &self,
        id: SessionId,
        change: impl FnOnce(&mut FreshProof) -> T,
    ) -> Option<T> {
        let mut all = self.all();
        let session = all.live.get_mut(&id).filter(|session| session.is_live())?;
        Some(change(session.fresh.get_or_insert_default()))
    }

    /// Returns the open session with this id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<SessionInfo> {
        let all = self.all();
        all.live
            .get(&id)
            .filter(|session| session.is_live())
            .map(|session| session.info.clone())
    }

    /// Returns the role of the session's account if the session is open at `now`.
    #[must_use]
    pub fn role(&self, id: SessionId, now: Timestamp) -> Option<Role> {
        let all = self.all();
        let session = all.live.get(&id)?;
        (session.is_live() && now < session.info.expires).then_some(session.info.role)
    }

    /// Returns up to `limit` sessions within `scope` after `after` that `wanted` selects, oldest
    /// first. With [`Scope::Own`] only the account's own sessions are read, so that a client that
    /// lists them in a loop holds the lock for a short time only.
    #[must_use]
    pub fn list(
        &self,
        scope: Scope,
        after: Option<SessionId>,
        limit: usize,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> Vec<SessionInfo> {
        use std::ops::Bound::{Excluded, Unbounded};
        let all = self.all();
        let picked = |session: &&Registered| session.is_live() && wanted(&session.info);
        let info = |session: &Registered| session.info.clone();
        match scope {
            Scope::All => {
                let later = (after.map_or(Unbounded, Excluded), Unbounded);
                let found = all.live.range(later).map(|(_, session)| session.as_ref());
                found.filter(picked).take(limit).map(info).collect()
            }
            Scope::Own(account) => {
                let own = all.accounts.get(&account).map(|own| own.ids.as_slice());
                let own = own.unwrap_or_default();
                let first = after.map_or(0, |after| own.partition_point(|id| *id <= after));
                let later = own.iter().skip(first);
                let found = later.filter_map(|id| all.live.get(id).map(Box::as_ref));
                found.filter(picked).take(limit).map(info).collect()
            }
        }
    }

    /// Returns how many sessions there are, including those that were cut and have not ended yet.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().live.len()
    }

    /// Returns how many sessions have a connection on this channel.
    #[must_use]
    pub(crate) fn open_on(&self, channel: Channel) -> usize {
        let all = self.all();
        let sessions = all.live.values();
        let open = sessions.filter(|session| matches!(session.state, State::Open(_)));
        open.filter(|session| session.info.proof.channel() == channel)
            .count()
    }

    /// Cuts a session. Returns whether it was open.
    pub(crate) fn cut(&self, id: SessionId, reason: CloseReason) -> bool {
        let hook = self.all().close(id, reason);
        match hook {
            Some(cut) => {
                cut(reason);
                true
            }
            None => false,
        }
    }

    /// Cuts the sessions of an account that `wanted` selects, and returns how many were open. Does
    /// not read sessions of other accounts.
    pub(crate) fn cut_account(
        &self,
        account: AccountId,
        reason: CloseReason,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.cut_all(reason, |all| {
            let own = all.accounts.get(&account);
            let own = own.map_or(&[][..], |own| own.ids.as_slice());
            let own = own.iter().filter_map(|id| all.live.get_key_value(id));
            let picked = own.filter(|(_, session)| session.is_live() && wanted(&session.info));
            picked.map(|(id, _)| *id).collect()
        })
    }

    /// Cuts the sessions that `wanted` selects, and returns how many were open.
    pub(crate) fn cut_where(
        &self,
        reason: CloseReason,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.cut_all(reason, |all| {
            let picked = all.live.iter();
            let picked = picked.filter(|(_, session)| session.is_live() && wanted(&session.info));
            picked.map(|(id, _)| *id).collect()
        })
    }

    fn cut_all(
        &self,
        reason: CloseReason,
        pick: impl FnOnce(&Sessions) -> Vec<SessionId>,
    ) -> usize {
        // Closed under the lock but cut without it, because a hook may use the registry.
        let hooks: Vec<CutHook> = {
            let mut all = self.all();
            let picked = pick(&all).into_iter();
            picked.filter_map(|id| all.close(id, reason)).collect()
        };
        let count = hooks.len();
        let mut panicked = None;
        for cut in hooks {
            // After a panic of one hook the remaining sessions are cut too.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| cut(reason))) {
                panicked = Some(panic);
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        count
    }

    fn all(&self) -> MutexGuard<'_, Sessions> {
        // Hooks run without the lock, so the maps are consistent even after a panic.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// Returns the session if its current connection has this number.
    fn of(&mut self, id: SessionId, connection: u32) -> Option<&mut Registered> {
        let session = self.live.get_mut(&id)?.as_mut();
        (session.info.connection == connection).then_some(session)
    }

    /// Closes an open or suspended session and returns its hook.
    fn close(&mut self, id: SessionId, reason: CloseReason) -> Option<CutHook> {
        let session = self.live.get_mut(&id).filter(|session| session.is_live())?;
        let account = session.info.account;
        match std::mem::replace(&mut session.state, State::Closed(reason)) {
            State::Open(cut) => Some(cut),
            State::Suspended(cut, place) => {
                self.no_longer_suspended(account, place);
                Some(cut)
            }
            State::Closed(_) => None,
        }
    }

    /// Closes the account's longest-suspended session and returns its hook.
    fn make_room(&mut self, account: AccountId) -> Option<CutHook> {
        let (_, id) = self.accounts.get(&account)?.suspended.first_key_value()?;
        let id = *id;
        self.close(id, CloseReason::ConnectionLost)
    }

    /// Removes a session that was resumed or closed from the suspended ones.
    fn no_longer_suspended(&mut self, account: AccountId, place: Place) {
        self.suspended -= 1;
        if let Some(own) = self.accounts.get_mut(&account) {
            own.suspended.remove(&place.number);
        }
    }
}

impl Registered {
    /// Returns whether the session is open or suspended.
    const fn is_live(&self) -> bool {
        !matches!(self.state, State::Closed(_))
    }

    /// Returns whether the time of the session has ended: it expired, or was suspended for too long.
    fn is_over(&self, now: Timestamp) -> bool {
        let until = match self.state {
            State::Suspended(_, place) => place.until.min(self.info.expires),
            State::Open(_) | State::Closed(_) => self.info.expires,
        };
        now >= until
    }
}

impl fmt::Debug for SessionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionRegistry({} open)", self.count())
    }
}

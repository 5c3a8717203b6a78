//! The sessions that there are now, in memory: who has one, and the means to cut it.
//!
//! ```text
//!  register --> Open --connection lost, idle--> Suspended --expired, cut--> Closed --> removed
//!                |  ^                               |                         ^
//!                |  '------------ resume -----------'                         |
//!                '--------------- cut, or its connection ends ----------------'
//! ```
//!
//! A session outlives its connection: when that is lost, the session is suspended until its client resumes
//! it or it expires. Each connection of a session has a number, so that what an older one says of its end
//! cannot touch a newer one.
//!
//! A session is registered before the account is read for the last time, and an account is changed
//! before its sessions are cut. Whatever the order in which the two meet, a locked account keeps none.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_proto::session::EncryptionOption;

use super::{CloseReason, Fresh, SessionInfo};
use crate::access::{Role, Scope};
use crate::id::{AccountId, SessionId};
use crate::timestamp::Timestamp;

/// Ends a session's connection. Called once, from any thread; must not wait.
pub type CutHook = Box<dyn FnOnce(CloseReason) + Send>;

/// The connection over which a client resumes its session, which it has proved to be its own.
pub struct Resume {
    /// The number of its attempt.
    pub attempt: u64,
    /// The encryption option in use.
    pub option: EncryptionOption,
    /// Where it comes from: the peer's address.
    pub peer: String,
    /// Ends the connection.
    pub cut: CutHook,
}

/// A session and its state.
struct Registered {
    info: SessionInfo,
    state: State,
    /// The number of the attempt that it was resumed with last; 0 if it never was.
    attempt: u64,
    /// The fresh proof, once one was begun.
    fresh: Option<Box<Fresh>>,
}

enum State {
    /// It has a connection, which the hook ends.
    Open(CutHook),
    /// Its connection was lost. The hook closes it; the number is its place among the suspended sessions of
    /// its account.
    Suspended(CutHook, u64),
    /// It was cut: it stays until its connection has noticed, and may do nothing meanwhile.
    Closed(CloseReason),
}

/// How many sessions may be suspended at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of all accounts together.
    pub in_all: usize,
    /// Of one account.
    pub of_account: usize,
}

/// What became of a session whose connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// It is suspended; the session of its account that was suspended longest may have been cut for it.
    Suspended,
    /// There is no room for it.
    NoRoom,
    /// There is nothing to suspend: it was cut, or goes on over another connection.
    Over,
}

/// The open sessions, oldest first.
#[derive(Default)]
pub struct SessionRegistry {
    all: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    live: BTreeMap<SessionId, Registered>,
    accounts: HashMap<AccountId, Held>,
    /// How many are suspended.
    suspended: usize,
    /// How often a session was suspended.
    suspensions: u64,
}

/// The sessions of one account.
#[derive(Default)]
struct Held {
    /// In order of their ids, so that one account's are listed without a look at those of others.
    ids: Vec<SessionId>,
    /// Those that are suspended, the longest first.
    suspended: BTreeMap<u64, SessionId>,
}

impl SessionRegistry {
    /// Whether there was room for it: an account has at most `most`.
    pub(crate) fn register(&self, info: SessionInfo, cut: CutHook, most: usize) -> bool {
        let mut all = self.all();
        let held = all.accounts.entry(info.account).or_default();
        if held.ids.len() >= most {
            return false;
        }
        let place = held.ids.partition_point(|id| *id < info.id);
        held.ids.insert(place, info.id);
        let session = Registered {
            state: State::Open(cut),
            attempt: 0,
            fresh: None,
            info,
        };
        all.live.insert(session.info.id, session);
        true
    }

    /// Forgets a session whose connection of that number ended; with the reason why it was cut, if it
    /// was. Nothing when the session went on over another connection.
    pub(crate) fn remove(
        &self,
        id: SessionId,
        connection: u32,
    ) -> Option<(SessionInfo, Option<CloseReason>)> {
        let mut all = self.all();
        all.of(id, connection)?;
        let session = all.live.remove(&id)?;
        let account = session.info.account;
        let cut = match session.state {
            State::Open(_) => None,
            State::Suspended(_, place) => {
                all.no_longer_suspended(account, place);
                None
            }
            State::Closed(reason) => Some(reason),
        };
        if let Some(held) = all.accounts.get_mut(&account) {
            if let Ok(place) = held.ids.binary_search(&id) {
                held.ids.remove(place);
            }
            if held.ids.is_empty() {
                all.accounts.remove(&account);
            }
        }
        Some((session.info, cut))
    }

    /// Suspends a session whose connection of that number was lost, if there is room; `cut` is called in
    /// place of its hook from now on.
    pub(crate) fn suspend(
        &self,
        id: SessionId,
        connection: u32,
        cut: CutHook,
        room: Room,
    ) -> Suspension {
        let displaced = {
            let mut all = self.all();
            let session = all.of(id, connection).filter(|session| session.lasts());
            let Some(account) = session.map(|session| session.info.account) else {
                return Suspension::Over;
            };
            let suspended = all.accounts.get(&account);
            let suspended = suspended.map_or(0, |held| held.suspended.len());
            let displaces = suspended >= room.of_account;
            if room.of_account == 0 || !displaces && all.suspended >= room.in_all {
                return Suspension::NoRoom;
            }
            let displaced = match displaces {
                true => all.make_room(account),
                false => None,
            };
            all.suspensions += 1;
            let place = all.suspensions;
            if let Some(session) = all.live.get_mut(&id) {
                session.info.connected = false;
                session.state = State::Suspended(cut, place);
            }
            all.suspended += 1;
            let held = all.accounts.entry(account).or_default();
            held.suspended.insert(place, id);
            displaced
        };
        // Outside the lock: a hook may do what it likes.
        if let Some(cut) = displaced {
            cut(CloseReason::ConnectionLost);
        }
        Suspension::Suspended
    }

    /// Gives a session a new connection, unless its client resumed it meanwhile with a later attempt; the
    /// hook of the connection before, if it had one still.
    pub(crate) fn resume(
        &self,
        id: SessionId,
        resume: Resume,
        now: Timestamp,
    ) -> Option<(SessionInfo, Option<CutHook>)> {
        let mut all = self.all();
        let session = all.live.get_mut(&id).filter(|session| session.lasts())?;
        if now >= session.info.expires || resume.attempt <= session.attempt {
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

    /// Renews a session from its connection of that number; whether it is open there still.
    pub(crate) fn renew(&self, id: SessionId, connection: u32, expires: Timestamp) -> bool {
        let mut all = self.all();
        let session = all.of(id, connection).filter(|session| session.lasts());
        session
            .map(|session| session.info.expires = expires)
            .is_some()
    }

    /// The session uses another encryption option on its connection of that number from now on; whether it goes on
    /// there.
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

    /// The suspended sessions that have expired.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<SessionInfo> {
        let all = self.all();
        let held = all.accounts.values();
        held.flat_map(|held| held.suspended.values())
            .filter_map(|id| all.live.get(id))
            .filter(|session| now >= session.info.expires)
            .map(|session| session.info.clone())
            .collect()
    }

    /// How many sessions are suspended.
    #[must_use]
    pub fn suspended(&self) -> usize {
        self.all().suspended
    }

    /// Looks at the fresh proof of an open session, and may change it. Nothing that takes time happens
    /// in there.
    pub(crate) fn fresh<T>(
        &self,
        id: SessionId,
        change: impl FnOnce(&mut Fresh) -> T,
    ) -> Option<T> {
        let mut all = self.all();
        let session = all.live.get_mut(&id).filter(|session| session.lasts())?;
        Some(change(session.fresh.get_or_insert_default()))
    }

    /// The open session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<SessionInfo> {
        let all = self.all();
        all.live
            .get(&id)
            .filter(|session| session.lasts())
            .map(|session| session.info.clone())
    }

    /// What the session's account may do, when the session is still open at `now`.
    #[must_use]
    pub fn role(&self, id: SessionId, now: Timestamp) -> Option<Role> {
        let all = self.all();
        let session = all.live.get(&id)?;
        (session.lasts() && now < session.info.expires).then_some(session.info.role)
    }

    /// Up to `limit` sessions within `scope` that came after `after`, oldest first, that `wanted` picks.
    /// One account's are found without a look at those of others: a client that lists its own in a loop
    /// holds the lock for no longer than that takes.
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
        let picked = |session: &&Registered| session.lasts() && wanted(&session.info);
        let info = |session: &Registered| session.info.clone();
        match scope {
            Scope::All => {
                let later = (after.map_or(Unbounded, Excluded), Unbounded);
                let found = all.live.range(later).map(|(_, session)| session);
                found.filter(picked).take(limit).map(info).collect()
            }
            Scope::Own(account) => {
                let own = all.accounts.get(&account).map(|held| held.ids.as_slice());
                let own = own.unwrap_or_default();
                let first = after.map_or(0, |after| own.partition_point(|id| *id <= after));
                let later = own.iter().skip(first);
                let found = later.filter_map(|id| all.live.get(id));
                found.filter(picked).take(limit).map(info).collect()
            }
        }
    }

    /// How many sessions there are, those that were cut just now included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all().live.len()
    }

    /// Cuts one session; whether it was open.
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

    /// Cuts all sessions of an account that `wanted` picks; how many were open. Sessions of others cost nothing.
    pub(crate) fn cut_of(
        &self,
        account: AccountId,
        reason: CloseReason,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.cut_all(reason, |all| {
            let own = all.accounts.get(&account);
            let own = own.map_or(&[][..], |held| held.ids.as_slice());
            let own = own.iter().filter_map(|id| all.live.get_key_value(id));
            let picked = own.filter(|(_, session)| session.lasts() && wanted(&session.info));
            picked.map(|(id, _)| *id).collect()
        })
    }

    /// Cuts all sessions that `wanted` picks; how many were open.
    pub(crate) fn cut_where(
        &self,
        reason: CloseReason,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        self.cut_all(reason, |all| {
            let picked = all.live.iter();
            let picked = picked.filter(|(_, session)| session.lasts() && wanted(&session.info));
            picked.map(|(id, _)| *id).collect()
        })
    }

    fn cut_all(
        &self,
        reason: CloseReason,
        pick: impl FnOnce(&Sessions) -> Vec<SessionId>,
    ) -> usize {
        // Closed under the lock, cut outside it: a hook may do what it likes.
        let hooks: Vec<CutHook> = {
            let mut all = self.all();
            let picked = pick(&all).into_iter();
            picked.filter_map(|id| all.close(id, reason)).collect()
        };
        let count = hooks.len();
        let mut panicked = None;
        for cut in hooks {
            // The others end too.
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
        // A hook runs outside the lock, so a panic cannot have left the maps half-changed.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// The session, if its connection has that number.
    fn of(&mut self, id: SessionId, connection: u32) -> Option<&mut Registered> {
        let session = self.live.get_mut(&id)?;
        (session.info.connection == connection).then_some(session)
    }

    /// Closes a session that lasts; its hook.
    fn close(&mut self, id: SessionId, reason: CloseReason) -> Option<CutHook> {
        let session = self.live.get_mut(&id).filter(|session| session.lasts())?;
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

    /// Closes the session of that account that was suspended longest; its hook.
    fn make_room(&mut self, account: AccountId) -> Option<CutHook> {
        let (_, id) = self.accounts.get(&account)?.suspended.first_key_value()?;
        let id = *id;
        self.close(id, CloseReason::ConnectionLost)
    }

    /// The session at that place was resumed, or is closed.
    fn no_longer_suspended(&mut self, account: AccountId, place: u64) {
        self.suspended -= 1;
        if let Some(held) = self.accounts.get_mut(&account) {
            held.suspended.remove(&place);
        }
    }
}

impl Registered {
    /// Whether it is open or suspended.
    const fn lasts(&self) -> bool {
        !matches!(self.state, State::Closed(_))
    }
}

impl fmt::Debug for SessionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionRegistry({} open)", self.count())
    }
}

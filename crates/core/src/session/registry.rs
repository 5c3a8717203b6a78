//! The sessions that are open now, in memory: who has one, and the means to cut it.
//!
//! A session outlives its connection: when that is lost, the session is kept for its client to return
//! to, until it expires. Each connection of a session has a number, so that what an older one says of
//! its end cannot touch a newer one.
//!
//! A session is registered before the account is read for the last time, and an account is changed
//! before its sessions are cut. Whatever the order in which the two meet, a locked account keeps none.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_proto::session::EncryptionOption;

use super::{CloseReason, Fresh, SessionInfo};
use crate::id::{AccountId, SessionId};
use crate::policy::{Role, Scope};
use crate::timestamp::Timestamp;

/// Ends a session's connection. Called once, from any thread; must not wait.
pub type CutHook = Box<dyn FnOnce(CloseReason) + Send>;

/// A client that proved that it returns to its session.
pub struct Returning {
    /// The number of its attempt.
    pub attempt: u64,
    /// The encryption option in use.
    pub option: EncryptionOption,
    /// Where it comes from: the peer's address.
    pub peer: String,
    /// Ends the connection.
    pub cut: CutHook,
}

/// A session and what is left of its hook: a cut session stays until its connection has noticed, and
/// may do nothing meanwhile.
struct Live {
    info: SessionInfo,
    state: State,
    /// The number of the attempt that its client returned with last; 0 if it never did.
    attempt: u64,
    /// Its place among those that wait for their clients, while it does.
    waits: Option<u64>,
    /// The fresh proof, once one was begun.
    fresh: Option<Box<Fresh>>,
}

enum State {
    Open(CutHook),
    Cut(CloseReason),
}

/// How many sessions may wait for their clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of all accounts together.
    pub in_all: usize,
    /// Of one account.
    pub of_account: usize,
}

/// What became of a session whose connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// It waits for its client; the one of its account that had waited longest may have been cut for it.
    Kept,
    /// There is no room for it.
    Full,
    /// There is nothing to keep: it was cut, or goes on over another connection.
    Gone,
}

/// The open sessions, oldest first.
#[derive(Default)]
pub struct SessionRegistry {
    all: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    live: BTreeMap<SessionId, Live>,
    accounts: HashMap<AccountId, Held>,
    away: usize,
    /// How often a session began to wait.
    parked: u64,
}

/// The sessions of one account.
#[derive(Default)]
struct Held {
    /// In order of their ids, so that one account's are listed without a look at those of others.
    ids: Vec<SessionId>,
    /// Those without a connection, the one that has waited longest first.
    away: BTreeMap<u64, SessionId>,
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
        let live = Live {
            state: State::Open(cut),
            attempt: 0,
            waits: None,
            fresh: None,
            info,
        };
        all.live.insert(live.info.id, live);
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
        all.no_longer_away(id);
        let live = all.live.remove(&id)?;
        if let Some(held) = all.accounts.get_mut(&live.info.account) {
            if let Ok(place) = held.ids.binary_search(&id) {
                held.ids.remove(place);
            }
            if held.ids.is_empty() {
                all.accounts.remove(&live.info.account);
            }
        }
        Some(match live.state {
            State::Open(_) => (live.info, None),
            State::Cut(reason) => (live.info, Some(reason)),
        })
    }

    /// Keeps a session whose connection of that number was lost, if there is room; `cut` is called in
    /// place of its hook from now on.
    pub(crate) fn park(&self, id: SessionId, connection: u32, cut: CutHook, room: Room) -> Parked {
        let displaced = {
            let mut all = self.all();
            let Some(live) = all.of(id, connection).filter(|live| live.is_open()) else {
                return Parked::Gone;
            };
            let account = live.info.account;
            let waiting = all.accounts.get(&account).map_or(0, |held| held.away.len());
            if room.of_account == 0 || waiting < room.of_account && all.away >= room.in_all {
                return Parked::Full;
            }
            let displaced = match waiting < room.of_account {
                true => None,
                false => all.make_room(account),
            };
            all.parked += 1;
            let place = all.parked;
            if let Some(live) = all.live.get_mut(&id) {
                live.info.connected = false;
                live.state = State::Open(cut);
                live.waits = Some(place);
            }
            all.away += 1;
            let held = all.accounts.entry(account).or_default();
            held.away.insert(place, id);
            displaced
        };
        // Outside the lock: a hook may do what it likes.
        if let Some(cut) = displaced {
            cut(CloseReason::ConnectionLost);
        }
        Parked::Kept
    }

    /// Gives an open session a new connection, unless its client returned meanwhile with a later attempt;
    /// the hook of the connection before, if it had one still.
    pub(crate) fn reconnect(
        &self,
        id: SessionId,
        returning: Returning,
        now: Timestamp,
    ) -> Option<(SessionInfo, Option<CutHook>)> {
        let mut all = self.all();
        let live = all.live.get_mut(&id).filter(|live| live.is_open())?;
        if now >= live.info.expires || returning.attempt <= live.attempt {
            return None;
        }
        let connected = std::mem::replace(&mut live.info.connected, true);
        live.info.connection = live.info.connection.checked_add(1)?;
        live.attempt = returning.attempt;
        live.info.option = returning.option;
        live.info.peer = returning.peer;
        if let Some(fresh) = &mut live.fresh {
            fresh.returned();
        }
        let hook = match std::mem::replace(&mut live.state, State::Open(returning.cut)) {
            State::Open(hook) if connected => Some(hook),
            _ => None,
        };
        let info = live.info.clone();
        all.no_longer_away(id);
        Some((info, hook))
    }

    /// Renews a session from its connection of that number; whether it is open there still.
    pub(crate) fn renew(&self, id: SessionId, connection: u32, expires: Timestamp) -> bool {
        let mut all = self.all();
        let live = all.of(id, connection).filter(|live| live.is_open());
        live.map(|live| live.info.expires = expires).is_some()
    }

    /// The session uses another encryption option on its connection of that number from now on.
    pub(crate) fn switched(&self, id: SessionId, connection: u32, option: EncryptionOption) {
        if let Some(live) = self.all().of(id, connection) {
            live.info.option = option;
        }
    }

    /// The sessions without a connection that nobody may return to any more.
    pub(crate) fn forsaken(&self, now: Timestamp) -> Vec<SessionInfo> {
        let all = self.all();
        let away = all.accounts.values().flat_map(|held| held.away.values());
        away.filter_map(|id| all.live.get(id))
            .filter(|live| now >= live.info.expires)
            .map(|live| live.info.clone())
            .collect()
    }

    /// How many sessions wait for their client to return.
    #[must_use]
    pub fn away(&self) -> usize {
        self.all().away
    }

    /// Looks at the fresh proof of an open session, and may change it. Nothing that takes time happens
    /// in there.
    pub(crate) fn fresh<T>(
        &self,
        id: SessionId,
        change: impl FnOnce(&mut Fresh) -> T,
    ) -> Option<T> {
        let mut all = self.all();
        let live = all.live.get_mut(&id).filter(|live| live.is_open())?;
        Some(change(live.fresh.get_or_insert_default()))
    }

    /// The open session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<SessionInfo> {
        let all = self.all();
        all.live
            .get(&id)
            .filter(|live| live.is_open())
            .map(|live| live.info.clone())
    }

    /// What the session's account may do, when the session is still open at `now`.
    #[must_use]
    pub fn role(&self, id: SessionId, now: Timestamp) -> Option<Role> {
        let all = self.all();
        let session = all.live.get(&id)?;
        (session.is_open() && now < session.info.expires).then_some(session.info.role)
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
        let picked = |live: &&Live| live.is_open() && wanted(&live.info);
        let info = |live: &Live| live.info.clone();
        match scope {
            Scope::All => {
                let later = (after.map_or(Unbounded, Excluded), Unbounded);
                let found = all.live.range(later).map(|(_, live)| live);
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
        let hook = self
            .all()
            .live
            .get_mut(&id)
            .and_then(|live| live.close(reason));
        match hook {
            Some(cut) => {
                cut(reason);
                true
            }
            None => false,
        }
    }

    /// Cuts all sessions that `wanted` picks; how many were open.
    pub(crate) fn cut_where(
        &self,
        reason: CloseReason,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> usize {
        // Marked under the lock, cut outside it: a hook may do what it likes.
        let hooks: Vec<CutHook> = self
            .all()
            .live
            .values_mut()
            .filter(|live| wanted(&live.info))
            .filter_map(|live| live.close(reason))
            .collect();
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
    fn of(&mut self, id: SessionId, connection: u32) -> Option<&mut Live> {
        let live = self.live.get_mut(&id)?;
        (live.info.connection == connection).then_some(live)
    }

    /// Cuts the session of that account that has waited longest for its client; its hook.
    fn make_room(&mut self, account: AccountId) -> Option<CutHook> {
        let (_, id) = self.accounts.get(&account)?.away.first_key_value()?;
        let id = *id;
        self.no_longer_away(id);
        self.live.get_mut(&id)?.close(CloseReason::ConnectionLost)
    }

    /// The session waits for its client no longer, if it did.
    fn no_longer_away(&mut self, id: SessionId) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let Some(place) = live.waits.take() else {
            return;
        };
        self.away -= 1;
        if let Some(held) = self.accounts.get_mut(&live.info.account) {
            held.away.remove(&place);
        }
    }
}

impl Live {
    const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Marks it as cut and hands out its hook, the first time.
    fn close(&mut self, reason: CloseReason) -> Option<CutHook> {
        if !self.is_open() {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Cut(reason)) {
            State::Open(cut) => Some(cut),
            State::Cut(_) => None,
        }
    }
}

impl fmt::Debug for SessionRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionRegistry({} open)", self.count())
    }
}

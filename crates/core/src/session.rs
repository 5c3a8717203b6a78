//! The sessions that are open now, in memory: who has one, and the means to cut it.
//!
//! A session outlives its connection: when that is lost, the session is kept for its client to return
//! to, until it expires. Each connection of a session has a number, so that what an older one says of
//! its end cannot touch a newer one.
//!
//! A session is registered before the account is read for the last time, and an account is changed
//! before its sessions are cut. Whatever the order in which the two meet, a locked account keeps none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;
use countersign_proto::session::EncryptionOption;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, SessionId};
use crate::policy::Role;
use crate::timestamp::Timestamp;

/// What is known of an open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// The account's name.
    pub name: AccountName,
    /// What the account may do.
    pub role: Role,
    /// The encryption option in use.
    pub option: EncryptionOption,
    /// Where it comes from: the peer's address.
    pub peer: String,
    /// What was proved.
    pub proof: Proof,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends unless its keys are renewed.
    pub expires: Timestamp,
    /// When it ends for good: then its account has to log in anew.
    pub ends: Timestamp,
    /// Whether it has a connection; without one it waits for its client to return.
    pub connected: bool,
    /// Which of its connections this is; the first is 0.
    pub connection: u32,
}

/// What an account proved to get its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A pass phrase.
    Passphrase,
    /// The key of that thumbprint.
    Key(Thumbprint),
    /// The key of that thumbprint, which was delivered and opened with its pass phrase.
    DeliveredKey(Thumbprint),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The account said goodbye.
    Goodbye,
    /// The connection broke.
    ConnectionLost,
    /// The peer sent what does not belong into the dialog.
    ProtocolFault,
    /// Its time was over.
    Expired,
    /// Nothing was said for too long.
    Idle,
    /// Its client came back over another connection; the session goes on there.
    Replaced,
    /// The site is stopping.
    SiteStopping,
    /// Somebody cut it by hand.
    Cut,
    /// Its account was locked or disabled.
    AccountLocked,
    /// Its account was deleted.
    AccountDeleted,
    /// Its account was renamed or given another role.
    AccountChanged,
    /// Its key was revoked.
    KeyRevoked,
    /// The pass phrase of its account was changed.
    PassphraseChanged,
}

impl CloseReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::ConnectionLost => "connection_lost",
            Self::ProtocolFault => "protocol_fault",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::SiteStopping => "site_stopping",
            Self::Cut => "cut",
            Self::AccountLocked => "account_locked",
            Self::AccountDeleted => "account_deleted",
            Self::AccountChanged => "account_changed",
            Self::KeyRevoked => "key_revoked",
            Self::PassphraseChanged => "passphrase_changed",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ends a session's connection. Called once, from any thread; must not wait.
pub type CutHook = Box<dyn FnOnce(CloseReason) + Send>;

/// A session and what is left of its hook: a cut session stays until its connection has noticed, and
/// may do nothing meanwhile.
struct Live {
    info: SessionInfo,
    state: State,
}

enum State {
    Open(CutHook),
    Cut(CloseReason),
}

/// The open sessions, oldest first.
#[derive(Default)]
pub struct SessionRegistry {
    live: Mutex<BTreeMap<SessionId, Live>>,
}

impl SessionRegistry {
    pub(crate) fn register(&self, info: SessionInfo, cut: CutHook) {
        let state = State::Open(cut);
        self.live().insert(info.id, Live { info, state });
    }

    /// Forgets a session whose connection of that number ended; with the reason why it was cut, if it
    /// was. Nothing when the session went on over another connection.
    pub(crate) fn remove(
        &self,
        id: SessionId,
        connection: u32,
    ) -> Option<(SessionInfo, Option<CloseReason>)> {
        let mut all = self.live();
        all.get(&id)
            .filter(|live| live.info.connection == connection)?;
        let live = all.remove(&id)?;
        Some(match live.state {
            State::Open(_) => (live.info, None),
            State::Cut(reason) => (live.info, Some(reason)),
        })
    }

    /// Keeps a session whose connection of that number was lost; `cut` is called in place of its hook
    /// from now on. `false` when there is nothing to keep.
    pub(crate) fn park(&self, id: SessionId, connection: u32, cut: CutHook) -> bool {
        let mut all = self.live();
        let live = all.get_mut(&id).filter(|live| live.is_open());
        let Some(live) = live.filter(|live| live.info.connection == connection) else {
            return false;
        };
        live.info.connected = false;
        live.state = State::Open(cut);
        true
    }

    /// Gives an open session a new connection; the hook of the one before, if it had one still.
    pub(crate) fn reconnect(
        &self,
        id: SessionId,
        option: EncryptionOption,
        peer: &str,
        cut: CutHook,
        now: Timestamp,
    ) -> Option<(SessionInfo, Option<CutHook>)> {
        let mut all = self.live();
        let live = all.get_mut(&id).filter(|live| live.is_open())?;
        if now >= live.info.expires {
            return None;
        }
        let connected = std::mem::replace(&mut live.info.connected, true);
        live.info.connection = live.info.connection.checked_add(1)?;
        live.info.option = option;
        peer.clone_into(&mut live.info.peer);
        let hook = match std::mem::replace(&mut live.state, State::Open(cut)) {
            State::Open(hook) if connected => Some(hook),
            _ => None,
        };
        Some((live.info.clone(), hook))
    }

    /// Renews a session; whether it is open still.
    pub(crate) fn renew(&self, id: SessionId, expires: Timestamp) -> bool {
        let mut all = self.live();
        let live = all.get_mut(&id).filter(|live| live.is_open());
        live.map(|live| live.info.expires = expires).is_some()
    }

    /// The session uses another encryption option from now on.
    pub(crate) fn switched(&self, id: SessionId, option: EncryptionOption) {
        if let Some(live) = self.live().get_mut(&id) {
            live.info.option = option;
        }
    }

    /// The sessions without a connection that nobody may return to any more.
    pub(crate) fn forsaken(&self, now: Timestamp) -> Vec<SessionInfo> {
        self.live()
            .values()
            .filter(|live| !live.info.connected && now >= live.info.expires)
            .map(|live| live.info.clone())
            .collect()
    }

    /// How many sessions wait for their client to return.
    #[must_use]
    pub fn away(&self) -> usize {
        let live = self.live();
        live.values().filter(|live| !live.info.connected).count()
    }

    /// The open session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<SessionInfo> {
        let live = self.live();
        live.get(&id)
            .filter(|live| live.is_open())
            .map(|live| live.info.clone())
    }

    /// What the session's account may do, when the session is still open at `now`.
    #[must_use]
    pub fn role(&self, id: SessionId, now: Timestamp) -> Option<Role> {
        let live = self.live();
        let session = live.get(&id)?;
        (session.is_open() && now < session.info.expires).then_some(session.info.role)
    }

    /// Up to `limit` sessions that came after `after`, oldest first, that `wanted` picks.
    #[must_use]
    pub fn list(
        &self,
        after: Option<SessionId>,
        limit: usize,
        wanted: impl Fn(&SessionInfo) -> bool,
    ) -> Vec<SessionInfo> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.live()
            .range((after.map_or(Unbounded, Excluded), Unbounded))
            .map(|(_, live)| live)
            .filter(|live| live.is_open() && wanted(&live.info))
            .take(limit)
            .map(|live| live.info.clone())
            .collect()
    }

    /// How many sessions there are, those that were cut just now included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.live().len()
    }

    /// Cuts one session; whether it was open.
    pub(crate) fn cut(&self, id: SessionId, reason: CloseReason) -> bool {
        let hook = self.live().get_mut(&id).and_then(|live| live.close(reason));
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
            .live()
            .values_mut()
            .filter(|live| wanted(&live.info))
            .filter_map(|live| live.close(reason))
            .collect();
        let count = hooks.len();
        for cut in hooks {
            cut(reason);
        }
        count
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<SessionId, Live>> {
        // A hook runs outside the lock, so a panic cannot have left the map half-changed.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
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

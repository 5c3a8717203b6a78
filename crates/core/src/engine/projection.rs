//! The one place where committed changes reach what the site keeps in memory: open sessions, settings, the cache of
//! applications, the login throttle, event streams.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::engine::{Site, WeakSite};
use crate::id::AccountId;
use crate::sessions::{CloseReason, Proof};
use crate::store::{Change, ChangeSet, Effects, Notice, Observer};

/// Applies committed change sets to a site, for as long as the site is in use.
pub(crate) struct Projection(WeakSite);

impl Projection {
    pub(crate) fn of(site: &Site) -> Self {
        Self(site.downgrade())
    }
}

impl Observer for Projection {
    /// A panic in here is a fault of the program. Since memory and store may disagree then, every session ends and
    /// nothing stays cached, before the panic goes on to the store.
    fn committed(&self, set: &ChangeSet) -> Effects {
        let Some(site) = self.0.upgrade() else {
            return Effects::default();
        };
        catch_unwind(AssertUnwindSafe(|| project(&site, set))).unwrap_or_else(|panic| {
            site.broker().cache().clear();
            site.sessions().cut_where(CloseReason::Cut, |_| true);
            resume_unwind(panic)
        })
    }
}

/// What the site remembers comes first: nothing in it calls code of others, as the end of a session does.
fn project(site: &Site, set: &ChangeSet) -> Effects {
    for change in &set.changes {
        remember(site, change);
    }
    let forgotten = set.notices.iter().map(|notice| heed(site, notice)).sum();
    let by_changes: usize = set
        .changes
        .iter()
        .map(|change| end(site, set, change))
        .sum();
    let by_notices: usize = set.notices.iter().map(|notice| tell(site, notice)).sum();
    Effects {
        sessions_ended: by_changes + by_notices,
        penalties_forgotten: forgotten,
    }
}

/// Renews what is kept in memory of what a change touches. The match is exhaustive, as the next is: a new kind of
/// change has to say what follows from it.
fn remember(site: &Site, change: &Change) {
    match change {
        Change::InsertApplication(application) | Change::UpdateApplication(application) => {
            site.broker().cache().forget(&application.id);
        }
        Change::DeleteApplication { id, .. } | Change::DeleteDamagedApplication(id) => {
            site.broker().cache().forget(id);
        }
        Change::PutSetting { name, setting } => site.renew_setting(name, setting),
        // Accounts and what they log in with are read from the store each time.
        Change::InsertAccount(_)
        | Change::UpdateAccount(_)
        | Change::DeleteAccount { .. }
        | Change::DeleteDamagedAccount { .. }
        | Change::PutPassphrase(_)
        | Change::DeleteDeliveredKey(_)
        | Change::PutDeliveredKey(_)
        | Change::InsertKey(_)
        | Change::DeleteKey { .. }
        | Change::Alarm(_)
        | Change::PutScript(_) => {}
    }
}

/// Ends the sessions that a change ends; their number.
fn end(site: &Site, set: &ChangeSet, change: &Change) -> usize {
    let sessions = site.sessions();
    match change {
        Change::UpdateAccount(account) if !account.is_active() => {
            sessions.cut_of(account.id, CloseReason::AccountLocked, |_| true)
        }
        // A session knows its account's name and role.
        Change::UpdateAccount(account) => {
            sessions.cut_of(account.id, CloseReason::AccountChanged, |info| {
                info.role != account.role || info.name != account.name
            })
        }
        Change::DeleteAccount { id, .. } => {
            sessions.cut_of(*id, CloseReason::AccountDeleted, |_| true)
        }
        // Its id may be what cannot be read.
        Change::DeleteDamagedAccount { id, name } => sessions
            .cut_where(CloseReason::AccountDeleted, |info| {
                Some(info.account) == *id || info.name.to_string() == *name
            }),
        Change::PutPassphrase(credential) => {
            let reason = CloseReason::PassphraseChanged;
            sessions.cut_of(credential.account, reason, |info| {
                Some(info.id) != set.session
            })
        }
        Change::DeleteDeliveredKey(account) => undelivered(site, set, *account),
        Change::PutDeliveredKey(credential) => undelivered(site, set, credential.account),
        Change::DeleteKey {
            account,
            thumbprint,
        } => sessions.cut_of(*account, CloseReason::KeyRevoked, |info| {
            info.proof == Proof::Key(*thumbprint)
        }),
        Change::InsertAccount(_)
        | Change::InsertKey(_)
        | Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_)
        | Change::PutSetting { .. }
        | Change::PutScript(_) => 0,
        // No session ends; whoever delivers has something to look at.
        Change::Alarm(_) => {
            site.wake_outbox();
            0
        }
    }
}

/// The sessions of an account that were opened with a key that is not delivered any more end, except the one that
/// changed it.
fn undelivered(site: &Site, set: &ChangeSet, account: AccountId) -> usize {
    site.sessions()
        .cut_of(account, CloseReason::KeyRevoked, |info| {
            matches!(info.proof, Proof::DeliveredKey(_)) && Some(info.id) != set.session
        })
}

/// Renews what a notice asks to be renewed; the number of penalties that were forgotten.
fn heed(site: &Site, notice: &Notice) -> usize {
    match notice {
        Notice::NameReleased(name) => site.throttle().logins().forget(name),
        Notice::Unsealed(opened) => site.unsealed(opened),
        Notice::PenaltiesForgotten(source) => {
            return site.throttle().penalties().forget(*source);
        }
        Notice::SessionEnds { .. } | Notice::SessionsNotOfferedEnd | Notice::Event { .. } => {}
    }
    0
}

/// Ends the sessions that a notice names, and sends its event; the number of sessions that ended.
fn tell(site: &Site, notice: &Notice) -> usize {
    match notice {
        Notice::SessionEnds { id, reason } => usize::from(site.sessions().cut(*id, *reason)),
        Notice::SessionsNotOfferedEnd => {
            let offered = site.options();
            site.sessions()
                .cut_where(CloseReason::OptionDisabled, |info| {
                    !offered.ranked().contains(&info.option)
                })
        }
        Notice::Event { to, event } => {
            site.events().publish(*to, event);
            0
        }
        Notice::NameReleased(_) | Notice::Unsealed(_) | Notice::PenaltiesForgotten(_) => 0,
    }
}

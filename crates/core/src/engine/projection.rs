//! The one place where committed changes reach what the site keeps in memory: open sessions, settings, the cache of
//! applications, the login throttle, event streams.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::engine::{Site, WeakSite};
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

fn project(site: &Site, set: &ChangeSet) -> Effects {
    let changes = set.changes.iter();
    let by_changes: usize = changes.map(|change| follow(site, set, change)).sum();
    let notices = set.notices.iter();
    let by_notices: usize = notices.map(|notice| heed(site, notice)).sum();
    Effects {
        sessions_ended: by_changes + by_notices,
    }
}

/// What follows from a change; the number of sessions that ended. The match is exhaustive, so that a new kind of change
/// has to say what follows from it.
fn follow(site: &Site, set: &ChangeSet, change: &Change) -> usize {
    let sessions = site.sessions();
    match change {
        Change::InsertAccount(_) | Change::InsertKey(_) | Change::PutScript(_) => 0,
        Change::UpdateAccount(account) if !account.is_active() => sessions
            .cut_where(CloseReason::AccountLocked, |info| {
                info.account == account.id
            }),
        // A session knows its account's name and role.
        Change::UpdateAccount(account) => sessions.cut_where(CloseReason::AccountChanged, |info| {
            let same = info.name == account.name && info.role == account.role;
            info.account == account.id && !same
        }),
        Change::DeleteAccount { id, .. } => {
            sessions.cut_where(CloseReason::AccountDeleted, |info| info.account == *id)
        }
        Change::DeleteDamagedAccount { id, name } => sessions
            .cut_where(CloseReason::AccountDeleted, |info| {
                Some(info.account) == *id || info.name.to_string() == *name
            }),
        Change::PutPassphrase(credential) => sessions
            .cut_where(CloseReason::PassphraseChanged, |info| {
                info.account == credential.account && Some(info.id) != set.session
            }),
        Change::DeleteDeliveredKey(account) => undelivered(site, set, *account),
        Change::PutDeliveredKey(credential) => undelivered(site, set, credential.account),
        Change::DeleteKey {
            account,
            thumbprint,
        } => sessions.cut_where(CloseReason::KeyRevoked, |info| {
            info.account == *account && info.proof == Proof::Key(*thumbprint)
        }),
        Change::InsertApplication(application) | Change::UpdateApplication(application) => {
            site.broker().cache().forget(&application.id);
            0
        }
        Change::DeleteApplication { id, .. } | Change::DeleteDamagedApplication(id) => {
            site.broker().cache().forget(id);
            0
        }
        Change::PutSetting { name, setting } => {
            site.renew_setting(name, setting);
            0
        }
    }
}

/// The sessions of an account that were opened with a key that is not delivered any more end, except the one that
/// changed it.
fn undelivered(site: &Site, set: &ChangeSet, account: crate::id::AccountId) -> usize {
    site.sessions().cut_where(CloseReason::KeyRevoked, |info| {
        let delivered = matches!(info.proof, Proof::DeliveredKey(_));
        info.account == account && delivered && Some(info.id) != set.session
    })
}

/// What a notice asks for; the number of sessions that ended.
fn heed(site: &Site, notice: &Notice) -> usize {
    match notice {
        Notice::SessionEnds { id, reason } => usize::from(site.sessions().cut(*id, *reason)),
        Notice::SessionsNotOfferedEnd => {
            let offered = site.options();
            site.sessions()
                .cut_where(CloseReason::OptionDisabled, |info| {
                    !offered.ranked().contains(&info.option)
                })
        }
        Notice::NameReleased(name) => {
            site.guard().guesses().forget(name);
            0
        }
        Notice::Unsealed(opened) => {
            site.unsealed(opened);
            0
        }
        Notice::Event { to, event } => {
            site.events().publish(*to, event);
            0
        }
    }
}

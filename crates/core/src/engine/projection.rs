//! The projection: the only place that applies committed changes to the site's memory, which is
//! open sessions and their fresh proofs, settings, the application cache, cached accounts, the
//! throttle and event streams.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use countersign_proto::peer::SignedAuditHead;

use crate::access::{HttpCredential, HttpGrant};
use crate::audit::ChainHead;
use crate::engine::peers::PEER_SERVER;
use crate::engine::site::LOCKDOWNS;
use crate::engine::{Site, WeakSite};
use crate::id::AccountId;
use crate::sessions::{CloseReason, FreshProof, Proof};
use crate::site_key::SITE_KEY;
use crate::store::{AccessTokenChange, Change, ChangeSet, Effects, Notice, Observer, PeerChange};

/// Applies committed change sets to a site, for as long as the site exists.
pub(crate) struct Projection(WeakSite);

impl Projection {
    pub(crate) fn of(site: &Site) -> Self {
        Self(site.downgrade())
    }
}

impl Observer for Projection {
    /// After a panic, memory and store may disagree. So every session ends and the application
    /// cache is cleared before the panic is passed on to the store.
    fn committed(&self, set: &ChangeSet) -> Effects {
        let Some(site) = self.0.upgrade() else {
            return Effects::default();
        };
        catch_unwind(AssertUnwindSafe(|| project(&site, set))).unwrap_or_else(|panic| {
            site.broker().cache().clear();
            site.http_access().clear();
            site.whole_accounts().clear();
            site.end_peers(CloseReason::Cut, |_| true);
            site.events().end_streams(CloseReason::Cut, |_| true);
            site.sessions().cut_where(CloseReason::Cut, |_| true);
            resume_unwind(panic)
        })
    }

    fn sign(&self, set: &ChangeSet, end: ChainHead) -> Option<SignedAuditHead> {
        self.0.upgrade()?.signed_end(set, end)
    }
}

/// Memory is updated first, because ending a session calls hooks of other code, which may panic.
fn project(site: &Site, set: &ChangeSet) -> Effects {
    for change in &set.changes {
        update_memory(site, change);
    }
    let mut effects = Effects::default();
    for notice in &set.notices {
        apply_notice(site, notice, &mut effects);
    }
    let by_changes: usize = set
        .changes
        .iter()
        .map(|change| end(site, set, change))
        .sum();
    let by_notices: usize = set
        .notices
        .iter()
        .map(|notice| deliver_notice(site, notice))
        .sum();
    Effects {
        sessions_ended: by_changes + by_notices,
        ..effects
    }
}

/// Updates what memory holds about the object of a change. This match and the next are exhaustive,
/// so that a new kind of change must define its consequences.
fn update_memory(site: &Site, change: &Change) {
    site.whole_accounts().changed(change);
    match change {
        Change::InsertApplication(application) | Change::UpdateApplication(application) => {
            site.broker().cache().invalidate(&application.id);
        }
        Change::DeleteApplication { id, .. } | Change::DeleteDamagedApplication(id) => {
            site.broker().cache().invalidate(id);
        }
        Change::PutSetting { name, setting } => site.renew_setting(name, setting),
        // What a credential grants over HTTP is cached with the name and role of its account.
        Change::UpdateAccount(account) => site.http_access().account_changed(account.id),
        Change::DeleteAccount { id, .. } => site.http_access().account_changed(*id),
        Change::DeleteKey { account, .. } | Change::DeleteDevice { account, .. } => {
            site.http_access().account_changed(*account);
        }
        Change::DeleteDamagedAccount { .. } => site.http_access().clear(),
        Change::AccessToken(change) => site.http_access().tokens_changed(change),
        Change::SeeDevice { id, account, at } => site.http_access().device_seen(*id, *account, *at),
        // Credentials are not cached otherwise.
        Change::InsertAccount(_)
        | Change::PutPersonData { .. }
        | Change::PutPassphrase(_)
        | Change::RenewPassphrase(_)
        | Change::DeleteDeliveredKey(_)
        | Change::PutDeliveredKey(_)
        | Change::InsertKey(_)
        | Change::ExpectAccount { .. }
        | Change::ExpectSetting { .. }
        | Change::InsertTicket(_)
        | Change::BindTicket { .. }
        | Change::RevokeTicket { .. }
        | Change::DeleteTicket { .. }
        | Change::RevokeOpenTickets { .. }
        | Change::ForgetTickets { .. }
        | Change::InsertDevice(_)
        | Change::UpdateDevice(_)
        | Change::Peer(_)
        | Change::CompleteRequest(_)
        | Change::Alarm(_)
        // The site is sealed then, and holds nothing of it in memory.
        | Change::SealData { .. }
        | Change::PutScript(_) => {}
    }
}

/// Ends the event streams whose credential a change takes away, and then the sessions that it ends.
/// Returns the number of sessions.
fn end(site: &Site, set: &ChangeSet, change: &Change) -> usize {
    let sessions = site.sessions();
    let end_streams = |reason, wanted: &dyn Fn(&HttpGrant) -> bool| {
        site.events().end_streams(reason, wanted);
    };
    match change {
        Change::UpdateAccount(account) if !account.is_active() => {
            let reason = CloseReason::AccountLocked;
            end_streams(reason, &|grant| grant.account == account.id);
            sessions.cut_account(account.id, reason, |_| true)
        }
        // A session holds its account's name and role, and so does a grant. The grants of the account are
        // void now; a stream continues with the same name and role.
        Change::UpdateAccount(account) => {
            let reason = CloseReason::AccountChanged;
            let name = account.name.to_string();
            end_streams(reason, &|grant| {
                let is_same = grant.name == name && grant.role == account.role;
                grant.account == account.id && !is_same
            });
            // The messages of a locked person waited.
            site.wake_peers();
            sessions.cut_account(account.id, reason, |info| {
                info.role != account.role || info.name != account.name
            })
        }
        Change::DeleteAccount { id, .. } => {
            let reason = CloseReason::AccountDeleted;
            end_streams(reason, &|grant| grant.account == *id);
            sessions.cut_account(*id, reason, |_| true)
        }
        // The damaged part may be the id, so the name is compared too.
        Change::DeleteDamagedAccount { id, name } => {
            let reason = CloseReason::AccountDeleted;
            end_streams(reason, &|grant| {
                Some(grant.account) == *id || grant.name == *name
            });
            sessions.cut_where(reason, |info| {
                Some(info.account) == *id || info.name.to_string() == *name
            })
        }
        Change::PutPassphrase(credential) => {
            let reason = CloseReason::PassphraseChanged;
            sessions.cut_account(credential.account, reason, |info| {
                Some(info.id) != set.session
            })
        }
        Change::DeleteDeliveredKey(account) => end_delivered(site, set, *account),
        Change::PutDeliveredKey(credential) => end_delivered(site, set, credential.account),
        Change::DeleteKey {
            account,
            thumbprint,
        } => {
            let reason = CloseReason::KeyRevoked;
            let key = HttpCredential::Key(*thumbprint);
            end_streams(reason, &|grant| grant.credential == key);
            sessions.cut_account(*account, reason, |info| {
                info.proof == Proof::Key(*thumbprint)
            })
        }
        Change::DeleteDevice { id, account } => {
            let reason = CloseReason::KeyRevoked;
            let device = HttpCredential::Device(*id);
            end_streams(reason, &|grant| grant.credential == device);
            sessions.cut_account(*account, reason, |info| info.proof == Proof::Device(*id))
        }
        // A token opens no session.
        Change::AccessToken(AccessTokenChange::Delete { id, .. }) => {
            let token = HttpCredential::Token(*id);
            end_streams(CloseReason::TokenRevoked, &|grant| {
                grant.credential == token
            });
            0
        }
        Change::AccessToken(AccessTokenChange::DeleteOf {
            account,
            expired_before,
        }) => {
            end_streams(CloseReason::TokenRevoked, &|grant| {
                let ends = match (expired_before, grant.expires()) {
                    (Some(before), Some(expires)) => expires < *before,
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                let is_token = matches!(grant.credential, HttpCredential::Token(_));
                grant.account == *account && is_token && ends
            });
            0
        }
        // The program that runs the site applies its settings. A lockdown ends sessions and streams.
        Change::PutSetting { name, setting } => {
            site.apply_setting(name);
            if [LOCKDOWNS, SITE_KEY].contains(name) {
                site.send_heads();
            }
            if *name == PEER_SERVER {
                site.peer_server_changed(&setting.value);
            }
            // The messages of a person in lockdown waited.
            site.wake_peers();
            site.end_locked_down(name)
        }
        // Peers have connections instead of sessions.
        Change::Peer(change) => {
            peers(site, change);
            0
        }
        // No session ends; the worker that delivers looks at the outbox.
        Change::Alarm(_) => {
            site.wake_outbox();
            0
        }
        // A ticket opens no session, and a device keeps its session through a change of its name.
        Change::InsertAccount(_)
        | Change::RenewPassphrase(_)
        | Change::PutPersonData { .. }
        | Change::ExpectAccount { .. }
        | Change::ExpectSetting { .. }
        | Change::InsertTicket(_)
        | Change::BindTicket { .. }
        | Change::RevokeTicket { .. }
        | Change::DeleteTicket { .. }
        | Change::RevokeOpenTickets { .. }
        | Change::ForgetTickets { .. }
        | Change::InsertDevice(_)
        | Change::UpdateDevice(_)
        | Change::SeeDevice { .. }
        | Change::InsertKey(_)
        | Change::InsertApplication(_)
        | Change::UpdateApplication(_)
        | Change::DeleteApplication { .. }
        | Change::DeleteDamagedApplication(_)
        | Change::SealData { .. }
        | Change::AccessToken(AccessTokenChange::Insert(_) | AccessTokenChange::Used(_))
        | Change::CompleteRequest(_)
        | Change::PutScript(_) => 0,
    }
}

/// Ends the connections of a peer that is active no more, and tells the transport of messages and
/// of new peers.
fn peers(site: &Site, change: &PeerChange) {
    match change {
        PeerChange::Insert(peer) | PeerChange::Update(peer) => site.peer_changed(peer),
        PeerChange::Send(_) => site.wake_peers(),
        PeerChange::Forget { site: of, .. } => site.forget_told(*of),
        PeerChange::ForgetDamaged(of) => {
            site.end_peer(*of);
            site.forget_told(*of);
        }
        PeerChange::ToldVoid(told) => site.told_void(told),
        PeerChange::See { .. }
        | PeerChange::Delivered { .. }
        | PeerChange::Undeliverable { .. }
        | PeerChange::Witness { .. }
        | PeerChange::VoidHeads { .. }
        | PeerChange::Void(_)
        | PeerChange::Receive { .. }
        | PeerChange::DiscardSent { .. }
        | PeerChange::DiscardWaiting { .. }
        | PeerChange::DiscardReceived { .. } => {}
    }
}

/// Ends the sessions of an account that were opened with a delivered key, which has been replaced
/// or removed. The session that made the change continues.
fn end_delivered(site: &Site, set: &ChangeSet, account: AccountId) -> usize {
    site.sessions()
        .cut_account(account, CloseReason::KeyRevoked, |info| {
            matches!(info.proof, Proof::DeliveredKey(_)) && Some(info.id) != set.session
        })
}

/// Applies a notice to memory and counts what it changed.
fn apply_notice(site: &Site, notice: &Notice, effects: &mut Effects) {
    match notice {
        Notice::NameReleased(name) => site.throttle().logins().forget(name),
        Notice::Unsealed(key) => {
            site.key_opened(key);
            site.wake_peers();
        }
        Notice::KeyReplaced(key) => site.key_replaced(key),
        Notice::Sealed => site.forget_keys(),
        Notice::PenaltiesForgotten(source) => {
            effects.penalties_forgotten += site.throttle().penalties().forget(*source);
        }
        Notice::ProofStarted {
            session,
            resumptions,
            challenge,
            at,
        } => {
            let started = challenge.take().and_then(|challenge| {
                let start = |fresh: &mut FreshProof| fresh.start(*resumptions, challenge, *at);
                site.sessions().fresh_proof(*session, start)
            });
            effects.proofs_changed += usize::from(started == Some(true));
        }
        Notice::ProofVerified {
            session,
            number,
            login,
            at,
        } => {
            if let Some((name, source)) = login {
                let mut logins = site.throttle().logins();
                logins.succeeded(name, *source, *at);
            }
            let sessions = site.sessions();
            let accepted = sessions.fresh_proof(*session, |fresh| fresh.accept(*number, *at));
            effects.proofs_changed += usize::from(accepted == Some(true));
        }
        Notice::VoidAtPeers(voids) => site.void_at_peers(voids),
        Notice::SessionEnds { .. } | Notice::SessionsNotOfferedEnd | Notice::Event { .. } => {}
    }
}

/// Ends the sessions that a notice names, and publishes its event. Returns the number of sessions
/// ended.
fn deliver_notice(site: &Site, notice: &Notice) -> usize {
    match notice {
        Notice::SessionEnds { id, reason } => usize::from(site.sessions().cut(*id, *reason)),
        Notice::SessionsNotOfferedEnd => {
            let offered = site.options();
            site.sessions()
                .cut_where(CloseReason::OptionDisabled, |info| {
                    info.option
                        .is_some_and(|option| !offered.ranked().contains(&option))
                })
        }
        Notice::Event { to, event } => {
            site.events().publish(to, event);
            0
        }
        // A sealed site serves nothing, and a suspended session could be resumed without its key.
        Notice::Sealed => {
            site.events().end_streams(CloseReason::SiteSealed, |_| true);
            site.events().forget();
            site.end_peers(CloseReason::SiteSealed, |_| true);
            site.sessions().cut_where(CloseReason::SiteSealed, |_| true)
        }
        // Peers must see the new key, and no connection with the replaced one may stay.
        Notice::KeyReplaced(_) => {
            site.end_peers(CloseReason::KeyRevoked, |_| true);
            0
        }
        Notice::NameReleased(_)
        | Notice::Unsealed(_)
        | Notice::PenaltiesForgotten(_)
        | Notice::VoidAtPeers(_)
        | Notice::ProofStarted { .. }
        | Notice::ProofVerified { .. } => 0,
    }
}

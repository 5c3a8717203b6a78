//! Another site joins this one with a ticket that a person of this site gave away.

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::TicketKind;
use countersign_proto::name::AccountName;
use countersign_proto::peer::{JoinRequest, ProvenSite};
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent};
use serde_json::json;

use super::Site;
use super::following::FollowedEvents;
use crate::access::Channel;
use crate::accounts::Kind;
use crate::alarms::{PeerAlarm, SystemAlarm};
use crate::audit::AuditDraft;
use crate::engine::enrolment::Presented;
use crate::engine::{NotEnrolled, RegistrationOrigin};
use crate::enrolment::RevocationReason;
use crate::lockdown::Activity;
use crate::peers::{Introduction, MAX_PEERS, Peer, PeerPermission, PeerState};
use crate::store::{Change, ChangeSet, PeerChange, StoreError, Thing, Unique};
use crate::throttle::{Rate, Source};
use crate::timestamp::Timestamp;

/// How often a change of a peer is stored when the peer is changed at the same time.
pub(crate) const PEER_TRIES: u32 = 4;

impl Site {
    /// Makes another site a peer. `proof` is [`JoinRequest::verify`], and is polled only when the
    /// token is right: wait in it for a turn at public-key work.
    ///
    /// A right token is spent in either case: it is bound to the site, or revoked when what came
    /// with it is wrong. A lockdown of the person, the other site or this site refuses it unspent.
    /// The bound site may come again until the ticket expires and gets the same answer. Refusals
    /// are counted for the audit log and against the source.
    ///
    /// Run this to its end even when the other site goes away, so that it cannot keep a token
    /// unspent by that.
    ///
    /// # Errors
    /// [`NotEnrolled`].
    pub async fn accept_peer(
        &self,
        request: &JoinRequest,
        proof: impl Future<Output = Option<ProvenSite>> + Send,
        source: Source,
        now: Timestamp,
    ) -> Result<(), NotEnrolled> {
        let claimed = Thumbprint(request.claimed_site().0);
        let token = request.token_hash();
        let origin = RegistrationOrigin {
            source,
            channel: Channel::Peer,
            is_client: true,
        };
        let presented = self.presented(&token, claimed, origin, now).await?;
        let (ticket, account) = (&presented.ticket, &presented.account);
        if ticket.kind != TicketKind::Peer || account.kind != Kind::Person {
            return presented.misused(RevocationReason::WrongKind).await;
        }
        // The token stays unspent, and may be used once the lockdown is lifted.
        if !self.permits_peer(Activity::PeerJoin, request.claimed_site()) {
            return Err(presented.refused("lockdown"));
        }
        // The bound site may repeat its request, and each one costs a verification of its key events.
        let rate = Rate::RepeatedJoins(ticket.id);
        if presented.bound.is_some() && self.throttle().rates().take(rate, now).is_err() {
            return Err(presented.refused("repeated_too_often"));
        }
        let proven = proof.await;
        let proven = proven.filter(|proven| proven.site().id() == request.claimed_site());
        let Some(proven) = proven else {
            return presented.misused(RevocationReason::WrongProof).await;
        };
        let introduction = Introduction {
            own: presented.account.id,
            own_name: presented.account.name.clone(),
            other: request.id().clone(),
            at: now,
        };
        let (host, port) = request.address();
        for _ in 0..PEER_TRIES {
            // Read in each try: the account may have been locked while the proof waited for its turn, or since
            // the last try.
            let account = self.store().account(account.id).await?;
            if !account.is_some_and(|account| account.is_active()) {
                return Err(presented.refused("account_not_active"));
            }
            // Before it is asked what they refuse.
            let lockdowns = self.expect_lockdowns();
            if presented.is_locked_down()
                || !self.permits_peer(Activity::PeerJoin, request.claimed_site())
            {
                return Err(presented.refused("lockdown"));
            }
            let other = OtherSite {
                known: *proven.site(),
                events: request.events(),
                host,
                port,
                introduction: introduction.clone(),
                // The ticket may name an earlier address of this site.
                told_address: None,
            };
            match self.peer_change(other, now).await? {
                Ok(change) => {
                    let id = request.id();
                    let joined = presented.join(change, lockdowns, *proven.site(), id);
                    if joined.await? {
                        return Ok(());
                    }
                }
                Err(problem) => {
                    if problem == NoPeer::Zone {
                        self.alarm_of_peer(proven.site(), request.id(), PeerAlarm::ZoneTaken);
                    }
                    return presented.not_joined(problem).await;
                }
            }
        }
        Err(presented.refused("changed_meanwhile"))
    }

    /// Returns the change that makes a site a peer, or that stores another introduction to it. New key
    /// events of a peer are followed, whatever becomes of the introduction.
    pub(super) async fn peer_change(
        &self,
        other: OtherSite<'_>,
        now: Timestamp,
    ) -> Result<Result<PeerChange, NoPeer>, StoreError> {
        let site = other.known.id();
        if site == self.id() {
            return Ok(Err(NoPeer::Own));
        }
        let Some(zone) = other.introduction.other.zone().cloned() else {
            return Ok(Err(NoPeer::Zone));
        };
        let owner = self.store().peer_of_zone(&zone).await?;
        if zone == self.zone() || owner.is_some_and(|owner| owner.site() != site) {
            return Ok(Err(NoPeer::Zone));
        }
        let Some(peer) = self.store().peer(site).await? else {
            if self.store().peer_count().await? >= MAX_PEERS as u64 {
                return Ok(Err(NoPeer::TooMany));
            }
            return Ok(Ok(PeerChange::Insert(Box::new(other.peer(zone, now)))));
        };
        match peer.state {
            PeerState::Removed { .. } => return Ok(Err(NoPeer::Removed)),
            PeerState::Suspended { .. } => return Ok(Err(NoPeer::Suspended)),
            PeerState::Active if peer.zone != zone => return Ok(Err(NoPeer::Zone)),
            PeerState::Active => {}
        }
        // As on a connection: with the rate, the audit entry, the void heads and the alarms. The event
        // that is known must be among them: a chain that ends before it proves a key that was replaced.
        let proven = Some(other.known.keys().signing);
        let peer = match self.follow_peer(peer, other.events, proven, now).await? {
            FollowedEvents::Known(peer) if peer.known == other.known => peer,
            FollowedEvents::Known(_) => return Ok(Err(NoPeer::Behind)),
            FollowedEvents::TooOften => return Ok(Err(NoPeer::NewKeysWait)),
            FollowedEvents::Refused => return Ok(Err(NoPeer::Contradicts)),
        };
        let peer = peer.revised(|peer| {
            peer.host = other.stored_host();
            peer.introduce(other.introduction);
            peer.port = other.port;
            peer.told_address = other.told_address;
        });
        Ok(Ok(PeerChange::Update(Box::new(peer))))
    }

    /// Reports that a site claims what is another's.
    pub(super) fn alarm_of_peer(&self, site: &KnownSite, id: &AccountName, problem: PeerAlarm) {
        self.report(SystemAlarm::Peer {
            site: site.id().to_string(),
            id: id.to_string(),
            problem,
        });
    }
}

/// A site that proved what it is, and who introduced it.
pub(super) struct OtherSite<'a> {
    pub(super) known: KnownSite,
    /// All its key events, which are verified.
    pub(super) events: &'a [SignedKeyEvent],
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) introduction: Introduction,
    /// Where this site listens, as it told the other one with the request; `None` if it did not.
    pub(super) told_address: Option<String>,
}

impl OtherSite<'_> {
    /// The host as it is stored. The case of a DNS name means nothing.
    fn stored_host(&self) -> String {
        self.host.to_ascii_lowercase()
    }

    fn peer(self, zone: countersign_proto::name::Zone, now: Timestamp) -> Peer {
        Peer {
            known: self.known,
            zone,
            host: self.stored_host(),
            port: self.port,
            introductions: vec![self.introduction],
            state: PeerState::Active,
            told_address: self.told_address,
            allows: PeerPermission::ALL.to_vec(),
            joined: now,
            last_seen: None,
            sent: 0,
            received: 0,
            revision: 1,
        }
    }
}

/// Why a site cannot be a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPeer {
    /// It is this site.
    Own,
    /// Its zone is this site's, another peer's, or another one than before.
    Zone,
    /// Its key events contradict what is known of it.
    Contradicts,
    /// Its key events do not reach the newest known one.
    Behind,
    /// This site followed as many new keys of it as it may for now.
    NewKeysWait,
    /// It is a tombstone.
    Removed,
    /// It is suspended.
    Suspended,
    /// There are as many peers as there may be.
    TooMany,
}

impl Presented<'_> {
    /// Refuses a site that cannot be a peer.
    async fn not_joined(&self, problem: NoPeer) -> Result<(), NotEnrolled> {
        match problem {
            NoPeer::Zone => self.misused(RevocationReason::ZoneInUse).await,
            NoPeer::Contradicts | NoPeer::Behind => {
                self.misused(RevocationReason::WrongProof).await
            }
            NoPeer::Own => self.misused(RevocationReason::KeyInUse).await,
            NoPeer::NewKeysWait => Err(self.refused("new_keys_wait")),
            NoPeer::Removed => Err(self.refused("peer_removed")),
            NoPeer::Suspended => Err(self.refused("peer_suspended")),
            NoPeer::TooMany => Err(self.refused("too_many_peers")),
        }
    }

    /// Binds the ticket to the site and makes it a peer, both or neither. `false` if a lockdown or the peer was
    /// changed at the same time: a connection stores what it was told.
    async fn join(
        &self,
        change: PeerChange,
        lockdowns: Change,
        known: KnownSite,
        id: &AccountName,
    ) -> Result<bool, NotEnrolled> {
        let (site, account, now) = (self.site, &self.account, self.now);
        if self.bound.is_some() {
            // The answer to the first request was lost. The peer may have been changed since.
            return match site.store().peer(known.id()).await? {
                Some(peer) if peer.is_active() => Ok(true),
                _ => Err(self.refused("peer_removed")),
            };
        }
        let bind = Change::BindTicket {
            id: self.ticket.id,
            account: account.id,
            thumbprint: self.thumbprint,
            device: None,
            at: now,
        };
        let details = json!({
            "site": known.id(),
            "id": id,
            "ticket": self.ticket.id,
            "source": self.source,
        });
        let audit = AuditDraft {
            target: Some(known.id().to_string()),
            details: details.to_string(),
            ..AuditDraft::of_account(account, Channel::Peer, "peer.joined", now)
        };
        let changes = vec![bind, Change::Peer(change), lockdowns];
        match site.store().commit(ChangeSet::new(changes, audit)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Stale {
                what: Thing::Ticket,
            }) => self.bound_meanwhile().await.map(|_| true),
            Err(StoreError::Conflict {
                what: Unique::PeerZone,
            }) => {
                site.alarm_of_peer(&known, id, PeerAlarm::ZoneTaken);
                self.misused(RevocationReason::ZoneInUse)
                    .await
                    .map(|()| true)
            }
            Err(StoreError::Stale { .. } | StoreError::Conflict { .. }) => Ok(false),
            Err(StoreError::NotFound { .. }) => Err(self.refused("deleted")),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

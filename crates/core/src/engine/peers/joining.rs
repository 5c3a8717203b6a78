//! This site joins another one with a ticket.

use countersign_proto::name::AccountName;
use countersign_proto::peer::{JoinedSite, PeerTicket};
use countersign_proto::site_identity::KnownSite;

use super::accepting::{NoPeer, OtherSite};
use super::{OwnSide, Site, TransportError, lock};
use crate::accounts::Account;
use crate::alarms::PeerAlarm;
use crate::engine::Refusal;
use crate::id::AccountId;
use crate::lockdown::LockdownTarget;
use crate::peers::Introduction;
use crate::store::PeerChange;
use crate::timestamp::Timestamp;

/// The most joins at a time. Each is a connection to an address that its person chooses, for up to
/// half a minute, and holds a file descriptor. One person has one of them at most.
pub const MAX_JOINS: usize = 4;

/// The right to join another site for a person, which ends when this is dropped.
struct JoinTurn<'a> {
    site: &'a Site,
    person: AccountId,
}

impl Drop for JoinTurn<'_> {
    fn drop(&mut self) {
        lock(&self.site.peering().joining).retain(|person| *person != self.person);
    }
}

/// A site that was joined. It is no peer here yet.
pub(crate) struct Joined {
    pub(crate) site: JoinedSite,
    own: AccountId,
    own_name: AccountName,
    told_address: Option<String>,
}

impl Site {
    /// Presents a ticket for `person` to the site that issued it.
    pub(crate) async fn join_peer(
        &self,
        ticket: &PeerTicket,
        person: &Account,
    ) -> Result<Joined, Refusal> {
        let stopped = || {
            Refusal::conflict(
                "the peer server does not run, so the other site could not connect",
                "start it with `peer start`",
            )
        };
        let transport = self.peer_transport().ok_or_else(stopped)?;
        let address = self.endpoints().peer.ok_or_else(stopped)?;
        let told_address = Some(address.to_string());
        if ticket.id().zone() == Some(&self.zone()) {
            return Err(Refusal::conflict(
                format!("{} has the zone of this site", ticket.id()),
                "each site needs a zone of its own",
            ));
        }
        let _turn = self.turn_to_join(person.id)?;
        let own = OwnSide {
            id: person.name.clone(),
            host: address.host,
            port: address.port,
            account: person.id,
        };
        let joined = transport.join(ticket, &own).await.map_err(|error| {
            let message = format!("the other site could not be joined: {error}");
            match error {
                TransportError::Unreachable(_) => Refusal::conflict(
                    message,
                    "check the address, and repeat with the same ticket",
                ),
                TransportError::Refused(_) => {
                    let hint = "ask the other person for a new ticket; if that is refused too, ask an admin there \
                        what `countersign peer list` says of this site: one that was removed needs \
                        `countersign peer forget`";
                    Refusal::conflict(message, hint)
                }
            }
        })?;
        Ok(Joined {
            site: joined,
            own: person.id,
            own_name: person.name.clone(),
            told_address,
        })
    }

    /// Returns the change that makes a site that was joined with this ticket a peer, as peers and lockdowns
    /// are now.
    pub(crate) async fn joined_change(
        &self,
        joined: &Joined,
        ticket: &PeerTicket,
        now: Timestamp,
    ) -> Result<PeerChange, Refusal> {
        let known = joined.site.known;
        let target = LockdownTarget::Peer(known.id());
        if self.lockdowns().of(&target).is_some() {
            return Err(Refusal::conflict(
                "the other site is in lockdown here",
                format!(
                    "an admin lifts it with `lockdown lift peer {}`; repeat with the same ticket then",
                    known.id()
                ),
            ));
        }
        let other = OtherSite {
            known,
            events: &joined.site.events,
            host: ticket.host(),
            port: ticket.port(),
            introduction: Introduction {
                own: joined.own,
                own_name: joined.own_name.clone(),
                other: ticket.id().clone(),
                at: now,
            },
            told_address: joined.told_address.clone(),
        };
        self.peer_change(other, now).await?.map_err(|problem| {
            if problem == NoPeer::Zone {
                self.alarm_of_peer(&known, ticket.id(), PeerAlarm::ZoneTaken);
            }
            problem.refusal(ticket, &known)
        })
    }

    fn turn_to_join(&self, person: AccountId) -> Result<JoinTurn<'_>, Refusal> {
        let mut joining = lock(&self.peering().joining);
        if joining.contains(&person) || joining.len() >= MAX_JOINS {
            return Err(Refusal::busy_for("too many sites are being joined", 30_000));
        }
        joining.push(person);
        Ok(JoinTurn { site: self, person })
    }
}

impl NoPeer {
    fn refusal(self, ticket: &PeerTicket, known: &KnownSite) -> Refusal {
        let id = ticket.id();
        match self {
            Self::Own => Refusal::conflict(
                "the ticket is of this site",
                "use it at the other person's site",
            ),
            Self::Zone => Refusal::conflict(
                format!("the zone of {id} is another peer's"),
                "ask both persons which site has the zone; `peer list` shows the peers",
            ),
            Self::Contradicts => Refusal::conflict(
                "the key events of the other site contradict what is known of it",
                "do not use the ticket; ask the operator of the other site",
            ),
            Self::Behind => Refusal::conflict(
                "the key events of the other site do not reach the newest one that is known here",
                "ask the operator of the other site whether it was restored from an old backup, and for a new ticket",
            ),
            Self::NewKeysWait => Refusal::conflict(
                "the other site replaced its key so often that this one follows it later",
                "repeat with the same ticket in an hour",
            ),
            Self::Removed => Refusal::conflict(
                "the other site was removed from the peers",
                format!("an admin allows it again with `peer forget {}`", known.id()),
            ),
            Self::Suspended => Refusal::conflict(
                "the other site is a suspended peer",
                format!("an admin allows it again with `peer resume {}`", known.id()),
            ),
            Self::TooMany => Refusal::conflict(
                "the site has as many peers as it may have",
                "remove one with `peer remove PEER` and `peer forget PEER`",
            ),
        }
    }
}

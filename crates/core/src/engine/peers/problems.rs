//! Why messages do not reach a peer: what `peer doctor` names, with its cause and the next step.

use countersign_proto::name::Zone;
use countersign_proto::operation::Code;
use countersign_proto::site_identity::SiteId;

use super::{Site, lock};
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// A problem with a peer, which is active here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerProblem {
    /// There was no connection, or no reply in time.
    Unreachable {
        /// The error.
        why: String,
    },
    /// It proves another key than its newest known one, and no key event explains it.
    OtherKey,
    /// It closed the connection after the hello.
    NotAccepted,
    /// Its key events do not follow from those that are known.
    KeyEvents,
    /// This site followed as many new keys of the peer as it may for now, and waits.
    NewKeysWait,
    /// A holder of its key made key events that contradict those that are known.
    Forked,
    /// It sent what the protocol does not allow.
    Malformed {
        /// The error.
        why: String,
    },
    /// It does not allow this site to deliver messages.
    NotPermitted,
    /// It answered `peer deliver` with this code.
    NotTaken {
        /// The code.
        code: Code,
    },
    /// Messages for it cannot be read from the database of this site.
    NotRead {
        /// The error.
        why: String,
    },
}

impl PeerProblem {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::OtherKey => "other_key",
            Self::NotAccepted => "not_accepted",
            Self::KeyEvents => "key_events",
            Self::NewKeysWait => "new_keys_wait",
            Self::Forked => "forked",
            Self::Malformed { .. } => "malformed",
            Self::NotPermitted => "messages_not_permitted",
            Self::NotTaken { .. } => "messages_not_taken",
            Self::NotRead { .. } => "messages_not_read",
        }
    }

    /// The cause, with the address at which the peer was looked for.
    pub(crate) fn cause(&self, address: &str) -> String {
        match self {
            Self::Unreachable { why } => format!("it could not be reached at {address}: {why}"),
            Self::OtherKey => format!(
                "the site at {address} proves another key than the peer's, and no key event explains it"
            ),
            Self::NotAccepted => "it did not accept this site: it does not know it or the person who \
                introduced it, suspended or removed it, is in lockdown or was sealed, or follows no more \
                new keys for now"
                .to_owned(),
            Self::KeyEvents => {
                "its key events do not follow from those that this site verified".to_owned()
            }
            Self::NewKeysWait => {
                "this site followed as many new keys of it as it may for now".to_owned()
            }
            Self::Forked => {
                "its key signed key events that contradict those that this site verified".to_owned()
            }
            Self::Malformed { why } => format!("it broke the protocol: {why}"),
            Self::NotPermitted => "it does not allow this site to deliver messages".to_owned(),
            Self::NotTaken { code } => {
                let name = code.name().unwrap_or("of an application");
                format!(
                    "it answered `peer deliver` with the code {} ({name})",
                    code.0
                )
            }
            Self::NotRead { why } => {
                format!("messages for it cannot be read from the database of this site: {why}")
            }
        }
    }

    /// What the operator of this site does about it. `zone` names the peer.
    pub(crate) fn next_step(&self, zone: &Zone) -> String {
        let next = match self {
            Self::Unreachable { .. } => {
                "check its address, its peer server, and the network between the sites"
            }
            Self::OtherKey => {
                "check its address; if it is right, ask its operator over another path for the site id"
            }
            Self::NotAccepted => {
                "ask its operator to run `countersign peer doctor`, `countersign peer list` and \
                 `countersign lockdown status` there, and to resume or lift what they show; if it does not \
                 know this site, join it again with a ticket"
            }
            Self::KeyEvents => {
                "ask its operator over another path for its newest key, then join it again with a ticket"
            }
            Self::NewKeysWait => {
                return format!(
                    "wait up to an hour, this site connects again by itself; `peer show {zone}` lists the limits"
                );
            }
            Self::Forked => {
                return format!(
                    "`peer suspend {zone}`, and ask its operator over another path whether its key was stolen"
                );
            }
            Self::Malformed { .. } => "check that both sites run versions that fit each other",
            Self::NotPermitted => {
                "ask its operator to allow it with `countersign peer permit` there"
            }
            Self::NotTaken { .. } => {
                "wait, messages are sent again; if it lasts, ask the operator of the peer"
            }
            Self::NotRead { .. } => {
                "check the disk of this site; if the database is damaged, restore a backup"
            }
        };
        next.to_owned()
    }
}

/// The problems with one peer. They are kept apart, so that the end of one does not hide another.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Until the peer is suspended or removed.
    fork: Option<Timestamp>,
    /// Until this site reaches the peer.
    reach: Option<(PeerProblem, Timestamp)>,
    /// Until the peer takes messages.
    delivery: Option<(PeerProblem, Timestamp)>,
}

impl Site {
    /// Records a problem with a peer.
    pub fn peer_problem(&self, site: SiteId, problem: PeerProblem, now: Timestamp) {
        let mut all = lock(&self.peering().problems);
        let problems = all.entry(site).or_default();
        match problem {
            PeerProblem::Forked => problems.fork = Some(now),
            PeerProblem::NotPermitted
            | PeerProblem::NotTaken { .. }
            | PeerProblem::NotRead { .. } => {
                problems.delivery = Some((problem, now));
            }
            PeerProblem::Unreachable { .. }
            | PeerProblem::OtherKey
            | PeerProblem::NotAccepted
            | PeerProblem::KeyEvents
            | PeerProblem::NewKeysWait
            | PeerProblem::Malformed { .. } => problems.reach = Some((problem, now)),
        }
    }

    /// Records the code with which a peer answered `peer deliver`.
    pub fn delivery_answered(&self, site: SiteId, code: Code, now: Timestamp) {
        match code {
            Code::SUCCESS => {
                if let Some(problems) = lock(&self.peering().problems).get_mut(&site) {
                    problems.delivery = None;
                }
            }
            Code::NOT_PERMITTED => self.peer_problem(site, PeerProblem::NotPermitted, now),
            code => self.peer_problem(site, PeerProblem::NotTaken { code }, now),
        }
    }

    /// This site read the messages for a peer, or could not.
    pub(super) fn messages_read(&self, site: SiteId, error: Option<&StoreError>, now: Timestamp) {
        if let Some(error) = error {
            let why = error.to_string();
            return self.peer_problem(site, PeerProblem::NotRead { why }, now);
        }
        if let Some(problems) = lock(&self.peering().problems).get_mut(&site) {
            let was_read = |(problem, _): &mut _| matches!(problem, PeerProblem::NotRead { .. });
            problems.delivery.take_if(was_read);
        }
    }

    /// This site reached the peer.
    pub(crate) fn forget_reach_problem(&self, site: SiteId) {
        if let Some(problems) = lock(&self.peering().problems).get_mut(&site) {
            problems.reach = None;
        }
    }

    /// A peer that connected, or was joined again, knows this site, and this site followed its newest key.
    /// Whether this site can reach the peer is another question.
    pub(super) fn accepted_again(&self, site: SiteId) {
        if let Some(problems) = lock(&self.peering().problems).get_mut(&site) {
            let is_over = |(problem, _): &mut _| {
                matches!(problem, PeerProblem::NewKeysWait | PeerProblem::NotAccepted)
            };
            problems.reach.take_if(is_over);
        }
    }

    /// The peer is not active any more.
    pub(super) fn forget_problems(&self, site: SiteId) {
        lock(&self.peering().problems).remove(&site);
    }

    /// The worst problem with a peer, and when it was seen last; `None` without one.
    pub(crate) fn last_peer_problem(&self, site: SiteId) -> Option<(PeerProblem, Timestamp)> {
        let all = lock(&self.peering().problems);
        let problems = all.get(&site)?;
        let fork = problems.fork.map(|at| (PeerProblem::Forked, at));
        fork.or_else(|| problems.reach.clone())
            .or_else(|| problems.delivery.clone())
    }
}

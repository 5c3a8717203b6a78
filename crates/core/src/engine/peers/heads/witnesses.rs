//! Comparing the audit log with the heads that peers countersigned.

use countersign_proto::operation::Code;
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;
use futures_util::future::{BoxFuture, FutureExt, WeakShared};
use schemars::JsonSchema;
use serde::Serialize;

use super::HeadProof;
use crate::engine::Site;
use crate::engine::peers::{PeerServerState, lock};
use crate::peers::{LogSide, MAX_HEADS, Peer};
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// The question to all peers that verifications wait for, if there is one.
pub(in crate::engine::peers) type WitnessesAsked = Option<WeakShared<BoxFuture<'static, u64>>>;

/// What the heads that one peer countersigned say about the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Witness {
    /// The peer.
    #[schemars(with = "String")]
    pub(crate) peer: SiteId,
    /// Its zone.
    pub(crate) zone: String,
    /// Whether the peer replied to this verification. Otherwise only the heads that are stored here
    /// were compared.
    pub(crate) answered: bool,
    /// Why the peer did not reply; absent if it did, or if its reply was still awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// The number of heads that it countersigned and that are stored here.
    pub(crate) heads: usize,
    /// The number of those that do not count: they came to the peer after their key was replaced, or
    /// after it was stolen.
    #[serde(skip)]
    pub(crate) void: usize,
    /// The log is as the peer saw it up to this entry; 0 if no head confirms that.
    pub(crate) confirmed: u64,
    /// The first entry that differs from what the peer saw; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) differs: Option<Difference>,
}

/// An entry of the log that is not as a peer saw it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// The number of the first entry that is missing, or of the first entry that the peer saw and
    /// that differs. Entries after the confirmed one up to it may differ too.
    pub(crate) entry: u64,
    /// How the log contradicts what the peer saw.
    pub(crate) problem: Discrepancy,
    /// The number of the entry that the peer saw as the last one.
    pub(crate) head: u64,
    /// When the peer saw it, by the peer's clock.
    pub(crate) seen: Timestamp,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Discrepancy {
    /// The log ends before it.
    Missing,
    /// The log has another entry with this number.
    Altered,
    /// The stored head or its receipt has a wrong signature: the database was changed.
    Forged,
}

impl Witness {
    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let (zone, confirmed) = (&self.zone, self.confirmed);
        let replied = match (&self.problem, self.answered) {
            (_, true) => "replied".to_owned(),
            (Some(problem), false) => format!("did not reply: {problem}"),
            (None, false) => "did not reply in time".to_owned(),
        };
        let Some(differs) = &self.differs else {
            let line = match self.heads {
                0 => format!("{zone}: {replied}; it has countersigned no entry."),
                _ => format!("{zone}: {replied}; it confirms the log up to entry {confirmed}."),
            };
            return match self.void {
                0 => line,
                void => format!(
                    "{line} Void: {void} of its {} heads, which it saw after their key was replaced or stolen.",
                    self.heads
                ),
            };
        };
        let Difference {
            entry,
            problem,
            head,
            seen,
        } = differs;
        let what = match problem {
            Discrepancy::Missing => format!("the log ends before entry {entry}"),
            Discrepancy::Altered => format!("entry {entry} differs"),
            Discrepancy::Forged => {
                return format!(
                    "{zone}: {replied}; the stored head for entry {head} has a wrong signature: the database was \
                     altered outside the site."
                );
            }
        };
        format!(
            "{zone}: {replied}; {what}. The peer saw the log up to entry {head} at {seen}; entries after \
             {confirmed} may have been altered."
        )
    }
}

impl Site {
    /// Sends heads to all peers and waits, for a limited time, for their replies. Returns the number
    /// of the event. Verifications at the same time share one question, which ends when none of them
    /// waits any longer.
    pub(crate) async fn ask_witnesses(&self) -> u64 {
        let question = {
            let mut asked = lock(&self.peering().witnesses_asked);
            asked
                .as_ref()
                .and_then(WeakShared::upgrade)
                .unwrap_or_else(|| {
                    let question = self.clone().question_to_witnesses().boxed().shared();
                    *asked = question.downgrade();
                    question
                })
        };
        question.await
    }

    async fn question_to_witnesses(self) -> u64 {
        let wanted = self.send_heads();
        if let Some(transport) = self.peer_transport() {
            transport.heads_sent().await;
        }
        wanted
    }

    /// Compares the log with the heads that the peers countersigned, suspended and removed ones
    /// included. `wanted` is the number of the event since which a peer must have replied to count
    /// as having answered.
    pub(crate) async fn witnesses(
        &self,
        wanted: u64,
        now: Timestamp,
    ) -> Result<Vec<Witness>, StoreError> {
        let mut witnesses = Vec::new();
        for peer in self.all_peers().await? {
            let site = peer.site();
            let heads = self.store().audit_heads(site, LogSide::Own, MAX_HEADS);
            let heads = heads.await?;
            if peer.is_active() || !heads.is_empty() {
                witnesses.push(self.witness(&peer, &heads, wanted, now).await?);
            }
        }
        Ok(witnesses)
    }

    async fn witness(
        &self,
        peer: &Peer,
        heads: &[WitnessedHead],
        wanted: u64,
        now: Timestamp,
    ) -> Result<Witness, StoreError> {
        let end = self.store().audit_head().await?.seq;
        let (mut confirmed, mut void) = (0, 0);
        let mut differs = None;
        for witnessed in heads {
            let head = witnessed.head.head();
            let (entry, problem) = match self.proof_of(witnessed, peer) {
                HeadProof::Void => {
                    void += 1;
                    continue;
                }
                HeadProof::Forged => (head.seq, Discrepancy::Forged),
                HeadProof::Signed if head.seq > end => {
                    (end.saturating_add(1), Discrepancy::Missing)
                }
                HeadProof::Signed if self.log_has(head).await? => {
                    confirmed = head.seq;
                    continue;
                }
                HeadProof::Signed => (head.seq, Discrepancy::Altered),
            };
            // Another head with the same number may be in the log.
            confirmed = confirmed.min(entry.saturating_sub(1));
            differs = Some(Difference {
                entry,
                problem,
                head: head.seq,
                seen: Timestamp::from_millis(witnessed.receipt.time),
            });
            break;
        }
        let answered = lock(&self.peering().heads).has_answered(peer.site(), wanted);
        Ok(Witness {
            peer: peer.site(),
            zone: peer.zone.to_string(),
            answered,
            problem: match answered {
                true => None,
                false => self.why_unanswered(peer, now),
            },
            heads: heads.len(),
            void,
            confirmed,
            differs,
        })
    }

    fn why_unanswered(&self, peer: &Peer, now: Timestamp) -> Option<String> {
        if !peer.is_active() {
            return Some(format!("it is {}", peer.state));
        }
        let server = self.peer_server();
        if server != PeerServerState::Running {
            return Some(format!("the peer server is {}", server.as_str()));
        }
        if let Some((problem, at)) = self.last_peer_problem(peer.site()) {
            return Some(format!("{} ({at})", problem.cause(&peer.address())));
        }
        if let Some(until) = self.head_rests_until(peer.site(), now) {
            return Some(format!("it was busy; peer resting until {until}"));
        }
        let refused = lock(&self.peering().heads).refusal(peer.site());
        refused.map(|code| match code {
            Code::NOT_PERMITTED => {
                "it does not permit this site to send heads; ask its operator for `countersign peer permit` there"
                    .to_owned()
            }
            Code::BUSY => "it is busy; verify again in a minute".to_owned(),
            Code::SEALED => "it is sealed".to_owned(),
            Code::LOCKDOWN => "it is in lockdown".to_owned(),
            other => format!("it refused the head with the code {}", other.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a rotation with a clock that was behind, honest heads were void, and the verification of the
    /// log said nothing about it.
    #[test]
    fn void_heads_are_counted_in_the_line() {
        let witness = |void| Witness {
            peer: SiteId([1; 32]),
            zone: "b.example".to_owned(),
            answered: true,
            problem: None,
            heads: 3,
            void,
            confirmed: 7,
            differs: None,
        };
        let line = "b.example: replied; it confirms the log up to entry 7.";
        assert_eq!(witness(0).line(), line);
        let void = "Void: 2 of its 3 heads, which it saw after their key was replaced or stolen.";
        assert_eq!(witness(2).line(), format!("{line} {void}"));
    }
}

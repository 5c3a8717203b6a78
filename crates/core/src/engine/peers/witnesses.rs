//! Comparing the audit log with the heads that peers countersigned.

use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Site, lock};
use crate::peers::{LogSide, MAX_HEADS, Peer};
use crate::store::StoreError;
use crate::timestamp::Timestamp;

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
    /// The number of heads that it countersigned and that are stored here.
    pub(crate) heads: usize,
    /// The log is as the peer saw it up to this entry; 0 if no head confirms that.
    pub(crate) confirmed: u64,
    /// The first entry that differs from what the peer saw; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) differs: Option<Difference>,
}

/// An entry of the log that is not as a peer saw it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Difference {
    /// The number of the first entry that is missing, or of the first head that differs. Entries
    /// after the confirmed one up to it may have been altered.
    pub(crate) entry: u64,
    /// What is wrong.
    pub(crate) problem: Discrepancy,
    /// When the peer saw the entry that is not in the log, by the peer's clock.
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
        let (zone, heads, confirmed) = (&self.zone, self.heads, self.confirmed);
        let Some(Difference {
            entry,
            problem,
            seen,
        }) = &self.differs
        else {
            let how = match (heads, self.answered) {
                (0, true) => return format!("{zone}: countersigned no head yet."),
                (0, false) => return format!("{zone}: did not reply, and no head is stored here."),
                (_, true) => "replied",
                (_, false) => "did not reply; the heads stored here were compared",
            };
            return format!("{zone}: {how}; confirms the log up to entry {confirmed}.");
        };
        let what = match problem {
            Discrepancy::Missing => format!("the log ends before entry {entry}, which"),
            Discrepancy::Altered => {
                format!("entry {entry}, or one after entry {confirmed}, was altered since")
            }
            Discrepancy::Forged => {
                return format!(
                    "{zone}: the stored head of entry {entry} is forged: the database was altered outside the site."
                );
            }
        };
        match problem {
            Discrepancy::Missing => format!("{zone}: {what} this peer saw at {seen}."),
            _ => format!("{zone}: {what} this peer saw it at {seen}."),
        }
    }
}

impl Site {
    /// Sends heads to all peers and waits, for a limited time, for their replies. Returns the number
    /// of the event.
    pub(crate) async fn ask_witnesses(&self) -> u64 {
        let wanted = self.send_heads();
        if let Some(transport) = self.peer_transport() {
            transport.heads_sent().await;
        }
        wanted
    }

    /// Compares the log with the heads that the peers countersigned. `wanted` is the number of the
    /// event since which a peer must have replied to count as having answered.
    pub(crate) async fn witnesses(&self, wanted: u64) -> Result<Vec<Witness>, StoreError> {
        let mut witnesses = Vec::new();
        for peer in self.active_peers().await? {
            let heads = self
                .store()
                .audit_heads(peer.site(), LogSide::Own, MAX_HEADS);
            let heads = heads.await?;
            let answered = lock(&self.peering().heads).has_answered(peer.site(), wanted);
            witnesses.push(self.witness(&peer, &heads, answered).await?);
        }
        Ok(witnesses)
    }

    async fn witness(
        &self,
        peer: &Peer,
        heads: &[WitnessedHead],
        answered: bool,
    ) -> Result<Witness, StoreError> {
        let end = self.store().audit_head().await?.seq;
        let mut confirmed = 0;
        let mut differs = None;
        for witnessed in heads {
            let head = witnessed.head.head();
            let problem = if !self.is_witnessed(witnessed, peer) {
                Some((head.seq, Discrepancy::Forged))
            } else if head.seq > end {
                Some((end.saturating_add(1), Discrepancy::Missing))
            } else if self.log_has(head).await? {
                confirmed = head.seq;
                None
            } else {
                Some((head.seq, Discrepancy::Altered))
            };
            if let Some((entry, problem)) = problem {
                differs = Some(Difference {
                    entry,
                    problem,
                    seen: Timestamp::from_millis(witnessed.receipt.time),
                });
                break;
            }
        }
        Ok(Witness {
            peer: peer.site(),
            zone: peer.zone.to_string(),
            answered,
            heads: heads.len(),
            confirmed,
            differs,
        })
    }
}

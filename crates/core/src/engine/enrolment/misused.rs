//! Enrolment tickets that came with a wrong id, kind, proof or record.
//!
//! ```text
//! wrong ──▶ in this set at once ──▶ revoked in the store ──▶ forgotten a minute later
//!                                      │ failed: tried again each second
//! ```
//!
//! A revocation takes a write, which is not instant and fails on a full disk. Until then only this set
//! keeps an attacker from trying a second id with the same token.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde_json::json;

use crate::access::Channel;
use crate::audit::{Actor, AuditDraft, AuditOutcome};
use crate::engine::Site;
use crate::enrolment::RevocationReason;
use crate::id::{AccountId, TicketId};
use crate::store::{Change, ChangeSet, StoreError};
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// The most tickets in the set. While each of them waits for a store that accepts writes, no further
/// ticket can be used.
const MAX_MISUSED: usize = 1_024;
/// How long a revoked ticket stays in the set, in seconds: longer than a request that read the ticket
/// before it was revoked takes to compare the id.
const FORGOTTEN_AFTER: u32 = 60;

/// The tickets that were misused.
#[derive(Debug, Default)]
pub(in crate::engine) struct MisusedTickets {
    tickets: BTreeMap<TicketId, Misuse>,
}

/// The misuse of a ticket.
#[derive(Debug, Clone)]
pub(super) struct Misuse {
    pub(super) account: AccountId,
    /// The account's name, for the audit log.
    pub(super) name: String,
    pub(super) why: RevocationReason,
    pub(super) source: Source,
    /// The channel on which the token came.
    pub(super) channel: Channel,
    pub(super) at: Timestamp,
    /// When the store revoked the ticket.
    pub(super) revoked: Option<Timestamp>,
}

impl MisusedTickets {
    /// Adds a ticket. Returns whether it may not be used: it is in the set already, or the set is full.
    fn refuses(&mut self, id: TicketId, misuse: Option<Misuse>) -> bool {
        if self.tickets.contains_key(&id) {
            return true;
        }
        if self.tickets.len() >= MAX_MISUSED {
            let revoked = self.tickets.iter().find(|(_, one)| one.revoked.is_some());
            let Some(revoked) = revoked.map(|(id, _)| *id) else {
                return true;
            };
            self.tickets.remove(&revoked);
        }
        if let Some(misuse) = misuse {
            self.tickets.insert(id, misuse);
        }
        false
    }
}

impl Site {
    fn misused_tickets(&self) -> MutexGuard<'_, MisusedTickets> {
        let misused = self.0.misused.lock();
        misused.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a ticket was misused, so that it may not be used although the store may still have it as
    /// open. With `misuse` it is from now on. Of requests with one token at the same time, the first one
    /// that asks decides.
    pub(super) fn refuses_ticket(&self, id: TicketId, misuse: Option<Misuse>) -> bool {
        self.misused_tickets().refuses(id, misuse)
    }

    /// Revokes a misused ticket in the store. Audited as `ticket.misused`. Returns `false` if it was
    /// revoked before, or its account deleted.
    pub(super) async fn revoke_misused(
        &self,
        id: TicketId,
        misuse: &Misuse,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let revoke = Change::RevokeTicket {
            id,
            account: misuse.account,
            at: misuse.at,
            why: misuse.why,
        };
        let audit = AuditDraft {
            time: misuse.at,
            actor: Actor {
                account: None,
                name: misuse.source.to_string(),
            },
            channel: misuse.channel,
            operation: "ticket.misused".to_owned(),
            target: Some(id.to_string()),
            outcome: AuditOutcome::Failed,
            details: json!({ "account": misuse.name, "why": misuse.why }).to_string(),
        };
        let revoked = match self
            .store()
            .commit(ChangeSet::new(vec![revoke], audit))
            .await
        {
            Ok(_) => true,
            Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) => false,
            Err(trouble) => return Err(trouble),
        };
        if let Some(misuse) = self.misused_tickets().tickets.get_mut(&id) {
            misuse.revoked = Some(now);
        }
        Ok(revoked)
    }

    /// Revokes the misused tickets whose revocation the store did not accept before. Call this each
    /// second.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails again. The next call tries again.
    pub async fn revoke_misused_tickets(&self, now: Timestamp) -> Result<(), StoreError> {
        let waiting: Vec<(TicketId, Misuse)> = {
            let mut misused = self.misused_tickets();
            let is_recent = |revoked: Timestamp| {
                // A time in the future was written before the clock was set back.
                revoked <= now && now < revoked.plus_seconds(FORGOTTEN_AFTER)
            };
            misused
                .tickets
                .retain(|_, misuse| misuse.revoked.is_none_or(is_recent));
            let waiting = misused.tickets.iter();
            let waiting = waiting.filter(|(_, misuse)| {
                // The request that found the misuse is about to revoke it.
                misuse.revoked.is_none() && now != misuse.at
            });
            waiting.map(|(id, misuse)| (*id, misuse.clone())).collect()
        };
        for (id, misuse) in waiting {
            self.revoke_misused(id, &misuse, now).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn misuse(revoked: Option<Timestamp>) -> Option<Misuse> {
        Some(Misuse {
            account: AccountId::from_bytes([1; 16]),
            name: "ada@example.org".to_owned(),
            why: RevocationReason::WrongId,
            source: Source::V4(Ipv4Addr::LOCALHOST),
            channel: Channel::Device,
            at: Timestamp::from_millis(0),
            revoked,
        })
    }

    fn id(number: usize) -> TicketId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        TicketId::from_bytes(bytes)
    }

    #[test]
    fn a_full_set_refuses_each_ticket_until_a_revocation_is_written() {
        let mut misused = MisusedTickets::default();
        for number in 0..MAX_MISUSED {
            assert!(!misused.refuses(id(number), misuse(None)));
        }
        assert!(misused.refuses(id(0), None), "it was misused");
        assert!(misused.refuses(id(MAX_MISUSED), None), "there is no place");
        let first = misused.tickets.get_mut(&id(0)).unwrap();
        first.revoked = Some(Timestamp::from_millis(1));
        assert!(!misused.refuses(id(MAX_MISUSED), misuse(None)));
        assert_eq!(misused.tickets.len(), MAX_MISUSED);
    }
}

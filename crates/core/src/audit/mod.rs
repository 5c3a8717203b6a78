//! The audit log: who did what, on which channel, and with which outcome. The entries form a chain:
//! each contains the hash of the previous entry. So an attacker cannot change, remove or reorder an
//! entry without changing every later hash.
//!
//! # What is hashed
//! An entry's `hash` is the SHA-256 of the following, in this order. A *text* is its length in
//! bytes as an unsigned 64-bit big-endian integer, then its UTF-8 bytes; integers are 64-bit
//! big-endian.
//!
//! | field | form |
//! |---|---|
//! | label | the 27 bytes `countersign audit entry/1` 0x00 0x00 |
//! | `seq` | unsigned integer; the first entry is 1 |
//! | `previous` | the 32 bytes of the previous entry's `hash`; zeros for the first |
//! | `time` | signed integer, milliseconds since 1970 UTC |
//! | `actor.account` | text: the account's id, empty when there is none |
//! | `actor.name` | text; at the admin socket `local admin (uid `, the user id of the calling process, and `)` |
//! | `channel` | text |
//! | `operation` | text: `group.command` |
//! | `target` | text, empty when there is none |
//! | `outcome` | text |
//! | `details` | text: a JSON object, exactly as stored |
//!
//! An entry is written in the same transaction as the change that it describes. Events that a
//! client can repeat without limit are counted first: see [`coalesced`].

pub mod coalesced;
mod signature;

use countersign_crypto::hash::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use signature::StoredSignature;

use crate::access::{Caller, Channel};
use crate::accounts::Account;
use crate::id::AccountId;
use crate::page::Page;
use crate::timestamp::Timestamp;

/// How many entries are read at once during verification: a few hundred KiB.
pub(crate) const PAGE_SIZE: u32 = 1000;

/// The most signatures of the site over its own log that are stored, the newest. Each covers all
/// entries before it.
pub const MAX_SIGNATURES: u32 = 256;

const LABEL: &[u8; 27] = b"countersign audit entry/1\0\0";

/// The account or the component of the site that acted, with its name at that time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The account; `None` if the client was not logged in.
    pub account: Option<AccountId>,
    /// The account's name at that time, or another name such as `local admin (uid 1000)`.
    pub name: String,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self {
            account: caller.account,
            name: caller.name.clone(),
        }
    }
}

/// The outcome of an audited action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// The action was done.
    Done,
    /// The action was refused because the caller has no permission.
    NotPermitted,
    /// The action was refused because of a lockdown.
    Lockdown,
    /// The action failed because the client did not authenticate, or presented a wrong secret.
    Failed,
}

impl AuditOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Done, Self::NotPermitted, Self::Lockdown, Self::Failed];

    /// Returns the name of the outcome in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotPermitted => "not_permitted",
            Self::Lockdown => "lockdown",
            Self::Failed => "failed",
        }
    }
}

/// An entry that has no place in the chain yet. The store's writer assigns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// When the action took place.
    pub time: Timestamp,
    /// The account or the component of the site that acted, with its name at that time.
    pub actor: Actor,
    /// The channel on which the request arrived.
    pub channel: Channel,
    /// The operation as `group.command`, or an event of the site such as `session.opened`.
    pub operation: String,
    /// What the action was about: an account's name, a session's id, a thumbprint.
    pub target: Option<String>,
    /// The outcome.
    pub outcome: AuditOutcome,
    /// Further details, as the text of a JSON object. Never contains a secret.
    pub details: String,
}

impl AuditDraft {
    /// Makes an entry which says that `caller` did `operation` at `now`. Set the other fields as
    /// needed.
    #[must_use]
    pub fn done(caller: &Caller, operation: impl Into<String>, now: Timestamp) -> Self {
        Self {
            time: now,
            actor: Actor::from(caller),
            channel: caller.channel,
            operation: operation.into(),
            target: None,
            outcome: AuditOutcome::Done,
            details: "{}".to_owned(),
        }
    }

    /// Makes an entry which says that an account did `operation` at `now`, where it is no caller:
    /// it presented a ticket. Set the other fields as needed.
    #[must_use]
    pub fn of_account(
        account: &Account,
        channel: Channel,
        operation: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            time: now,
            actor: Actor {
                account: Some(account.id),
                name: account.name.to_string(),
            },
            channel,
            operation: operation.into(),
            target: None,
            outcome: AuditOutcome::Done,
            details: "{}".to_owned(),
        }
    }
}

/// An entry of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The entry's number: 1 for the first, without gaps.
    pub seq: u64,
    /// The content.
    pub draft: AuditDraft,
    /// The hash of the previous entry; zeros for the first.
    pub previous: [u8; 32],
    /// The hash of this entry.
    pub hash: [u8; 32],
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the last entry; 0 if there is none.
    pub seq: u64,
    /// The hash of the last entry; zeros if there is none.
    pub hash: [u8; 32],
}

impl ChainHead {
    /// The head of an empty chain.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Appends an entry to the chain and moves the head to it.
    #[must_use]
    pub fn append(&mut self, draft: AuditDraft) -> AuditEntry {
        let seq = self.seq.saturating_add(1);
        let previous = self.hash;
        let hash = digest(seq, &previous, &draft);
        *self = Self { seq, hash };
        AuditEntry {
            seq,
            draft,
            previous,
            hash,
        }
    }

    /// Verifies that `entry` follows the head, and moves the head to it.
    ///
    /// # Errors
    /// [`Broken`] if the entry is missing or was altered.
    pub fn verify(&mut self, entry: &AuditEntry) -> Result<(), Broken> {
        let expected = self.seq.saturating_add(1);
        if entry.seq != expected {
            return Err(Broken {
                seq: expected,
                problem: Problem::Missing,
            });
        }
        if entry.previous != self.hash {
            return Err(Broken {
                seq: entry.seq,
                problem: Problem::NotChained,
            });
        }
        if entry.hash != digest(entry.seq, &entry.previous, &entry.draft) {
            return Err(Broken {
                seq: entry.seq,
                problem: Problem::Altered,
            });
        }
        *self = Self {
            seq: entry.seq,
            hash: entry.hash,
        };
        Ok(())
    }
}

/// A search in a range of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSearch {
    /// Only entries after this number.
    pub after: u64,
    /// Only entries up to this number.
    pub up_to: u64,
    /// Whether to return the latest entries of the range, in descending order.
    pub last_first: bool,
    /// The maximum number of entries.
    pub limit: u32,
    /// The conditions that the entries must meet.
    pub filter: AuditFilter,
}

/// Conditions for audit entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Written at this time or later, by the clock at the time of writing.
    pub since: Option<Timestamp>,
    /// Written before this time.
    pub until: Option<Timestamp>,
    /// The actor: the whole name, or the part before its zone or before a blank.
    pub actor: Option<String>,
    /// The operation as `group.command`, or the group alone.
    pub operation: Option<String>,
    /// The object: its whole name or id, or the part before its zone or before a blank.
    pub target: Option<String>,
}

/// The chain is broken: the log was altered outside the site, or the disk failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit entry {seq} {problem}; the entries before it are intact, it and all later ones cannot be trusted"
)]
pub struct Broken {
    /// The number of the first entry that is missing or was altered.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no entry with this number.
    #[error("is missing")]
    Missing,
    /// The entry does not contain the hash of the previous entry.
    #[error("does not follow the previous entry")]
    NotChained,
    /// The hash of the entry does not match its contents.
    #[error("was altered after it was written")]
    Altered,
}

/// Verifies a chain page by page, from its first entry to `end`, the head according to the store.
/// Returns the last intact entry, and what is wrong with the next one.
///
/// # Errors
/// The error of reading a page.
pub async fn verify_chain<E, Reading>(
    end: ChainHead,
    page: impl Fn(Page<u64>) -> Reading,
) -> Result<(ChainHead, Option<Broken>), E>
where
    Reading: Future<Output = Result<Vec<AuditEntry>, E>>,
{
    let mut head = ChainHead::EMPTY;
    while head.seq < end.seq {
        let entries = page(Page {
            after: Some(head.seq),
            limit: PAGE_SIZE,
        })
        .await?;
        if entries.is_empty() {
            let (seq, problem) = (head.seq.saturating_add(1), Problem::Missing);
            return Ok((head, Some(Broken { seq, problem })));
        }
        if let Some(broken) = entries.iter().find_map(|entry| head.verify(entry).err()) {
            return Ok((head, Some(broken)));
        }
    }
    Ok((head, None))
}

fn digest(seq: u64, previous: &[u8; 32], draft: &AuditDraft) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(LABEL);
    sum.update(&seq.to_be_bytes());
    sum.update(previous);
    sum.update(&draft.time.millis().to_be_bytes());
    let account = draft.actor.account.map(|id| id.to_string());
    for text in [
        account.as_deref().unwrap_or(""),
        &draft.actor.name,
        draft.channel.as_str(),
        &draft.operation,
        draft.target.as_deref().unwrap_or(""),
        draft.outcome.as_str(),
        &draft.details,
    ] {
        sum.update(&(text.len() as u64).to_be_bytes());
        sum.update(text.as_bytes());
    }
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(details: &str) -> AuditDraft {
        AuditDraft {
            time: Timestamp::from_millis(1_772_366_400_000),
            actor: Actor {
                account: None,
                name: "local admin".to_owned(),
            },
            channel: Channel::AdminSocket,
            operation: "person.create".to_owned(),
            target: Some("alice".to_owned()),
            outcome: AuditOutcome::Done,
            details: details.to_owned(),
        }
    }

    fn chain() -> Vec<AuditEntry> {
        let mut head = ChainHead::EMPTY;
        ["{}", "{\"a\":1}", "{}", "{}"]
            .map(|details| head.append(draft(details)))
            .to_vec()
    }

    fn verify(entries: &[AuditEntry]) -> Result<(), Broken> {
        let mut head = ChainHead::EMPTY;
        entries.iter().try_for_each(|entry| head.verify(entry))
    }

    #[test]
    fn a_chain_as_written_verifies() {
        assert_eq!(verify(&chain()), Ok(()));
    }

    #[test]
    fn an_altered_entry_is_reported() {
        let mut entries = chain();
        entries[1].draft.target = Some("mallory".to_owned());
        let broken = verify(&entries).unwrap_err();
        assert_eq!((broken.seq, broken.problem), (2, Problem::Altered));
    }

    #[test]
    fn an_altered_entry_with_a_recomputed_hash_breaks_the_chain_at_the_next_entry() {
        let mut entries = chain();
        let mut head = ChainHead {
            seq: 1,
            hash: entries[0].hash,
        };
        entries[1] = head.append(draft("{\"a\":2}"));
        let broken = verify(&entries).unwrap_err();
        assert_eq!((broken.seq, broken.problem), (3, Problem::NotChained));
    }

    #[test]
    fn a_removed_entry_is_reported() {
        let mut entries = chain();
        entries.remove(2);
        let broken = verify(&entries).unwrap_err();
        assert_eq!((broken.seq, broken.problem), (3, Problem::Missing));
    }

    #[test]
    fn the_boundaries_between_texts_are_part_of_the_hash() {
        let (mut one, mut two) = (draft("{}"), draft("{}"));
        one.actor.name = "ab".to_owned();
        one.operation = "c".to_owned();
        two.actor.name = "a".to_owned();
        two.operation = "bc".to_owned();
        assert_ne!(digest(1, &[0; 32], &one), digest(1, &[0; 32], &two));
    }
}

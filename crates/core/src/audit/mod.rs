//! The audit log: who did what, through which door, and what came of it, as a chain of entries each
//! of which holds the digest of the one before. Nobody can change, drop or reorder an entry without
//! every later digest telling of it.
//!
//! # What is hashed
//! An entry's `hash` is the SHA-256 of the following, in this order. A *text* is its length in bytes
//! as an unsigned 64-bit big-endian integer, then its UTF-8 bytes; integers are 64-bit big-endian.
//!
//! | field | form |
//! |---|---|
//! | label | the 27 bytes `countersign audit entry/1` 0x00 0x00 |
//! | `seq` | unsigned integer; the first entry is 1 |
//! | `previous` | the 32 bytes of the previous entry's `hash`; zeros for the first |
//! | `time` | signed integer, milliseconds since 1970 UTC |
//! | `actor.account` | text: the account's id, empty when there is none |
//! | `actor.name` | text; at the admin socket `local admin (uid ` with the user id of the process that asked, and `)` |
//! | `door` | text |
//! | `operation` | text: `group.command` |
//! | `target` | text, empty when there is none |
//! | `outcome` | text |
//! | `details` | text: a JSON object, exactly as stored |
//!
//! An entry is written in the same transaction as the change it tells of. Events that a client can
//! repeat without end are counted first: see [`coalesced`].

pub mod coalesced;

use countersign_crypto::hash::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Caller, Channel};
use crate::id::AccountId;
use crate::page::Page;
use crate::timestamp::Timestamp;

/// How many entries are read at once while verifying: a few hundred KiB.
pub(crate) const ENTRIES_AT_ONCE: u32 = 1000;

const LABEL: &[u8; 27] = b"countersign audit entry/1\0\0";

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The account, when one had logged in.
    pub account: Option<AccountId>,
    /// Its name at that time, or what else it is called (`local admin (uid 1000)`).
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

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused: the caller may not do this.
    NotPermitted,
    /// It failed: what the client showed did not prove who it is, or did not open what it was for.
    Failed,
}

impl AuditOutcome {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Done, Self::NotPermitted, Self::Failed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotPermitted => "not_permitted",
            Self::Failed => "failed",
        }
    }
}

/// An entry before it has its place in the chain, which the store's writer gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Through which door.
    pub channel: Channel,
    /// `group.command`, or an event of the site's own such as `session.opened`.
    pub operation: String,
    /// What it was done to: an account's name, a session's id, a thumbprint.
    pub target: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// More, as the text of a JSON object. Never holds a secret.
    pub details: String,
}

impl AuditDraft {
    /// That `caller` did `operation` at `now`. What else there is to tell is set on the fields.
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
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number: 1 for the first, without gaps.
    pub seq: u64,
    /// What it tells.
    pub draft: AuditDraft,
    /// The digest of the entry before; zeros for the first.
    pub previous: [u8; 32],
    /// Its own digest.
    pub hash: [u8; 32],
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the last entry; 0 when there is none.
    pub seq: u64,
    /// The digest of the last entry; zeros when there is none.
    pub hash: [u8; 32],
}

impl ChainHead {
    /// The head of an empty chain.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// Gives `draft` the next place in the chain, and moves the head there.
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

    /// Checks that `entry` is the one that follows, and moves the head there.
    ///
    /// # Errors
    /// [`Broken`] with the number of the first entry that is not as it was written.
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

/// Which audit entries are wanted of a stretch of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSearch {
    /// Those after this number.
    pub after: u64,
    /// Those up to this number.
    pub up_to: u64,
    /// Whether the last ones are wanted, if they are too many; they come last first then.
    pub last_first: bool,
    /// How many at most.
    pub limit: u32,
    /// What else they have in common.
    pub filter: AuditFilter,
}

/// What audit entries have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Written at this time or later, by the clock of then.
    pub since: Option<Timestamp>,
    /// Done by whom: their whole name, or what stands before its zone or before a blank.
    pub actor: Option<String>,
    /// What was done: `group.command`, or the group alone.
    pub operation: Option<String>,
}

/// The chain does not hold: somebody changed the log behind the site's back, or the disk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit entry {seq} {problem}; what stands before it is sound, nothing from it on can be trusted"
)]
pub struct Broken {
    /// The first entry that is not as it was written.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no entry of that number.
    #[error("is missing")]
    Missing,
    /// It does not carry the digest of the entry before.
    #[error("does not follow the entry before it")]
    NotChained,
    /// Its digest is not that of its contents.
    #[error("was altered after it was written")]
    Altered,
}

/// Checks a chain from its first entry to `end`, which the store says is its last, a page at a time: where it
/// is sound up to, and what is wrong with the next entry.
///
/// # Errors
/// What reading a page fails with.
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
            limit: ENTRIES_AT_ONCE,
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
    fn an_altered_entry_is_named() {
        let mut entries = chain();
        entries[1].draft.target = Some("mallory".to_owned());
        let broken = verify(&entries).unwrap_err();
        assert_eq!((broken.seq, broken.problem), (2, Problem::Altered));
    }

    #[test]
    fn an_altered_entry_whose_hash_was_made_good_is_found_at_the_next_one() {
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
    fn a_dropped_entry_is_named() {
        let mut entries = chain();
        entries.remove(2);
        let broken = verify(&entries).unwrap_err();
        assert_eq!((broken.seq, broken.problem), (3, Problem::Missing));
    }

    #[test]
    fn texts_cannot_flow_into_each_other() {
        let (mut one, mut two) = (draft("{}"), draft("{}"));
        one.actor.name = "ab".to_owned();
        one.operation = "c".to_owned();
        two.actor.name = "a".to_owned();
        two.operation = "bc".to_owned();
        assert_ne!(digest(1, &[0; 32], &one), digest(1, &[0; 32], &two));
    }
}

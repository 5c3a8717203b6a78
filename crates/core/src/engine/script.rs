//! Initialisation scripts: files of operations, one a line as JSON, that a site applies once.
//!
//! How far a script has come is written together with what its lines change. A script whose third line
//! fails is not recorded as applied; put right, it goes on with that line, and never repeats the two
//! before it.

use countersign_crypto::hash::sha256;
use countersign_proto::operation::{Code, Operation};
use serde::Deserialize;

use super::Site;
use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::Along;
use crate::store::{Change, ChangeSet, ScriptProgress, StoreError};
use crate::timestamp::Timestamp;

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// It was applied now; so many of its operations had been left.
    Applied {
        /// How many operations ran.
        operations: u32,
    },
    /// It had been applied before, and is as it was then.
    AppliedBefore {
        /// When.
        at: Timestamp,
    },
    /// It had been applied before and was changed since. It is not run again: put the new operations
    /// into a new script.
    ChangedSince {
        /// When it was applied.
        at: Timestamp,
    },
}

/// A script was not applied. It is not recorded, and goes on where it stopped once it is put right.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A line is no operation, or its operation was refused.
    #[error("line {line}: {problem}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The lines that were applied by an earlier run are not as they were.
    #[error(
        "the first {lines} operations were applied by an earlier run and were changed since; restore them, or put the rest into a new script"
    )]
    ChangedHalfway {
        /// How many operations were applied.
        lines: u32,
    },
    /// The store is in trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Site {
    /// Applies a script, once. Empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`ScriptError`] names the line that failed.
    pub async fn apply_script(
        &self,
        name: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<ScriptOutcome, ScriptError> {
        let lines = operations(text);
        let before = self.store().script(name).await?;
        let done = match before {
            Some(progress) => match progress.applied {
                Some(at) if progress.digest == digest(&lines) => {
                    return Ok(ScriptOutcome::AppliedBefore { at });
                }
                Some(at) => return Ok(ScriptOutcome::ChangedSince { at }),
                None => halfway(&lines, &progress)?,
            },
            None => 0,
        };
        let caller = Caller::init(name);
        let mut operations = 0;
        for at in done..lines.len() {
            let Some((line, applied)) = lines.get(at).zip(lines.get(..=at)) else {
                break;
            };
            operations += 1;
            let progress = ScriptProgress {
                name: name.to_owned(),
                digest: digest(applied),
                lines: u32::try_from(applied.len()).unwrap_or(u32::MAX),
                applied: (applied.len() == lines.len()).then_some(now),
            };
            self.apply_line(&caller, line, progress, now).await?;
        }
        if lines.is_empty() {
            let progress = ScriptProgress {
                name: name.to_owned(),
                digest: digest(&lines),
                lines: 0,
                applied: Some(now),
            };
            self.record_script(&caller, Change::PutScript(progress), now)
                .await?;
        }
        Ok(ScriptOutcome::Applied { operations })
    }

    async fn apply_line(
        &self,
        caller: &Caller,
        line: &Line<'_>,
        progress: ScriptProgress,
        now: Timestamp,
    ) -> Result<(), ScriptError> {
        let fault = |problem: String| ScriptError::Line {
            line: line.number,
            problem,
        };
        let operation: Operation =
            serde_json::from_str(line.text).map_err(|error| fault(error.to_string()))?;
        let along = Along::with(Change::PutScript(progress));
        let outcome = self.run_along(caller, &operation, now, along.clone()).await;
        if outcome.code != Code::SUCCESS {
            let told: Told = serde_json::from_str(outcome.data.get()).unwrap_or_default();
            return Err(fault(format!("{} ({})", told.message, told.hint)));
        }
        // An operation that changed nothing has not written the progress along.
        match along.take() {
            Some(progress) => self.record_script(caller, progress, now).await,
            None => Ok(()),
        }
    }

    async fn record_script(
        &self,
        caller: &Caller,
        progress: Change,
        now: Timestamp,
    ) -> Result<(), ScriptError> {
        let audit = AuditDraft::done(caller, "site.script", now);
        let changes = vec![progress];
        self.store().commit(ChangeSet::new(changes, audit)).await?;
        Ok(())
    }
}

/// What a refusal says.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    hint: String,
}

fn operations(text: &str) -> Vec<Line<'_>> {
    text.lines()
        .enumerate()
        .map(|(at, text)| Line {
            number: at + 1,
            text: text.trim(),
        })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with('#'))
        .collect()
}

fn digest(lines: &[Line<'_>]) -> [u8; 32] {
    let mut all = String::new();
    for line in lines {
        all.push_str(line.text);
        all.push('\n');
    }
    sha256(all.as_bytes())
}

/// How many lines to pass over, if they are those that were applied.
fn halfway(lines: &[Line<'_>], progress: &ScriptProgress) -> Result<usize, ScriptError> {
    let changed = ScriptError::ChangedHalfway {
        lines: progress.lines,
    };
    let done = usize::try_from(progress.lines).unwrap_or(usize::MAX);
    match lines.get(..done) {
        Some(applied) if digest(applied) == progress.digest => Ok(done),
        _ => Err(changed),
    }
}

//! Initialisation scripts: files with one operation per line, as JSON, that a site applies once.
//!
//! The progress of a script is committed together with the changes of its lines. If the third line
//! fails, the script is not recorded as applied. Once it is corrected, it continues with that line
//! and does not repeat the first two.

use countersign_crypto::hash::sha256;
use countersign_proto::json;
use countersign_proto::operation::{Code, Operation};
use serde::Deserialize;

use crate::access::Caller;
use crate::audit::AuditDraft;
use crate::engine::Rider;
use crate::engine::Site;
use crate::lockdown::Activity;
use crate::store::{Change, ChangeSet, ScriptProgress, StoreError};
use crate::timestamp::Timestamp;

/// The result of applying a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// The script was applied now.
    Applied {
        /// How many operations ran; fewer than the script has if an earlier run applied some.
        operations: u32,
    },
    /// The script was applied before and has not changed since.
    AppliedBefore {
        /// When it was applied.
        at: Timestamp,
    },
    /// The script was applied before and has changed since. It does not run again; new operations
    /// belong in a new script.
    ChangedSince {
        /// When it was applied.
        at: Timestamp,
    },
}

/// Why a script was not applied completely. It continues where it stopped once it is corrected.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A line is not a valid operation, or its operation was refused.
    #[error("line {line}: {problem}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with the line, and what to do.
        problem: String,
    },
    /// Lines that an earlier run applied have changed.
    #[error(
        "the first {lines} operations were applied by an earlier run and have changed since; restore them, or put the remaining ones into a new script"
    )]
    AppliedLinesChanged {
        /// How many operations were applied.
        lines: u32,
    },
    /// The site is in lockdown at the highest level.
    #[error(
        "the site is in lockdown, which refuses initialisation scripts; run `countersign lockdown lift site` on the machine of the site, and start the site again"
    )]
    Lockdown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Site {
    /// Applies a script once. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// [`ScriptError`], which names the line that failed.
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
                None => resume_at(&lines, &progress)?,
            },
            None => 0,
        };
        if !self.permits(Activity::InitScript) {
            return Err(ScriptError::Lockdown);
        }
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
            json::read(line.text.as_bytes()).map_err(|error| fault(error.to_string()))?;
        let rider = Rider::with(Change::PutScript(progress));
        let outcome = self
            .run_with_rider(caller, &operation, now, rider.clone())
            .await;
        if outcome.code != Code::SUCCESS {
            let texts: RefusalTexts = serde_json::from_str(outcome.data.get()).unwrap_or_default();
            return Err(fault(format!("{} ({})", texts.message, texts.hint)));
        }
        // The progress is still there if the operation committed nothing.
        match rider.take() {
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

/// The texts of a refusal.
#[derive(Default, Deserialize)]
struct RefusalTexts {
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

/// Returns how many lines an earlier run applied, if they have not changed.
fn resume_at(lines: &[Line<'_>], progress: &ScriptProgress) -> Result<usize, ScriptError> {
    let changed = ScriptError::AppliedLinesChanged {
        lines: progress.lines,
    };
    let done = usize::try_from(progress.lines).unwrap_or(usize::MAX);
    match lines.get(..done) {
        Some(applied) if digest(applied) == progress.digest => Ok(done),
        _ => Err(changed),
    }
}

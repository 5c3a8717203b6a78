//! Checks of a site: what its operator must know, and what to do. `site doctor` makes them in a running site, and
//! `countersign doctor` in the folder of one that does not run.

use std::borrow::Cow;

use countersign_proto::session::{OptionList, Strength};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alarms::DiskSpace;
use crate::timestamp::Timestamp;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// The age of the newest backup from which another one is overdue, in days.
pub const MAX_BACKUP_AGE: u32 = 7;
/// How far the clock may be behind the newest audit entry, in milliseconds: time synchronisation sets it back a
/// little.
const STEP_BACK: i64 = 5 * 60 * 1000;
/// 2026-01-01: this program did not exist before.
const EARLIEST: i64 = 1_767_225_600_000;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The name of the check.
    pub check: Cow<'static, str>,
    /// Whether there is no problem.
    pub ok: bool,
    /// The finding, as text for people.
    pub message: String,
    /// What to do, with operations as `group command` between backticks; empty if there is no problem.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Check {
    /// A check that found no problem.
    #[must_use]
    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            ok: true,
            message: message.into(),
            hint: String::new(),
        }
    }

    /// A check that found a problem.
    #[must_use]
    pub fn problem(
        check: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            ok: false,
            hint: hint.into(),
            ..Self::ok(check, message)
        }
    }
}

/// Checks whether enabled encryption options are weaker than the hybrid ones.
#[must_use]
pub fn options(options: &OptionList) -> Check {
    const CHECK: &str = "encryption options";
    let weak = |strength| {
        let options = options.ranked().iter();
        let weak = options.filter(|option| option.strength() <= strength);
        weak.map(|option| option.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let delivered = weak(Strength::Delivered);
    if !delivered.is_empty() {
        return Check::problem(
            CHECK,
            format!(
                "{delivered} is enabled: every client can get a person's encrypted key and guess at its pass phrase"
            ),
            "disable it with `option disable NAME`",
        );
    }
    let classical = weak(Strength::Classical);
    if !classical.is_empty() {
        return Check::problem(
            CHECK,
            format!("{classical}: a quantum computer can decrypt sessions that are recorded today"),
            "disable them with `option disable NAME` when no client needs them",
        );
    }
    Check::ok(CHECK, "all enabled options are hybrid")
}

/// Checks the age of the newest backup.
#[must_use]
pub fn backup(made: Option<Timestamp>, now: Timestamp) -> Check {
    const CHECK: &str = "backup";
    let hint = "make one with `site backup FILE`";
    let age = |made: Timestamp| now.millis().saturating_sub(made.millis());
    match made {
        None => Check::problem(CHECK, "there is no backup", hint),
        Some(made) if age(made) > i64::from(MAX_BACKUP_AGE) * DAY => {
            let days = age(made) / DAY;
            Check::problem(CHECK, format!("the newest backup is {days} days old"), hint)
        }
        Some(made) => Check::ok(CHECK, format!("the newest backup is of {made}")),
    }
}

/// Checks the clock against the time of the newest audit entry.
#[must_use]
pub fn clock(newest: Option<Timestamp>, now: Timestamp) -> Check {
    const CHECK: &str = "clock";
    let hint = "set the clock of the site's machine: logins and tickets depend on it";
    match newest {
        _ if now.millis() < EARLIEST => Check::problem(
            CHECK,
            format!("the clock shows {now}, a time in the past"),
            hint,
        ),
        Some(newest) if newest.millis() > now.millis().saturating_add(STEP_BACK) => Check::problem(
            CHECK,
            format!("the clock shows {now}, but the newest audit entry is of {newest}"),
            hint,
        ),
        _ => Check::ok(CHECK, now.to_string()),
    }
}

/// Checks that there is space for a copy of the database, which a backup needs, and as much as the site itself wants
/// to have before it raises an alarm. `database` is the size of the database in bytes.
#[must_use]
pub fn disk(space: DiskSpace, database: u64) -> Check {
    const CHECK: &str = "disk space";
    let needed = database.saturating_mul(2).max(space.low());
    let message = format!("{} MiB free", space.free >> 20);
    if space.free >= needed {
        return Check::ok(CHECK, message);
    }
    Check::problem(
        CHECK,
        format!("{message}; the site needs {} MiB", needed >> 20),
        "free some space or move the site's folder to a larger disk: on a full disk every change fails",
    )
}

/// Checks that open files are at most nine tenths of those that the process may open. The finding names the
/// number of connections that the site accepts, which may be less than `limits.connections`; 0 if it is unknown.
#[must_use]
pub fn descriptors(open: usize, allowed: usize, connections: usize) -> Check {
    const CHECK: &str = "open files";
    let accepted = match connections {
        0 => String::new(),
        most => format!("; at most {most} connections of clients"),
    };
    if allowed == usize::MAX {
        return Check::ok(CHECK, format!("{open}, without a limit{accepted}"));
    }
    let message = format!("{open} of at most {allowed}{accepted}");
    if open <= allowed - allowed / 10 {
        return Check::ok(CHECK, message);
    }
    Check::problem(
        CHECK,
        message,
        "raise the limit on open files (`LimitNOFILE` of systemd): without a free one the site refuses connections",
    )
}

#[cfg(test)]
mod tests {
    use countersign_proto::session::EncryptionOption;

    use super::*;

    fn moment(days: i64) -> Timestamp {
        Timestamp::from_millis(EARLIEST + days * DAY)
    }

    #[test]
    fn a_missing_backup_and_an_old_one_are_problems() {
        let finding = |made| backup(made, moment(20));
        assert!(!finding(None).ok);
        assert!(!finding(Some(moment(12))).ok);
        assert!(finding(Some(moment(13))).ok);
    }

    #[test]
    fn a_clock_behind_the_audit_log_or_before_this_program_is_a_problem() {
        assert!(clock(Some(moment(20)), moment(20)).ok);
        assert!(clock(None, moment(1)).ok);
        assert!(!clock(Some(moment(21)), moment(20)).ok);
        assert!(!clock(None, Timestamp::from_millis(0)).ok);
        assert!(!clock(None, moment(-1)).ok);
    }

    #[test]
    fn weak_options_are_problems() {
        let all = EncryptionOption::ALL;
        let with = |strength| {
            let found = all.into_iter().find(|option| option.strength() == strength);
            options(&OptionList::new(found))
        };
        assert!(with(Strength::Hybrid).ok);
        let classical = with(Strength::Classical);
        assert!(!classical.ok && classical.message.contains("quantum"));
        let delivered = with(Strength::Delivered);
        assert!(!delivered.ok && delivered.message.contains("guess"));
    }

    #[test]
    fn the_disk_needs_space_for_a_copy_of_the_database() {
        let space = DiskSpace {
            free: 100 << 30,
            total: 200 << 30,
        };
        assert!(disk(space, 50 << 30).ok);
        assert!(!disk(space, (50 << 30) + 1).ok);
        assert!(!disk(DiskSpace { free: 1, ..space }, 0).ok);
    }

    #[test]
    fn nine_tenths_of_the_open_files_are_enough() {
        assert!(descriptors(922, 1024, 0).ok);
        assert!(!descriptors(923, 1024, 0).ok);
        assert!(descriptors(1_000_000, usize::MAX, 0).ok);
    }
}

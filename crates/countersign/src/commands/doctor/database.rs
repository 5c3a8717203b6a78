//! Checks of the site's database: integrity, encryption options, newest backup, and the clock.

use std::path::Path;

use countersign_core::engine::{LAST_BACKUP, OFFER};
use countersign_core::offer::Offer;
use countersign_core::timestamp::Timestamp;
use countersign_proto::session::Strength;
use countersign_server::clock;
use countersign_store::Inspection;
use serde::de::DeserializeOwned;

use super::Finding;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::site::folder::DATABASE;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// The greatest age of the newest backup.
const OLDEST_BACKUP: i64 = 7 * DAY;
/// How far the clock may be behind the newest audit entry: time synchronisation sets it back a little.
const STEP_BACK: i64 = 5 * 60 * 1000;
/// 2026-01-01: this program did not exist before.
const EARLIEST: i64 = 1_767_225_600_000;

pub(super) fn findings(folder: &Path, config: &Config) -> Result<Vec<Finding>, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failure, "runtime", error))?
        .block_on(async {
            let found = match Inspection::of(&folder.join(DATABASE[0])).await {
                Ok(inspection) => {
                    let found = inspected(config, &inspection).await;
                    inspection.close().await;
                    found
                }
                Err(error) => vec![Finding::problem("database", error.to_string(), RESTORE)],
            };
            Ok(found)
        })
}

async fn inspected(config: &Config, inspection: &Inspection) -> Vec<Finding> {
    let now = clock::now().millis();
    let mut findings: Vec<Finding> = inspection
        .flaws
        .iter()
        .map(|flaw| Finding::problem("database", flaw, RESTORE))
        .collect();
    if findings.is_empty() {
        let layout = format!("intact, layout {}", inspection.layout);
        findings.push(Finding::ok("database", layout));
    }
    findings.push(match inspection.broken {
        None => Finding::ok(
            "audit log",
            format!("{} entries, none changed", inspection.head.seq),
        ),
        Some(broken) => Finding::problem("audit log", broken.to_string(), RESTORE),
    });
    let offer: Option<Offer> = setting(inspection, OFFER).await;
    findings.push(offered(&offer.unwrap_or_default(), config.options.floor));
    let backup: Option<Timestamp> = setting(inspection, LAST_BACKUP).await;
    findings.push(newest_backup(backup, now));
    findings.push(time(inspection.last_entry, now));
    findings
}

async fn setting<T: DeserializeOwned>(inspection: &Inspection, name: &str) -> Option<T> {
    let setting = inspection.setting(name).await.ok()??;
    serde_json::from_slice(&setting.value).ok()
}

fn offered(offer: &Offer, floor: Strength) -> Finding {
    const CHECK: &str = "encryption options";
    let options = offer.options(floor);
    let weak = |strength| {
        let options = options.ranked().iter();
        let weak = options.filter(|option| option.strength() <= strength);
        weak.map(|option| option.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let delivered = weak(Strength::Delivered);
    if !delivered.is_empty() {
        return Finding::problem(
            CHECK,
            format!(
                "{delivered} is enabled: every client can get a person's encrypted key and guess at its pass phrase"
            ),
            format!("`countersign option disable {delivered}`"),
        );
    }
    let classical = weak(Strength::Classical);
    if !classical.is_empty() {
        return Finding::problem(
            CHECK,
            format!("{classical}: a quantum computer can decrypt sessions that are recorded today"),
            "disable them when no client needs them: `countersign option disable NAME`",
        );
    }
    Finding::ok(CHECK, "all enabled options are hybrid")
}

fn newest_backup(made: Option<Timestamp>, now: i64) -> Finding {
    const CHECK: &str = "backup";
    let hint = "`countersign backup create FILE`";
    match made {
        None => Finding::problem(CHECK, "there is no backup", hint),
        Some(made) if now.saturating_sub(made.millis()) > OLDEST_BACKUP => {
            let days = now.saturating_sub(made.millis()) / DAY;
            Finding::problem(CHECK, format!("the newest backup is {days} days old"), hint)
        }
        Some(made) => Finding::ok(CHECK, format!("the newest backup is of {made}")),
    }
}

fn time(newest: Option<Timestamp>, now: i64) -> Finding {
    const CHECK: &str = "clock";
    let hint = "set the clock of this machine: logins and tickets depend on it";
    let shown = Timestamp::from_millis(now);
    match newest {
        _ if now < EARLIEST => Finding::problem(
            CHECK,
            format!("the clock shows {shown}, a time in the past"),
            hint,
        ),
        Some(newest) if newest.millis() > now.saturating_add(STEP_BACK) => Finding::problem(
            CHECK,
            format!("the clock shows {shown}, but the newest audit entry is of {newest}"),
            hint,
        ),
        _ => Finding::ok(CHECK, shown.to_string()),
    }
}

const RESTORE: &str = "make a copy of it, then run `countersign backup restore FILE --force`";

#[cfg(test)]
mod tests {
    use countersign_proto::session::{EncryptionOption, OptionList};

    use super::*;

    fn moment(days: i64) -> i64 {
        EARLIEST + days * DAY
    }

    #[test]
    fn a_missing_backup_and_an_old_one_are_problems() {
        let at = |days| Some(Timestamp::from_millis(moment(days)));
        let finding = |made| newest_backup(made, moment(20));
        assert!(!finding(None).ok);
        assert!(!finding(at(12)).ok);
        assert!(finding(at(13)).ok);
    }

    #[test]
    fn a_clock_behind_the_audit_log_or_before_this_program_is_a_problem() {
        let at = |days| Some(Timestamp::from_millis(moment(days)));
        assert!(time(at(20), moment(20)).ok);
        assert!(time(None, moment(1)).ok);
        assert!(!time(at(21), moment(20)).ok);
        assert!(!time(None, 0).ok);
        assert!(!time(None, moment(-1)).ok);
    }

    #[test]
    fn weak_options_are_problems() {
        let of = |options: &[EncryptionOption]| {
            let list = OptionList::new(options.iter().copied());
            offered(&Offer::of(&list), Strength::Delivered)
        };
        let all = EncryptionOption::ALL;
        let with = |strength| {
            let found = all.into_iter().find(|option| option.strength() == strength);
            of(&[found.unwrap()])
        };
        assert!(with(Strength::Hybrid).ok);
        let classical = with(Strength::Classical);
        assert!(!classical.ok && classical.message.contains("quantum"));
    }
}

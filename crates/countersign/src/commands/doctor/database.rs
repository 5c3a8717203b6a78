//! Checks of the site's database: integrity, and what a site that does not run cannot tell.

use std::path::Path;

use countersign_core::checks::{self, Check};
use countersign_core::engine::{LAST_BACKUP, OFFER};
use countersign_core::offer::Offer;
use countersign_core::timestamp::Timestamp;
use countersign_server::clock;
use countersign_store::Inspection;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::site::folder::DATABASE;

/// `runs`: the site made the other checks itself.
pub(super) fn checks(folder: &Path, config: &Config, runs: bool) -> Result<Vec<Check>, Failure> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failure, "runtime", error))?
        .block_on(async {
            let inspection = match Inspection::of(&folder.join(DATABASE[0])).await {
                Ok(inspection) => inspection,
                Err(error) => {
                    return Ok(vec![Check::problem("database", error.to_string(), RESTORE)]);
                }
            };
            let mut checks = intact(&inspection);
            if !runs {
                checks.extend(stored(config, &inspection).await);
            }
            inspection.close().await;
            Ok(checks)
        })
}

fn intact(inspection: &Inspection) -> Vec<Check> {
    let mut checks: Vec<Check> = inspection
        .flaws
        .iter()
        .map(|flaw| Check::problem("database", flaw, RESTORE))
        .collect();
    if checks.is_empty() {
        let layout = format!("intact, layout {}", inspection.layout);
        checks.push(Check::ok("database", layout));
    }
    checks.push(match inspection.broken {
        None => Check::ok(
            "audit log",
            format!("{} entries, none changed", inspection.head.seq),
        ),
        Some(broken) => Check::problem("audit log", broken.to_string(), RESTORE),
    });
    checks
}

async fn stored(config: &Config, inspection: &Inspection) -> [Check; 3] {
    let now = clock::now();
    let offer: Option<Offer> = setting(inspection, OFFER).await;
    let backup: Option<Timestamp> = setting(inspection, LAST_BACKUP).await;
    [
        checks::options(&offer.unwrap_or_default().options(config.options.floor)),
        checks::backup(backup, now),
        checks::clock(inspection.last_entry, now),
    ]
}

async fn setting<T: DeserializeOwned>(inspection: &Inspection, name: &str) -> Option<T> {
    let setting = inspection.setting(name).await.ok()??;
    serde_json::from_slice(&setting.value).ok()
}

const RESTORE: &str = "make a copy of it, then run `countersign backup restore FILE --force`";

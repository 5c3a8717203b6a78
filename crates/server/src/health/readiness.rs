//! Whether the site can serve: named checks, without details, since their reader is not authenticated.

use std::path::Path;
use std::time::Duration;

use countersign_core::engine::StoredGauges;
use serde_json::{Value, json};

use crate::health::self_check::disk;
use crate::runtime::meters::log_trouble;
use crate::runtime::shared::Shared;

/// How long a read of the database may take.
const READ: Duration = Duration::from_secs(5);

/// What was read from the database and the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Observation {
    /// `None` if the database could not be read in time.
    pub(super) stored: Option<StoredGauges>,
    /// The free bytes of the disk, and whether they are too few; `None` if that is unknown.
    pub(super) disk: Option<(u64, bool)>,
}

impl Observation {
    /// Reads the database and the disk of this folder.
    pub(super) async fn of(shared: &Shared, folder: Option<&Path>) -> Self {
        let read = tokio::time::timeout(READ, shared.site.stored_gauges()).await;
        let stored = read.ok().and_then(|read| log_trouble(read).ok());
        let space = folder.and_then(disk);
        Self {
            stored,
            disk: space.map(|space| (space.free, space.is_low(false))),
        }
    }
}

/// The state of the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    /// The site has its key.
    pub(super) is_unsealed: bool,
    /// No listener and no other required task has ended.
    pub(super) tasks_run: bool,
    /// The clock does not show a time before 1970.
    pub(super) clock_is_set: bool,
    /// The process goes on.
    pub(super) is_running: bool,
}

/// The checks of a site. It is ready if all of them succeed.
pub(super) struct Readiness([(&'static str, bool); 6]);

impl Readiness {
    /// Checks a site.
    pub(super) fn of(observed: &Observation, process: Process) -> Self {
        Self([
            ("database", observed.stored.is_some()),
            ("site_key", process.is_unsealed),
            ("disk", !observed.disk.is_some_and(|(_, low)| low)),
            ("listeners", process.tasks_run),
            ("clock", process.clock_is_set),
            ("running", process.is_running),
        ])
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, ok)| *ok)
    }

    /// The checks with their names.
    pub(super) fn checks(&self) -> &[(&'static str, bool)] {
        &self.0
    }

    pub(super) fn to_json(&self) -> String {
        let checks = self
            .0
            .iter()
            .map(|(check, ok)| json!({ "check": check, "ok": ok }));
        let checks: Vec<Value> = checks.collect();
        json!({ "ready": self.is_ready(), "checks": checks }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only one check of six was seen to fail. The others fail over a socket in
    /// `tests/site/http/health.rs`; a test cannot set the clock of the machine.
    #[test]
    fn a_clock_that_was_never_set_is_a_check_that_fails() {
        let observed = Observation {
            stored: Some(StoredGauges::default()),
            disk: Some((1, false)),
        };
        let process = Process {
            is_unsealed: true,
            tasks_run: true,
            clock_is_set: true,
            is_running: true,
        };
        assert!(Readiness::of(&observed, process).is_ready());
        let unset = Process {
            clock_is_set: false,
            ..process
        };
        let readiness = Readiness::of(&observed, unset);
        let failed = readiness.checks().iter().filter(|(_, ok)| !ok);
        assert_eq!(
            failed.map(|(check, _)| *check).collect::<Vec<_>>(),
            ["clock"]
        );
        assert!(!readiness.is_ready());
    }
}

//! Whether the site can serve: named checks, without details, since their reader is not authenticated.

use std::path::Path;
use std::time::Duration;

use countersign_core::engine::StoredGauges;
use serde_json::{Value, json};

use crate::clock;
use crate::meters::log_trouble;
use crate::self_check::disk;
use crate::shared::Shared;

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

/// The checks of a site. It is ready if all of them succeed.
pub(super) struct Readiness([(&'static str, bool); 6]);

impl Readiness {
    /// Checks a site. `tasks_run`: no listener and no other required task has ended.
    pub(super) fn of(shared: &Shared, observed: &Observation, tasks_run: bool) -> Self {
        let stopping = *shared.stopping.borrow();
        Self([
            ("database", observed.stored.is_some()),
            ("site_key", !shared.site.is_sealed()),
            ("disk", !observed.disk.is_some_and(|(_, low)| low)),
            ("listeners", tasks_run),
            ("clock", clock::is_set()),
            ("running", !stopping),
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

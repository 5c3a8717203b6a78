//! Observes the machine, and has the site raise and end its own alarms (`docs/operate/site-alarms.md`).

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::alarms::DiskSpace;
use countersign_core::engine::Observed;
use tracing::{error, warn};

use crate::clock;
use crate::descriptors::{allowed, open};
use crate::runtime::shared::Shared;

/// The time between two checks. One costs a few reads of the database.
const EVERY: Duration = Duration::from_secs(60);

/// Checks the site for as long as the server runs. Without the file of the database, the disk is not observed.
pub(crate) async fn run(database: Option<PathBuf>, shared: Arc<Shared>) -> io::Result<Infallible> {
    shared.site.observe(observe(database.as_deref(), &shared));
    loop {
        tokio::time::sleep(EVERY).await;
        let observed = observe(database.as_deref(), &shared);
        shared.site.observe(observed);
        if let Err(refusal) = shared.site.check_system(observed, clock::now()).await {
            error!(problem = %refusal, "the alarms of the site could not be checked");
        }
        for key in shared.site.take_unplaced() {
            warn!(
                key = key.as_str(),
                "an alarm of the site reached no recipient: there is no active admin, or its recipients have too \
                 many alarms; end some with `countersign alarm over`"
            );
        }
    }
}

fn observe(database: Option<&Path>, shared: &Shared) -> Observed {
    let size = database.and_then(|file| std::fs::metadata(file).ok());
    Observed {
        disk: database.and_then(Path::parent).and_then(disk),
        database: size.map_or(0, |found| found.len()),
        descriptors: Some((open(), allowed())),
        connections: shared.limits().connections,
        idle_timeout: u64::try_from(shared.limits().idle_timeout.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The space of the file system of a folder; `None` if it is unknown.
pub(crate) fn disk(folder: &Path) -> Option<DiskSpace> {
    let found = rustix::fs::statvfs(folder);
    let found = found
        .inspect_err(|problem| warn!(%problem, "the free space of the disk is unknown"))
        .ok()?;
    Some(DiskSpace {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // ALM-41
    #[test]
    fn the_space_of_a_folder_is_that_of_its_file_system() {
        let space = disk(&std::env::temp_dir()).unwrap();
        assert!(space.total > 0 && space.free <= space.total);
        assert_eq!(disk(Path::new("/no/such/folder")), None);
    }
}

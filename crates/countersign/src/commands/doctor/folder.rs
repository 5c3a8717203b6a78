//! Checks of the site's folder: permissions, and disk space while the site does not run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_core::alarms::DiskSpace;
use countersign_core::checks::{self, Check};
use rustix::fs::statvfs;

use crate::site::folder::{CONFIG, DATABASE, SLOT_FILE};

/// Checks that other users can neither read files with secrets nor change the others.
pub(super) fn modes(folder: &Path) -> Vec<Check> {
    let secret = DATABASE.into_iter().chain([SLOT_FILE]);
    let files = secret
        .map(|name| (name, 0o077, "600"))
        .chain([(CONFIG, 0o022, "600"), ("", 0o022, "700")]);
    let mut findings: Vec<Check> = files
        .filter_map(|(name, forbidden, right)| {
            let path = folder.join(name);
            let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
            (mode & forbidden != 0).then(|| {
                Check::problem(
                    "permissions",
                    format!("{} has mode {mode:o}", path.display()),
                    format!("chmod {right} {}", path.display()),
                )
            })
        })
        .collect();
    if findings.is_empty() {
        findings.push(Check::ok("permissions", "only the owner has access"));
    }
    findings
}

/// Checks the space on the disk of the site, which does not run.
pub(super) fn space(folder: &Path) -> Check {
    let database = std::fs::metadata(folder.join(DATABASE[0])).map_or(0, |found| found.len());
    match statvfs(folder) {
        Err(error) => Check::problem("disk space", error.to_string(), ""),
        Ok(found) => {
            let space = DiskSpace {
                free: found.f_bavail.saturating_mul(found.f_frsize),
                total: found.f_blocks.saturating_mul(found.f_frsize),
            };
            checks::disk(space, database)
        }
    }
}

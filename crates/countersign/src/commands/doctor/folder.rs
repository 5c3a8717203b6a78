//! Checks of the site's folder: permissions and disk space.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use countersign_core::alarms::DiskSpace;
use rustix::fs::statvfs;

use super::Finding;
use crate::site::folder::{CONFIG, DATABASE, SLOT_FILE};

/// Checks that other users can neither read files with secrets nor change the others.
pub(super) fn modes(folder: &Path) -> Vec<Finding> {
    let secret = DATABASE.into_iter().chain([SLOT_FILE]);
    let files = secret
        .map(|name| (name, 0o077, "600"))
        .chain([(CONFIG, 0o022, "600"), ("", 0o022, "700")]);
    let mut findings: Vec<Finding> = files
        .filter_map(|(name, forbidden, right)| {
            let path = folder.join(name);
            let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
            (mode & forbidden != 0).then(|| {
                Finding::problem(
                    "permissions",
                    format!("{} has mode {mode:o}", path.display()),
                    format!("chmod {right} {}", path.display()),
                )
            })
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("permissions", "only the owner has access"));
    }
    findings
}

/// Checks that there is space for a copy of the database, which a backup needs, and as much as the site itself
/// wants to have before it raises an alarm.
pub(super) fn space(folder: &Path) -> Finding {
    const CHECK: &str = "disk space";
    let database = std::fs::metadata(folder.join(DATABASE[0])).map_or(0, |found| found.len());
    match statvfs(folder) {
        Err(error) => Finding::problem(CHECK, error.to_string(), ""),
        Ok(found) => {
            let space = DiskSpace {
                free: found.f_bavail.saturating_mul(found.f_frsize),
                total: found.f_blocks.saturating_mul(found.f_frsize),
            };
            let free = space.free;
            let needed = database.saturating_mul(2).max(space.low());
            let message = format!("{} MiB free", free >> 20);
            if free >= needed {
                return Finding::ok(CHECK, message);
            }
            Finding::problem(
                CHECK,
                format!("{message}; the site needs {} MiB", needed >> 20),
                "free some space or move the folder to a larger disk: on a full disk every change fails",
            )
        }
    }
}

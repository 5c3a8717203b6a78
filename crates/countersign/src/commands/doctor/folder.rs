//! The folder of a site: who may read it, and how much room there is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;

use super::Finding;
use crate::site::folder::{CONFIG, DATABASE, SLOT_FILE};

/// What a site needs to live for a while, whatever it holds.
const LEAST_ROOM: u64 = 256 << 20;

/// Whether others can read what is secret, or change what is not.
pub(super) fn modes(folder: &Path) -> Vec<Finding> {
    let secret = DATABASE.into_iter().chain([SLOT_FILE]);
    let files = secret
        .map(|name| (name, 0o077, "600"))
        .chain([(CONFIG, 0o022, "600"), ("", 0o022, "700")]);
    let mut findings: Vec<Finding> = files
        .filter_map(|(name, kept_from_others, right)| {
            let path = folder.join(name);
            let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o777;
            (mode & kept_from_others != 0).then(|| {
                Finding::problem(
                    "permissions",
                    format!("{} has mode {mode:o}", path.display()),
                    format!("chmod {right} {}", path.display()),
                )
            })
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("permissions", "the owner's alone"));
    }
    findings
}

/// Whether there is room for a copy of the database, which a backup needs, and some more.
pub(super) fn space(folder: &Path) -> Finding {
    const CHECK: &str = "disk space";
    let database = std::fs::metadata(folder.join(DATABASE[0])).map_or(0, |found| found.len());
    let needed = database.saturating_mul(2).max(LEAST_ROOM);
    match statvfs(folder) {
        Err(error) => Finding::problem(CHECK, error.to_string(), ""),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let message = format!("{} MiB free", free >> 20);
            if free >= needed {
                return Finding::ok(CHECK, message);
            }
            Finding::problem(
                CHECK,
                format!("{message}, and {} MiB should be", needed >> 20),
                "free some, or move the folder to a larger disk: on a full one nothing can be changed",
            )
        }
    }
}

//! File descriptors of this process: the limit and the number of open ones.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed number of open descriptors if the operating system does not list them.
const OPEN: usize = 64;

/// Raises the soft limit on open files to the hard limit and returns the resulting limit.
///
/// The usual soft limit of 1,024 exists for programs that use `select`; this one does not.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If this fails, the limit is unchanged, and the limits on connections are derived from it.
    let _ = setrlimit(Resource::Nofile, raised);
    allowed()
}

/// The maximum number of open files of this process.
#[must_use]
pub fn allowed() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// The number of open files of this process.
#[must_use]
pub fn open() -> usize {
    let listed = ["/proc/self/fd", "/dev/fd"].into_iter();
    let mut counts = listed.filter_map(|folder| Some(std::fs::read_dir(folder).ok()?.count()));
    counts.next().unwrap_or(OPEN)
}

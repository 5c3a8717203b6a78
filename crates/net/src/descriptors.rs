//! File descriptors of this process: how many it may have open, and how many it has.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are assumed to be open where the operating system does not list them.
const OPEN: usize = 64;

/// Raises the number of files that this process may have open to what the operating system lets it have,
/// and gives that number.
///
/// The usual soft limit is 1,024, for the sake of programs that use `select`; this one does not.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // A system that does not allow it leaves the limit as it was, and the connections follow from that.
    let _ = setrlimit(Resource::Nofile, raised);
    allowed()
}

/// How many files this process may have open.
#[must_use]
pub fn allowed() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// How many files this process has open.
#[must_use]
pub fn open() -> usize {
    let listed = ["/proc/self/fd", "/dev/fd"].into_iter();
    let mut counts = listed.filter_map(|folder| Some(std::fs::read_dir(folder).ok()?.count()));
    counts.next().unwrap_or(OPEN)
}

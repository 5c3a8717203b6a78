//! File descriptors: how many this process may open, and how many of them connections may use.
//!
//! A connection needs a descriptor, and so do the files of the database, a connection to the admin socket and
//! a file that is being read. The limits on connections are therefore derived from the limit of the operating
//! system, less a [`Reserve`] for everything else.

use countersign_core::engine::MAX_JOINS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::limits::Limits;

/// Descriptors that SQLite may need in addition to those that it has: a file and a write-ahead log for each of
/// four readers, and temporary files.
const DATABASE: usize = 24;
/// Descriptors for files that are read or written, and for libraries of the operating system.
const FILES: usize = 24;
/// The greatest number of connections to the health listener. Further ones wait until one ends.
pub(crate) const HEALTH: usize = 8;
/// The greatest number of connections to the admin socket.
const ADMIN_SOCKET: usize = 64;
/// The least number of connections to the admin socket, however few descriptors there are.
const ADMIN_SOCKET_LEAST: usize = 4;
/// The greatest number of connections that the site opens to peers. Peers take turns if there are more.
const PEERS: usize = 128;
/// The least number of connections to peers, however few descriptors there are.
const PEERS_LEAST: usize = 4;
/// The least number of connections with which a site starts.
const CONNECTIONS_LEAST: usize = 16;
/// Assumed number of open descriptors if the operating system does not list them.
const OPEN: usize = 64;

/// The process may open too few files for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {allowed} files, but a site needs {needed}; raise the limit (ulimit -n, LimitNOFILE=)"
)]
pub struct TooFew {
    /// The number of files that the process may open.
    pub allowed: usize,
    /// The number that a site needs.
    pub needed: usize,
}

/// The distribution of this process's descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// Files that this process may open.
    pub allowed: usize,
    /// Connections of clients, including those through trusted proxies.
    pub connections: usize,
    /// Connections to the admin socket.
    pub admin_socket: usize,
    /// Connections that this site opens to peers. Those that peers open count as clients.
    pub peers: usize,
    /// The database, files, the health listener, joins of other sites, and the descriptors that were open when
    /// this was counted.
    pub other: usize,
}

impl Reserve {
    /// Distributes the descriptors that this process may open and does not use yet.
    ///
    /// # Errors
    /// [`TooFew`] if a site cannot run with them.
    pub fn count() -> Result<Self, TooFew> {
        Self::of(allowed(), open())
    }

    fn of(allowed: usize, open: usize) -> Result<Self, TooFew> {
        let other = open + DATABASE + FILES + HEALTH + MAX_JOINS;
        let left = allowed.saturating_sub(other);
        let admin_socket = (left / 16).clamp(ADMIN_SOCKET_LEAST, ADMIN_SOCKET);
        let peers = (left / 16).clamp(PEERS_LEAST, PEERS);
        let connections = left.saturating_sub(admin_socket + peers);
        if connections < CONNECTIONS_LEAST {
            let needed = other + ADMIN_SOCKET_LEAST + PEERS_LEAST + CONNECTIONS_LEAST;
            return Err(TooFew { allowed, needed });
        }
        Ok(Self {
            allowed,
            connections,
            admin_socket,
            peers,
            other,
        })
    }

    /// Lowers the limits if they allow more connections than there are descriptors.
    ///
    /// Lowered limits keep the order of the defaults: no source and no account can take all connections, and
    /// unauthenticated connections leave room for sessions.
    #[must_use]
    pub fn lower(&self, limits: &Limits) -> Limits {
        let asked = limits
            .connections
            .saturating_add(limits.proxied_connections)
            .saturating_add(limits.proxied_sessions);
        if asked <= self.connections {
            return limits.clone();
        }
        let proxied = limits.proxied_connections.min(self.connections / 8);
        let proxied_sessions = limits.proxied_sessions.min(self.connections / 8);
        let left = self.connections - proxied - proxied_sessions;
        let connections = limits.connections.min(left);
        let unauthenticated = limits.unauthenticated.min(connections / 2);
        let sessions_per_account = limits.sessions_per_account.min(connections / 2);
        // A share of a limit that fits stays as it was set: a share of a low one would be nothing.
        let is_lower = unauthenticated < limits.unauthenticated;
        let share = |limit: usize, part: usize| match is_lower {
            true => limit.min(unauthenticated / part),
            false => limit,
        };
        Limits {
            proxied_connections: proxied,
            proxied_sessions,
            connections,
            connections_per_source: limits.connections_per_source.min(connections / 4),
            connections_per_network: limits.connections_per_network.min(connections / 2),
            unauthenticated,
            unauthenticated_per_source: share(limits.unauthenticated_per_source, 4),
            unauthenticated_per_network: share(limits.unauthenticated_per_network, 2),
            unauthenticated_early_drop: share(limits.unauthenticated_early_drop, 2),
            sessions_per_account,
            suspended_sessions_per_account: limits
                .suspended_sessions_per_account
                .min(sessions_per_account / 2),
            ..limits.clone()
        }
    }
}

/// Lowers the limits to the available file descriptors, and logs the result.
pub(crate) fn fit(limits: &Limits, reserve: &Reserve) -> Limits {
    let fitting = reserve.lower(limits);
    let (connections, proxied) = (fitting.connections, fitting.proxied_connections);
    info!(
        files = reserve.allowed,
        connections,
        proxied,
        proxied_sessions = fitting.proxied_sessions,
        unauthenticated = fitting.unauthenticated,
        admin_socket = reserve.admin_socket,
        peers = reserve.peers,
        other = reserve.other,
        "file descriptors of this process and their use"
    );
    if fitting != *limits {
        warn!(
            configured = limits.connections,
            connections,
            "the limits allow more connections than this process may open files, and were lowered; \
             raise its hard limit (ulimit -Hn, LimitNOFILE=) or lower limits.connections"
        );
    }
    fitting
}

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
pub(crate) fn open() -> usize {
    let listed = ["/proc/self/fd", "/dev/fd"].into_iter();
    let mut counts = listed.filter_map(|folder| Some(std::fs::read_dir(folder).ok()?.count()));
    counts.next().unwrap_or(OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 250 idle connections from each of 24 addresses used up the 1,024 descriptors of a site that allowed 24,000
    /// connections: the operating system refused the next one before a limit of the site was reached.
    #[test]
    fn limits_fit_the_descriptors_of_the_process() {
        let reserve = Reserve::of(1_024, 30).unwrap();
        let limits = reserve.lower(&Limits::default());
        let proxied = limits.proxied_connections + limits.proxied_sessions;
        let own = reserve.admin_socket + reserve.peers + reserve.other;
        let taken = limits.connections + proxied + own;
        assert_eq!(taken, 1_024);
        assert!(reserve.peers >= 32 && limits.connections >= 512);
        assert!(limits.unauthenticated * 2 <= limits.connections);
        assert!(limits.unauthenticated_per_source * 4 <= limits.unauthenticated);
        assert!(limits.sessions_per_account < limits.connections);
        assert!(limits.suspended_sessions_per_account < limits.sessions_per_account);
        assert!(reserve.admin_socket >= 32 && reserve.other >= 30 + DATABASE + FILES);
    }

    /// With `unauthenticated = 2` and few descriptors no source could connect: it was allowed a quarter
    /// of two connections.
    #[test]
    fn a_low_limit_on_unauthenticated_connections_closes_no_source_out() {
        let configured = Limits {
            unauthenticated: 2,
            unauthenticated_early_drop: 2,
            ..Limits::default()
        };
        let limits = Reserve::of(1_024, 30).unwrap().lower(&configured);
        assert_eq!(
            (limits.unauthenticated, limits.unauthenticated_early_drop),
            (2, 2)
        );
        assert_eq!(limits.unauthenticated_per_source, 256);
    }

    #[test]
    fn limits_that_fit_are_not_changed() {
        let reserve = Reserve::of(30_000, 30).unwrap();
        assert_eq!(reserve.lower(&Limits::default()), Limits::default());
        let exactly = Limits {
            connections: reserve.connections - 9,
            proxied_connections: 5,
            proxied_sessions: 4,
            ..Limits::default()
        };
        assert_eq!(reserve.lower(&exactly), exactly);
    }

    /// With the least number of descriptors, every limit is at least one; with one less, it is an error.
    #[test]
    fn too_few_descriptors_are_an_error() {
        let other = 30 + DATABASE + FILES + HEALTH + MAX_JOINS;
        let least = other + ADMIN_SOCKET_LEAST + PEERS_LEAST + CONNECTIONS_LEAST;
        let limits = Reserve::of(least, 30).unwrap().lower(&Limits::default());
        assert!(limits.unauthenticated_per_source >= 1 && limits.connections_per_source >= 1);
        let refused = Reserve::of(least - 1, 30).unwrap_err();
        assert_eq!((refused.allowed, refused.needed), (least - 1, least));
    }
}

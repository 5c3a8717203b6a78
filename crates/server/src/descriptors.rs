//! File descriptors: how many this process may have open, and how many of them connections may take.
//!
//! A connection is a descriptor, and so are the files of the database, a connection to the admin socket and
//! a file that is being read. A process without a free descriptor cannot do any of these, so the limits on
//! connections are derived from what the operating system allows, less a [`Reserve`] for everything else.

use countersign_net::descriptors::open;
pub use countersign_net::descriptors::{allowed, raise};

use crate::limits::Limits;

/// Descriptors that SQLite may need beyond those that it has: four readers with a file and a log each, and
/// temporary files.
const DATABASE: usize = 24;
/// Descriptors for files that are read or written, and for what the operating system's libraries open.
const FILES: usize = 24;
/// Connections to the admin socket at a time: scripts, not floods.
const ADMIN_SOCKET: usize = 64;
/// Connections to the admin socket at a time, however few descriptors there are.
const ADMIN_SOCKET_LEAST: usize = 4;
/// Connections without which a site is of no use.
const CONNECTIONS_LEAST: usize = 16;

/// A process may have too few files open to serve a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may have {allowed} files open and a site needs {needed}; raise the limit (ulimit -n, LimitNOFILE=)"
)]
pub struct TooFew {
    /// How many it may have open.
    pub allowed: usize,
    /// How many it would need.
    pub needed: usize,
}

/// How the descriptors of this process are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// Files that this process may have open.
    pub allowed: usize,
    /// Connections of clients, those through trusted proxies included.
    pub connections: usize,
    /// Connections to the admin socket.
    pub admin_socket: usize,
    /// The database, files, and what was open when this was counted.
    pub other: usize,
}

impl Reserve {
    /// Shares out what this process may have and does not use yet.
    ///
    /// # Errors
    /// [`TooFew`].
    pub fn count() -> Result<Self, TooFew> {
        Self::of(allowed(), open())
    }

    fn of(allowed: usize, open: usize) -> Result<Self, TooFew> {
        let other = open + DATABASE + FILES;
        let left = allowed.saturating_sub(other);
        let admin_socket = (left / 16).clamp(ADMIN_SOCKET_LEAST, ADMIN_SOCKET);
        let connections = left.saturating_sub(admin_socket);
        if connections < CONNECTIONS_LEAST {
            let needed = other + ADMIN_SOCKET_LEAST + CONNECTIONS_LEAST;
            return Err(TooFew { allowed, needed });
        }
        Ok(Self {
            allowed,
            connections,
            admin_socket,
            other,
        })
    }

    /// The limits, lowered where they allow more connections than there are descriptors.
    ///
    /// Lowered limits keep the order of the defaults: no source or account may have all connections, and
    /// unauthenticated ones leave room for sessions.
    #[must_use]
    pub fn lower(&self, limits: &Limits) -> Limits {
        let asked = limits
            .connections
            .saturating_add(limits.proxied_connections);
        if asked <= self.connections {
            return limits.clone();
        }
        let proxied = limits.proxied_connections.min(self.connections / 8);
        let connections = limits.connections.min(self.connections - proxied);
        let unauthenticated = limits.unauthenticated.min(connections / 2);
        let sessions_per_account = limits.sessions_per_account.min(connections / 2);
        Limits {
            proxied_connections: proxied,
            connections,
            connections_per_source: limits.connections_per_source.min(connections / 4),
            connections_per_network: limits.connections_per_network.min(connections / 2),
            unauthenticated,
            unauthenticated_per_source: limits.unauthenticated_per_source.min(unauthenticated / 4),
            unauthenticated_per_network: limits
                .unauthenticated_per_network
                .min(unauthenticated / 2),
            unauthenticated_early_drop: limits.unauthenticated_early_drop.min(unauthenticated / 2),
            sessions_per_account,
            suspended_sessions_per_account: limits
                .suspended_sessions_per_account
                .min(sessions_per_account / 2),
            ..limits.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 24 addresses with 250 idle connections each used up the 1,024 descriptors of a site that allowed 24,000
    /// connections: the operating system refused the next one before any limit of the site was reached.
    #[test]
    fn limits_fit_the_descriptors_of_the_process() {
        let reserve = Reserve::of(1_024, 30).unwrap();
        let limits = reserve.lower(&Limits::default());
        let taken =
            limits.connections + limits.proxied_connections + reserve.admin_socket + reserve.other;
        assert_eq!(taken, 1_024);
        assert!(limits.unauthenticated * 2 <= limits.connections);
        assert!(limits.unauthenticated_per_source * 4 <= limits.unauthenticated);
        assert!(limits.sessions_per_account < limits.connections);
        assert!(limits.suspended_sessions_per_account < limits.sessions_per_account);
        assert!(reserve.admin_socket >= 32 && reserve.other >= 30 + DATABASE + FILES);
    }

    #[test]
    fn limits_that_fit_stay_as_they_are() {
        let reserve = Reserve::of(30_000, 30).unwrap();
        assert_eq!(reserve.lower(&Limits::default()), Limits::default());
        let exactly = Limits {
            connections: reserve.connections - 5,
            proxied_connections: 5,
            ..Limits::default()
        };
        assert_eq!(reserve.lower(&exactly), exactly);
    }

    /// At the least and one below it; every limit is one at least then.
    #[test]
    fn a_process_with_too_few_descriptors_is_told_so() {
        let least = 30 + DATABASE + FILES + ADMIN_SOCKET_LEAST + CONNECTIONS_LEAST;
        let limits = Reserve::of(least, 30).unwrap().lower(&Limits::default());
        assert!(limits.unauthenticated_per_source >= 1 && limits.connections_per_source >= 1);
        let refused = Reserve::of(least - 1, 30).unwrap_err();
        assert_eq!((refused.allowed, refused.needed), (least - 1, least));
    }
}

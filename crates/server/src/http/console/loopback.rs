//! The listeners of the relay: the same port at both loopback addresses.
//!
//! A browser takes a name below `localhost` for ::1 and for 127.0.0.1, and connects to the one that answers
//! first. Any user of the machine may listen at a port that is free at one of them, and would serve pages in the
//! origin of the relay. So the relay has its port at both, or does not start.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use tokio::net::TcpListener;

use crate::accept_loop;

/// How often another port is tried if port 0 was requested and the port is taken at the second address. The
/// system selects ports at random, so another user has to hold most of them to prevent all of these.
const TRIES: usize = 64;

/// The listeners, and the port that they share.
#[derive(Debug)]
pub(super) struct Loopback<L = TcpListener> {
    /// The requested address, with the port.
    pub(super) address: SocketAddr,
    pub(super) first: L,
    /// The listener at the other address; `None` on a machine without addresses of that family, where no other
    /// program can listen at it either.
    pub(super) second: Option<L>,
}

impl Loopback {
    /// Binds the port of `address`, which is [one of the two](is_one), at both; port 0 takes one that is free at
    /// both.
    ///
    /// # Errors
    /// The address that could not be bound.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, (SocketAddr, io::Error)> {
        Self::bind_with(address, |address| {
            let listener = accept_loop::listen(address)?;
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        })
    }
}

impl<L> Loopback<L> {
    fn bind_with(
        address: SocketAddr,
        listen: impl Fn(SocketAddr) -> io::Result<(L, SocketAddr)>,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut tries = if address.port() == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            let (first, address) = listen(address).map_err(|error| (address, error))?;
            let other = SocketAddr::new(other(address.ip()), address.port());
            let second = match listen(other) {
                Ok((second, _)) => Some(second),
                Err(error) if is_missing(&error) => None,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => continue,
                Err(error) => return Err((other, error)),
            };
            return Ok(Self {
                address,
                first,
                second,
            });
        }
    }
}

/// Whether a browser connects names below `localhost` to this address.
pub(super) fn is_one(address: IpAddr) -> bool {
    [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ]
    .contains(&address)
}

fn other(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
    }
}

/// Whether the machine has no address of the family.
fn is_missing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Binds 127.0.0.1 with a second address at which listening fails so many times.
    fn bind(port: u16, errno: Errno, times: usize) -> (Result<bool, Option<Errno>>, usize) {
        let (calls, left) = (Cell::new(0), Cell::new(times));
        let bound = Loopback::bind_with(([127, 0, 0, 1], port).into(), |mut address| {
            if address.is_ipv6() {
                assert_eq!(address.port(), 40_000 + calls.get());
                if let Some(less) = left.get().checked_sub(1) {
                    left.set(less);
                    return Err(errno.into());
                }
            } else if address.port() == 0 {
                calls.set(calls.get() + 1);
                address.set_port(40_000 + calls.get());
            }
            Ok(((), address))
        });
        let bound = bound.map(|both| both.second.is_some());
        let failed = |(address, error): (SocketAddr, io::Error)| {
            assert!(address.is_ipv6());
            Errno::from_io_error(&error)
        };
        (bound.map_err(failed), calls.get().into())
    }

    #[test]
    fn another_port_is_taken_if_the_first_one_is_in_use_at_the_other_address() {
        assert_eq!(bind(0, Errno::ADDRINUSE, 3), (Ok(true), 4));
        let in_use = Err(Some(Errno::ADDRINUSE));
        assert_eq!(bind(0, Errno::ADDRINUSE, usize::MAX), (in_use, TRIES));
        assert_eq!(bind(40_000, Errno::ADDRINUSE, 1), (in_use, 0));
    }

    #[test]
    fn one_address_is_enough_only_where_the_machine_has_no_other() {
        for missing in [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT] {
            assert_eq!(bind(0, missing, usize::MAX), (Ok(false), 1));
        }
        for other in [Errno::ACCESS, Errno::PERM, Errno::MFILE, Errno::NOBUFS] {
            assert_eq!(bind(0, other, 1), (Err(Some(other)), 1));
        }
    }
}

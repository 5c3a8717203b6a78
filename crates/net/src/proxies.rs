//! Proxies that ask for others, and whom: the field `x-forwarded-for`.
//!
//! Each proxy appends the address from which it got the request, so the field is read from its end: the addresses of
//! trusted proxies are skipped, and the first other one is the client. What stands before that was written by the
//! client, or by a proxy that is not trusted, and is not read.

use std::net::{IpAddr, SocketAddr};

/// The field in which proxies name their clients.
pub const FIELD: &str = "x-forwarded-for";

/// Trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their addresses: connections from there count for no client, unless proxies are believed.
    pub addresses: Vec<IpAddr>,
    /// Whether they are believed whom they ask for: the last address in `x-forwarded-for` that is not a
    /// proxy's. They must set the field or add to it: a proxy that passes it on as it is lets clients choose
    /// whom their faults count for.
    pub believed: bool,
}

impl Proxies {
    /// Whether one of them has that address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut all = self.addresses.iter();
        all.any(|proxy| proxy.to_canonical() == address)
    }

    /// The client's address in the lines of [`FIELD`], last line first; `None` where no address but those of trusted
    /// proxies is named, or where the first other entry is no address: the request counts for no client then, and
    /// never for the proxy.
    #[must_use]
    pub fn client<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Option<IpAddr> {
        // Several lines of a field are one list (RFC 9110, section 5.3).
        for line in lines {
            let line = std::str::from_utf8(line)
                .ok()
                .filter(|line| line.is_ascii())?;
            for entry in line.rsplit(',').map(str::trim) {
                // A list may have empty entries (RFC 9110, section 5.6.1).
                if entry.is_empty() {
                    continue;
                }
                let named = address(entry)?;
                if !self.has(named) {
                    return Some(named);
                }
            }
        }
        None
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    address.or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(lines: &[&str]) -> Option<String> {
        let listed = ["127.0.0.1", "::1", "10.0.0.2", "2001:db8::2"];
        let proxies = Proxies {
            addresses: listed.map(|address| address.parse().unwrap()).to_vec(),
            believed: true,
        };
        let lines = lines.iter().rev().map(|line| line.as_bytes());
        let client = proxies.client(lines)?;
        Some(client.to_canonical().to_string())
    }

    /// A request that passed two proxies named the second one last. Its failures counted for that proxy, which was
    /// refused then, and with it all of its clients.
    #[test]
    fn trusted_proxies_are_passed_over() {
        let client = Some("203.0.113.7".to_owned());
        for lines in [
            &["203.0.113.7"][..],
            &["203.0.113.7, 127.0.0.1"],
            &["203.0.113.7,10.0.0.2,127.0.0.1, ::1"],
            &["203.0.113.7", "10.0.0.2", "127.0.0.1"],
            &["203.0.113.7, 10.0.0.2", "::ffff:127.0.0.1"],
            &["192.0.2.1, 203.0.113.7, 127.0.0.1"],
            &["no address, 203.0.113.7, 127.0.0.1"],
            &["203.0.113.7, , 127.0.0.1,"],
            &["203.0.113.7", "", "127.0.0.1"],
            &["203.0.113.7:4711, 10.0.0.2:80, [::1]:80"],
            &["::ffff:203.0.113.7, [::1], [2001:db8::2]:443"],
        ] {
            assert_eq!(named(lines), client, "{lines:?}");
        }
        let six = Some("2001:db8:7::1".to_owned());
        for line in ["2001:db8:7::1", "[2001:db8:7::1]", "[2001:db8:7::1]:80"] {
            assert_eq!(named(&[line, "2001:db8::2"]), six, "{line}");
        }
    }

    /// A proxy is never taken for the client, and garbage lets no client choose who it is.
    #[test]
    fn where_no_client_is_named_a_request_counts_for_none() {
        for lines in [
            &[][..],
            &[""],
            &[" , ,"],
            &["127.0.0.1"],
            &["10.0.0.2, 127.0.0.1"],
            &["203.0.113.7, unknown"],
            &["203.0.113.7, unknown, 127.0.0.1"],
            &["203.0.113.7, 192.0.2.300"],
            &["203.0.113.7, \u{e9}"],
            &["203.0.113.7, [::1"],
        ] {
            assert_eq!(named(lines), None, "{lines:?}");
        }
    }
}

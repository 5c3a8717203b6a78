//! Trusted proxies and the header `x-forwarded-for`.
//!
//! Each proxy appends the source address of the request, so the header is read from its end.
//! Addresses of trusted proxies are skipped; the first other address is the client. Earlier entries
//! come from the client or an untrusted proxy and are ignored.

use std::net::{IpAddr, SocketAddr};

/// The header in which proxies name their clients.
pub(crate) const FIELD: &str = "x-forwarded-for";

/// Trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Addresses of the proxies. Without `trust_forwarded`, connections from there are counted for
    /// no client.
    pub addresses: Vec<IpAddr>,
    /// Whether the client's address is taken from `x-forwarded-for`: its last address that is not a
    /// proxy's. The proxies must set the header or append to it. With a proxy that forwards the
    /// header unchanged, clients can choose for which address their abuse is counted.
    pub trust_forwarded: bool,
}

impl Proxies {
    /// Whether a proxy has this address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut all = self.addresses.iter();
        all.any(|proxy| proxy.to_canonical() == address)
    }

    /// The client's address from the lines of `x-forwarded-for`, given last line first. `None` if there are
    /// only addresses of trusted proxies, or if the first other entry is not an address: then the
    /// request is counted for no client, and never for the proxy.
    #[must_use]
    pub fn client<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Option<IpAddr> {
        // Repeated headers form one list (RFC 9110, section 5.3).
        for line in lines {
            let line = std::str::from_utf8(line)
                .ok()
                .filter(|line| line.is_ascii())?;
            for entry in line.rsplit(',').map(str::trim) {
                // A list may contain empty entries (RFC 9110, section 5.6.1).
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

/// Parses an address as proxies write it: bare, in brackets, or with a port.
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
            trust_forwarded: true,
        };
        let lines = lines.iter().rev().map(|line| line.as_bytes());
        let client = proxies.client(lines)?;
        Some(client.to_canonical().to_string())
    }

    /// Regression: a request through two proxies names the second one last. Its failures were
    /// counted for that proxy, which was then rejected with all its clients.
    #[test]
    fn trusted_proxies_are_skipped() {
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

    /// A proxy is never counted as the client, and a client cannot choose its address with invalid
    /// entries.
    #[test]
    fn without_a_valid_client_address_a_request_is_counted_for_no_client() {
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

//! A site's address and its pinned key in one line: `countersign://HOST:PORT#SITEKEY`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use countersign_crypto::site_key::{BadSitePublicKey, SitePublicKey};

const SCHEME: &str = "countersign://";

/// The address of a site, and its pinned site key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUri {
    host: String,
    port: u16,
    site_key: SitePublicKey,
}

/// Why a text is not a site URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSiteUri {
    /// It does not start with `countersign://`.
    #[error("a site's URI starts with countersign://")]
    Scheme,
    /// The host is missing, or is not a DNS name, IPv4 address or IPv6 address in brackets.
    #[error("the host must be a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The port is missing or not between 1 and 65535.
    #[error("a port between 1 and 65535 must follow the host")]
    Port,
    /// There is no `#`.
    #[error("the site key is missing: countersign://HOST:PORT#SITEKEY")]
    NoSiteKey,
    /// The site key is malformed.
    #[error(transparent)]
    SiteKey(#[from] BadSitePublicKey),
}

impl SiteUri {
    /// The URI of a site at `host` (a DNS name, an IPv4 address, or an IPv6 address in brackets).
    ///
    /// # Errors
    /// [`BadSiteUri::Host`] or [`BadSiteUri::Port`].
    pub fn new(host: &str, port: u16, site_key: SitePublicKey) -> Result<Self, BadSiteUri> {
        if !is_host(host) {
            return Err(BadSiteUri::Host);
        }
        if port == 0 {
            return Err(BadSiteUri::Port);
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
            site_key,
        })
    }

    /// The URI of the same site after its key was replaced by this one.
    #[must_use]
    pub fn with_key(self, site_key: SitePublicKey) -> Self {
        Self { site_key, ..self }
    }

    /// Host and port, in the form that a connection needs.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The key that the site must authenticate with.
    #[must_use]
    pub fn site_key(&self) -> &SitePublicKey {
        &self.site_key
    }
}

/// Whether a text is a host: a DNS name of at most 253 bytes, an IPv4 address of four decimal numbers,
/// or an IPv6 address in brackets. A name whose last label is a number is an IPv4 address or nothing
/// (WHATWG URL, section 3.5): readers of other forms of numbers would connect to another host.
#[must_use]
pub fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return address.is_some_and(|address| address.is_ok());
    }
    match host.rsplit('.').next().is_some_and(is_number) {
        true => host.parse::<Ipv4Addr>().is_ok(),
        false => host.len() <= 253 && has_dns_labels(host),
    }
}

/// Whether a text is a host, with or without a port from 1 to 65,535 behind it.
#[must_use]
pub fn is_authority(text: &str) -> bool {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => is_port(port) && is_host(host),
        _ => is_host(text),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Labels of 1 to 63 letters, digits and inner hyphens (RFC 1123, section 2.1).
pub(crate) fn has_dns_labels(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Whether readers of URLs take a label for a number: decimal, or hexadecimal with its prefix.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl FromStr for SiteUri {
    type Err = BadSiteUri;

    /// Parses a URI. It ignores white space, which line wrapping inserts, angle brackets around the
    /// URI (RFC 3986, appendix C), and a byte order mark.
    fn from_str(text: &str) -> Result<Self, BadSiteUri> {
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '\u{feff}')
            .collect();
        let text = text
            .strip_prefix('<')
            .and_then(|text| text.strip_suffix('>'))
            .unwrap_or(&text);
        let rest = text.strip_prefix(SCHEME).ok_or(BadSiteUri::Scheme)?;
        let (address, key) = rest.split_once('#').ok_or(BadSiteUri::NoSiteKey)?;
        let (host, port) = address.rsplit_once(':').ok_or(BadSiteUri::Port)?;
        if !is_port(port) {
            return Err(BadSiteUri::Port);
        }
        Self::new(
            host,
            port.parse().map_err(|_| BadSiteUri::Port)?,
            key.parse()?,
        )
    }
}

impl fmt::Display for SiteUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}#{}", self.host, self.port, self.site_key)
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::site_key::{SiteKey, SiteSeed};
    use proptest::prelude::*;

    use super::*;

    fn uri() -> SiteUri {
        let key = SiteKey::from_seed(SiteSeed::generate(&mut SystemEntropy));
        SiteUri::new("localhost", 4747, key.public()).unwrap()
    }

    /// A final line end, as `$(cat file)` in some shells and every environment file adds, must not
    /// count as a part of the key.
    #[test]
    fn a_uri_with_copied_white_space_is_parsed() {
        let uri = uri();
        let text = uri.to_string();
        let (first, second) = text.split_at(60);
        for copied in [
            format!("{text}\n"),
            format!("\u{feff}{text}\r\n"),
            format!("  {text}\t"),
            format!("<{text}>"),
            format!("{first}\n    {second}"),
        ] {
            assert_eq!(copied.parse(), Ok(uri.clone()), "{copied:?}");
        }
        assert!(format!("{text}a").parse::<SiteUri>().is_err());
        assert!(first.parse::<SiteUri>().is_err());
    }

    /// `b2..example` and `192.0.2.256` were accepted from a peer as its address, and from there went
    /// into links and tickets, where every connection fails.
    // DEV-67
    #[test]
    fn a_host_is_a_dns_name_or_an_ip_address() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        for host in [
            "a",
            "localhost",
            "b2.example",
            "3com.example",
            "xn--bcher-kva.example",
            "1.2.3.4.example",
            "192.0.2.255",
            "[::1]",
            "[2001:db8::192.0.2.1]",
            "0x.example",
            &longest,
        ] {
            assert!(is_host(host) && is_authority(host), "{host}");
            assert!(is_authority(&format!("{host}:65535")), "{host}");
            for port in ["", "0", "65536", "+1", "a", "1:1"] {
                assert!(!is_authority(&format!("{host}:{port}")), "{host}:{port}");
            }
        }
        for host in [
            "",
            ".",
            "b2..example",
            ".example",
            "b.example.",
            "-b.example",
            "b-.example",
            "b_2.example",
            "b\u{fc}cher.example",
            "192.0.2.256",
            "192.0.2",
            "192.0.2.1.1",
            "192.0.2.01",
            "192.0.2.0x1",
            "b.example.0x",
            "b.example.7",
            "3221225985",
            "[192.0.2.1]",
            "[fe80::1%eth0]",
            "[::1",
            "::1",
            &format!("{label}a.example"),
            &format!("{longest}a"),
        ] {
            assert!(!is_host(host) && !is_authority(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn a_uri_wrapped_anywhere_is_parsed(width in 1..80_usize, end in "[ \t\r\n]{1,3}") {
            let uri = uri();
            let text = uri.to_string();
            let lines: Vec<&str> = text
                .as_bytes()
                .chunks(width)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            prop_assert_eq!(lines.join(&end).parse(), Ok(uri));
        }
    }
}

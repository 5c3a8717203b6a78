//! A site's address and its pinned key in one line: `countersign://HOST:PORT#SITEKEY`.

use std::fmt;
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

/// Whether [`SiteUri::new`] accepts the text as a host.
#[must_use]
pub fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        Some(inner) => inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
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
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
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
    /// characters".
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

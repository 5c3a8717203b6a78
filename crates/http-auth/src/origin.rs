//! Origins: scheme, host and port of an address (RFC 6454), and how they are signed.

use std::fmt;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Scheme, host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    /// The host, with its port unless it is the scheme's default.
    authority: String,
}

/// The text is not an `http` or `https` URL with a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an address: write it as in https://site.example:4749")]
pub struct WrongAddress(pub String);

/// The port of an address with this scheme that contains none.
fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Path and query as they are sent and signed. An empty path becomes `/` (RFC 9112, section 3.2.1);
/// nothing else is changed.
pub(super) fn target(uri: &Uri) -> String {
    match uri.path_and_query().map_or("", PathAndQuery::as_str) {
        target if target.is_empty() || target.starts_with('?') => format!("/{target}"),
        target => target.to_owned(),
    }
}

/// The same address with path and query as returned by [`target`], because HTTP clients differ in
/// how they send an empty path.
#[cfg(feature = "consumer")]
pub(super) fn with_path(uri: Uri) -> Uri {
    let path = PathAndQuery::try_from(target(&uri));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

/// The port in an authority, or `Some(None)` if it contains none. `None` if the authority is not
/// just host and port: the parser also accepts `h:x`, `h:99999` and `[::1]x`, with hosts `h` and
/// `[::1]`.
fn port(authority: &Authority) -> Option<Option<u16>> {
    let text = authority.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_, text)| text);
    let rest = text.strip_prefix(authority.host())?;
    if rest.is_empty() {
        return Some(None);
    }
    let port = rest.strip_prefix(':')?;
    if port.is_empty() {
        return Some(None);
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().map(Some)
}

/// An authority normalised as in RFC 9421, section 2.2.3: in lower case, without its scheme's
/// default port. `None` if it contains a user name or an invalid port.
pub(super) fn normalized(authority: &Authority, default_port: Option<u16>) -> Option<String> {
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let port = port(authority)?.filter(|port| Some(*port) != default_port);
    Some(port.map_or(host.clone(), |port| format!("{host}:{port}")))
}

/// Whether two authorities of one scheme are the same.
#[cfg(feature = "provider")]
pub(super) fn same(first: &Authority, second: &Authority, scheme: Option<&Scheme>) -> bool {
    let default_port = scheme.and_then(default_port);
    let normalized = |authority| normalized(authority, default_port);
    normalized(first).is_some() && normalized(first) == normalized(second)
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, WrongAddress> {
        let wrong = || WrongAddress(uri.to_string());
        let scheme = uri.scheme().ok_or_else(wrong)?;
        let default_port = default_port(scheme).ok_or_else(wrong)?;
        let named = uri.authority().ok_or_else(wrong)?;
        let host = named.host().to_ascii_lowercase();
        let port = port(named)
            .ok_or_else(wrong)?
            .filter(|port| *port != default_port);
        Ok(Self {
            scheme: scheme.clone(),
            authority: port.map_or(host.clone(), |port| format!("{host}:{port}")),
        })
    }

    /// The signed form: host, and port unless it is the scheme's default.
    #[cfg(feature = "consumer")]
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The scheme's default port.
    #[cfg(feature = "consumer")]
    pub(super) fn default_port(&self) -> Option<u16> {
        default_port(&self.scheme)
    }

    /// The address with this path and query at this origin.
    pub(super) fn at(&self, path: &str) -> Result<Uri, WrongAddress> {
        let address = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.as_str())
            .path_and_query(path);
        address.build().map_err(|_| WrongAddress(path.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, WrongAddress, normalized, target, with_path};

    fn origin(address: &str) -> Result<String, WrongAddress> {
        Origin::of(&address.parse().unwrap()).map(|origin| origin.to_string())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = [
            "https://Ledger.example",
            "https://ledger.example:443/a?b",
            "https://user@ledger.example/",
        ];
        for address in same {
            assert_eq!(origin(address).unwrap(), "https://ledger.example");
        }
        assert_eq!(
            origin("http://ledger.example:443").unwrap(),
            "http://ledger.example:443"
        );
        assert_eq!(origin("http://[::1]:80/").unwrap(), "http://[::1]");
        for address in [
            "/path",
            "ledger.example:80",
            "ftp://ledger.example/",
            "http://ledger.example:x/",
            "http://ledger.example:99999/",
        ] {
            assert_eq!(origin(address), Err(WrongAddress(address.to_owned())));
        }
    }

    #[test]
    fn an_authority_is_signed_without_the_port_of_its_scheme() {
        for (authority, default_port, expected) in [
            ("Ledger.Example", Some(80), Some("ledger.example")),
            ("ledger.example:80", Some(80), Some("ledger.example")),
            ("ledger.example:080", Some(80), Some("ledger.example")),
            ("ledger.example:443", Some(80), Some("ledger.example:443")),
            ("ledger.example:443", None, Some("ledger.example:443")),
            ("[::1]:443", Some(443), Some("[::1]")),
            ("user@ledger.example", Some(80), None),
        ] {
            let signed = normalized(&authority.parse().unwrap(), default_port);
            assert_eq!(signed.as_deref(), expected, "{authority} {default_port:?}");
        }
    }

    /// Regression: an attacker in the middle changed `Host: ledger.example` of a signed request to
    /// `ledger.example:x`. The two compared equal, and the service put the changed one into links.
    #[test]
    fn an_authority_with_an_invalid_port_is_not_normalized() {
        for authority in [
            "ledger.example:x",
            "ledger.example:+80",
            "ledger.example:99999",
            "[::1]x",
            "[::1]x:80",
        ] {
            let Ok(authority) = authority.parse() else {
                continue;
            };
            for default_port in [None, Some(80)] {
                assert_eq!(normalized(&authority, default_port), None, "{authority}");
            }
        }
        let without = normalized(&"ledger.example:".parse().unwrap(), None);
        assert_eq!(without.as_deref(), Some("ledger.example"));
    }

    /// Regression: a request to `http://h?x=1` was signed for the target `?x=1`, and the HTTP
    /// client sent `/?x=1`.
    #[test]
    fn an_empty_path_becomes_a_slash_and_other_paths_are_unchanged() {
        for (address, expected) in [
            ("http://h", "/"),
            ("http://h?x=1", "/?x=1"),
            ("http://h/?x=1", "/?x=1"),
            ("http://h?", "/?"),
            ("http://h/a%2fb/%7e?x=%20#part", "/a%2fb/%7e?x=%20"),
            ("http://h//a/../b", "//a/../b"),
            ("/a?b", "/a?b"),
            ("*", "*"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(target(&address), expected, "{address}");
            let sent = with_path(address);
            assert_eq!(sent.path_and_query().unwrap().as_str(), expected);
        }
    }

    #[test]
    fn an_address_has_the_origin_and_the_given_path() {
        let site = Origin::of(&"http://[::1]:4749".parse().unwrap()).unwrap();
        let address = site.at("/clock?nonce=a").unwrap();
        assert_eq!(address, "http://[::1]:4749/clock?nonce=a");
    }
}

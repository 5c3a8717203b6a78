//! Whom an address belongs to: scheme, host and port (RFC 6454).

use std::fmt;

use http::Uri;
use http::uri::Scheme;

/// Where somebody answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    /// The host, with its port unless that is the scheme's own.
    authority: String,
}

/// Not an `http` or `https` address with a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address: write it as in https://site.example:4749")]
pub struct WrongAddress(pub String);

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, WrongAddress> {
        let wrong = || WrongAddress(uri.to_string());
        let scheme = uri.scheme().ok_or_else(wrong)?;
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_ascii_lowercase();
        let port = uri.port_u16().filter(|port| *port != usual);
        Ok(Self {
            scheme: scheme.clone(),
            authority: port.map_or(host.clone(), |port| format!("{host}:{port}")),
        })
    }

    /// As it is signed: host, and port unless that is the scheme's own.
    #[cfg(feature = "consumer")]
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The address of that path and query here.
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
    use super::{Origin, WrongAddress};

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
        for address in ["/path", "ledger.example:80", "ftp://ledger.example/"] {
            assert_eq!(origin(address), Err(WrongAddress(address.to_owned())));
        }
    }

    #[test]
    fn an_address_at_an_origin_has_its_path() {
        let site = Origin::of(&"http://[::1]:4749".parse().unwrap()).unwrap();
        let address = site.at("/clock?nonce=a").unwrap();
        assert_eq!(address, "http://[::1]:4749/clock?nonce=a");
    }
}

//! The public host of a site.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use countersign_proto::uri::is_host;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The host in a site's URI: a DNS name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicHost(String);

impl FromStr for PublicHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "give only the host, as in auth.example.org";
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!("remove {scheme}://; {example}"));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        match bare.unwrap_or(text).parse() {
            Ok(ip) if IpAddr::is_unspecified(&ip) => {
                Err(format!("clients cannot connect to {text}; {example}"))
            }
            Ok(IpAddr::V6(ip)) => Ok(Self(format!("[{ip}]"))),
            _ if text.is_empty() => Err(format!(
                "the host is empty; {example}, or remove the setting"
            )),
            _ if text.contains('/') => Err(format!("a host has no path; {example}")),
            _ if text.contains(':') => Err(format!(
                "the port comes from the session listener; {example}"
            )),
            _ if !is_host(text) => Err(format!(
                "{text} is not a DNS name or an IP address; {example}"
            )),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for PublicHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for PublicHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (text, host) in [
            ("auth.example.org", "auth.example.org"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
        ] {
            assert_eq!(text.parse(), Ok(PublicHost(host.to_owned())));
        }
        for (text, message) in [
            ("https://a", "remove https://"),
            ("a:4747", "port"),
            ("a/auth", "path"),
            ("", "empty"),
            ("0.0.0.0", "cannot connect"),
            ("[::]", "cannot connect"),
            ("a b", "not a DNS name"),
            ("a..b", "not a DNS name"),
        ] {
            let problem = text.parse::<PublicHost>().unwrap_err();
            assert!(problem.contains(message), "{text}: {problem}");
        }
    }
}

//! Sources: the units by which connections are counted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A source of connections: an IPv4 address or an IPv6 /64, the smallest block that one customer
/// has. As a network also an IPv6 /48, which has 65,536 /64s and may belong to one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
    /// The first 48 bits of an IPv6 address, followed by zeros. Connections never come from this
    /// variant; see [`Source::network`].
    V6Network(u64),
}

impl Source {
    /// Returns the largest block that may belong to one customer: an IPv4 address or an IPv6 /48.
    #[must_use]
    pub fn network(self) -> Self {
        match self {
            Self::V6(prefix) => Self::V6Network(prefix & !0xffff),
            other => other,
        }
    }
}

/// The text is not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IP address, an IPv6 /64 or an IPv6 /48")]
pub struct SourceError(String);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*prefix) << 64)),
            Self::V6Network(prefix) => {
                write!(f, "{}/48", Ipv6Addr::from_bits(u128::from(*prefix) << 64))
            }
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let source = address.parse::<IpAddr>().map(Self::from);
        match (source, prefix) {
            (Ok(source), None) => Ok(source),
            (Ok(Self::V6(source)), Some("64")) => Ok(Self::V6(source)),
            (Ok(Self::V6(source)), Some("48")) => Ok(Self::V6(source).network()),
            _ => Err(SourceError(text.to_owned())),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Source {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv6_source_is_a_whole_64() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn an_ipv4_mapped_address_is_the_same_source_as_the_ipv4_address() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn a_source_parses_from_its_display_form() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let source = source(address);
            assert_eq!(source.to_string().parse(), Ok(source));
            let network = source.network();
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        for invalid in [
            "localhost",
            "192.0.2.7/64",
            "192.0.2.7/48",
            "2001:db8::1/56",
        ] {
            assert!(invalid.parse::<Source>().is_err(), "{invalid}");
        }
    }

    #[test]
    fn an_ipv6_network_is_a_48_and_an_ipv4_network_is_one_address() {
        let network = source("2001:db8:1:2::3").network();
        assert_eq!(network, source("2001:db8:1:ffff::1").network());
        assert_ne!(network, source("2001:db8:2:2::3").network());
        assert_eq!(network.to_string(), "2001:db8:1::/48");
        assert_eq!(network.network(), network);
        assert_eq!(source("192.0.2.1").network(), source("192.0.2.1"));
    }

    #[test]
    fn a_prefix_is_accepted_for_ipv6_with_a_valid_length_only() {
        let expected = source("2001:db8::");
        for text in ["2001:db8::/64", "2001:db8::7/64", "2001:db8::7"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "192.0.2.7/64",
            "::ffff:192.0.2.7/64",
            "192.0.2.7/32",
            "2001:db8::/63",
            "2001:db8::/64/64",
            "/64",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}

//! The address under which devices reach the site.

use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::PublicHost;

/// A host, and the port if it is another one than the listener's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceAddress {
    host: PublicHost,
    port: Option<u16>,
}

impl DeviceAddress {
    pub(crate) fn host(&self) -> &PublicHost {
        &self.host
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for DeviceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An IPv6 address without brackets is a host without a port.
        let split = text
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let Some((host, port)) = split else {
            let host = text.parse()?;
            return Ok(Self { host, port: None });
        };
        match port.parse() {
            Ok(port @ 1..) => Ok(Self {
                host: host.parse()?,
                port: Some(port),
            }),
            _ => Err(format!(
                "{port:?} is not a port; write HOST:PORT with a port from 1 to 65535, or the host alone"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for DeviceAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("devices.example.org", "devices.example.org", None),
            ("devices.example.org:443", "devices.example.org", Some(443)),
            ("192.0.2.1:4748", "192.0.2.1", Some(4748)),
            ("[2001:db8::1]:4748", "[2001:db8::1]", Some(4748)),
            ("2001:db8::1", "[2001:db8::1]", None),
        ] {
            let address: DeviceAddress = text.parse().unwrap();
            assert_eq!(
                (address.host().to_string().as_str(), address.port()),
                (host, port)
            );
        }
        for (text, message) in [
            ("a:0", "not a port"),
            ("a:", "not a port"),
            ("a:99999", "not a port"),
            (":4748", "empty"),
            ("0.0.0.0:4748", "cannot connect"),
            ("https://a", "not a port"),
            ("", "empty"),
        ] {
            let problem = text.parse::<DeviceAddress>().unwrap_err();
            assert!(problem.contains(message), "{text}: {problem}");
        }
    }
}

//! Origins of web pages that may call the site over HTTP (RFC 6454): scheme, host and port.

use std::fmt;
use std::str::FromStr;

use countersign_proto::uri::is_authority;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The maximum length of an origin, in bytes: a DNS name, a scheme and a port.
const MAX_LENGTH: usize = 270;

/// The origin of a web page, such as `https://console.example.org`, as browsers send it in `Origin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is not the origin of a web page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is written in lower case as https://host or https://host:port, without a path")]
pub struct BadWebOrigin;

impl WebOrigin {
    /// Returns the origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = BadWebOrigin;

    fn from_str(text: &str) -> Result<Self, BadWebOrigin> {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(BadWebOrigin)?;
        let is_lower = !host.bytes().any(|byte| byte.is_ascii_uppercase());
        if text.len() > MAX_LENGTH || !is_lower || !is_authority(host) {
            return Err(BadWebOrigin);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = BadWebOrigin;

    fn try_from(text: String) -> Result<Self, BadWebOrigin> {
        text.parse()
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for WebOrigin {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebOrigin".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri", "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port_alone() {
        for right in [
            "https://console.example.org",
            "http://localhost:3000",
            "https://[::1]:8443",
        ] {
            assert_eq!(right.parse::<WebOrigin>().unwrap().as_str(), right);
        }
        for wrong in [
            "*",
            "null",
            "",
            "https://",
            "https://*",
            "https://Example.org",
            "https://example.org/",
            "https://user@example.org",
            "ftp://example.org",
            "https://example.org:",
            "https://example.org:0",
            "https://example..org",
            "https://192.0.2.256",
            "https://example.org, https://evil.example",
            "https://exam\r\nple.org",
        ] {
            assert_eq!(wrong.parse::<WebOrigin>(), Err(BadWebOrigin), "{wrong}");
        }
    }
}

//! The id of a site.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// The SHA-256 digest of a site's first key event. It identifies the site for its whole life,
/// whichever key it has. Displayed as base64url without padding (RFC 4648, section 5), 43
/// characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteId(pub [u8; 32]);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteId({self})")
    }
}

/// The text is not a site id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a site id has 43 letters, digits, - and _; copy it completely")]
pub struct BadSiteId;

impl FromStr for SiteId {
    type Err = BadSiteId;

    fn from_str(text: &str) -> Result<Self, BadSiteId> {
        let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes());
        let bytes = bytes.map_err(|_| BadSiteId)?;
        bytes.try_into().map(Self).map_err(|_| BadSiteId)
    }
}

impl TryFrom<String> for SiteId {
    type Error = BadSiteId;

    fn try_from(text: String) -> Result<Self, BadSiteId> {
        text.parse()
    }
}

impl From<SiteId> for String {
    fn from(id: SiteId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_site_id_gives_the_id_again() {
        let id = SiteId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{id}\r\n").parse(), Ok(id));
        for bad in ["", "abc", &id.to_string()[1..], &format!("{id}A")] {
            assert_eq!(bad.parse::<SiteId>(), Err(BadSiteId), "{bad}");
        }
    }
}

//! The address of the site's pages in links.

use countersign_proto::uri::is_authority;

/// The base URL of the site's pages: `http://` or `https://`, a host, an optional port and an
/// optional path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The limit on its length in bytes.
    const MAX_BYTES: usize = 200;

    /// The text, without a final `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte);
        let is_plain = host.is_some_and(|host| {
            let authority = host.split('/').next().unwrap_or_default();
            is_authority(authority) && host.bytes().all(plain)
        });
        if is_plain && url.len() <= Self::MAX_BYTES {
            if url
                .strip_prefix("http://")
                .is_some_and(|rest| !is_loopback(rest))
            {
                return Err(format!(
                    "`{url}` is not encrypted, so an attacker in the network could answer in place of the login; \
                     use https://"
                ));
            }
            return Ok(Self(url.to_owned()));
        }
        Err(format!(
            "`{url}` is not a base URL for links; write it like https://site.example, without `?`, `#` and `@`"
        ))
    }
}

/// Whether the host of a URL without its scheme is this machine itself.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_no_user_name_and_no_character_that_ends_an_attribute() {
        for good in ["https://site.example", "http://[::1]:8080/base"] {
            assert!(PublicUrl::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "site.example",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://site..example",
            "https://192.0.2.256/base",
            "https://site.example:0",
            "https://a\"b",
            "https://site.example@evil.example",
            "https://a?b",
            "https://a#b",
            "https://a b",
        ] {
            assert!(PublicUrl::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

//! The HTTP address of a site: an origin, and the path prefix that a proxy gives it.

use http::Uri;

use super::origin::{Origin, WrongAddress};

/// The HTTP address of a site. Its endpoints are below the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SiteAddress {
    origin: Origin,
    /// Empty, or a path that starts with a slash and does not end with one.
    prefix: String,
}

impl SiteAddress {
    /// Parses a URL without a query.
    ///
    /// # Errors
    /// [`WrongAddress`].
    pub(super) fn of(url: &Uri) -> Result<Self, WrongAddress> {
        if url.query().is_some() {
            return Err(WrongAddress(url.to_string()));
        }
        Ok(Self {
            origin: Origin::of(url)?,
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The address of the site's endpoint `path`.
    pub(super) fn at(&self, path: &str) -> Result<Uri, WrongAddress> {
        self.origin.at(&format!("{}{path}", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: for a site behind a proxy at `/auth`, requests went to `/authenticate`, which
    /// belongs to another service.
    #[test]
    fn endpoints_are_below_the_path_prefix_of_the_site() {
        for (url, address) in [
            ("https://a.example", "https://a.example/clock?nonce=1"),
            ("https://a.example/", "https://a.example/clock?nonce=1"),
            (
                "https://a.example/auth",
                "https://a.example/auth/clock?nonce=1",
            ),
            (
                "https://a.example:8443/x/auth/",
                "https://a.example:8443/x/auth/clock?nonce=1",
            ),
        ] {
            let site = SiteAddress::of(&url.parse().unwrap()).unwrap();
            assert_eq!(site.at("/clock?nonce=1").unwrap(), address);
        }
        for url in ["https://a.example/auth?x=1", "/auth"] {
            let wrong = SiteAddress::of(&url.parse().unwrap());
            assert_eq!(wrong, Err(WrongAddress(url.to_owned())));
        }
    }
}

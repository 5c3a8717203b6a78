//! Where a site answers over HTTP: an origin, and the path under which a proxy has it.

use http::Uri;

use super::origin::{Origin, WrongAddress};

/// The address of a site. It answers at paths below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SiteAddress {
    origin: Origin,
    /// Empty, or a path that begins with a slash and does not end with one.
    prefix: String,
}

impl SiteAddress {
    /// The address in a URL without a query.
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

    /// Where the site answers what it answers at `path`.
    pub(super) fn at(&self, path: &str) -> Result<Uri, WrongAddress> {
        self.origin.at(&format!("{}{path}", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site behind a proxy at `/auth` was asked at `/authenticate`, which another service answers: 404.
    #[test]
    fn the_path_of_a_site_behind_a_proxy_is_kept() {
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

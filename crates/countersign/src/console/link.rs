//! Links that open the web console.

use std::net::SocketAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The address of a site's console for browsers.
pub(crate) struct ConsoleLink(String);

impl ConsoleLink {
    /// The console below the public URL of the site, or else at the HTTP listener if that is on this machine;
    /// `None` if neither is known. Over a network a page without TLS could be replaced on its way.
    pub(crate) fn find(public_url: Option<&str>, http: Option<SocketAddr>) -> Option<Self> {
        let local = http.filter(|address| address.ip().is_loopback());
        let local = local.map(|address| format!("http://{address}"));
        let base = public_url.map(str::to_owned).or(local)?;
        Some(Self(format!("{}/console/", base.trim_end_matches('/'))))
    }

    /// The page that sets a pass phrase with this ticket.
    pub(crate) fn ticket(&self, uri: &str) -> String {
        format!("{}#/ticket/{}", self.0, part(uri))
    }

    /// The page that logs in to a temporary site by itself.
    pub(crate) fn login(&self, name: &str, passphrase: &str) -> String {
        format!("{}#/login/{}/{}", self.0, part(name), part(passphrase))
    }
}

/// The origin of the pages below a public URL (RFC 6454), as browsers write it.
pub(crate) fn origin(public_url: &str) -> String {
    let mut parts = public_url.splitn(4, '/');
    let scheme_and_host = parts.by_ref().take(3).collect::<Vec<_>>().join("/");
    let default = match scheme_and_host.starts_with("https:") {
        true => ":443",
        false => ":80",
    };
    let origin = scheme_and_host.strip_suffix(default);
    origin.unwrap_or(&scheme_and_host).to_ascii_lowercase()
}

/// What is not unreserved (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as one part of the fragment.
fn part(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_public_url_or_else_to_this_machine() {
        let find = |url, http: Option<&str>| {
            let http = http.map(|http| http.parse().unwrap());
            ConsoleLink::find(url, http).map(|link| link.0)
        };
        let (url, here) = (Some("https://auth.example.org/"), Some("127.0.0.1:4749"));
        let public = "https://auth.example.org/console/";
        assert_eq!(find(url, here).as_deref(), Some(public));
        let local = "http://127.0.0.1:4749/console/";
        assert_eq!(find(None, here).as_deref(), Some(local));
        assert_eq!(find(None, Some("0.0.0.0:4749")), None);
        assert_eq!(find(None, None), None);
    }

    #[test]
    fn the_origin_of_a_url_is_written_as_browsers_write_it() {
        for (url, of) in [
            ("https://auth.example.org", "https://auth.example.org"),
            (
                "https://Auth.example.org:443/a/b",
                "https://auth.example.org",
            ),
            ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(origin(url), of);
        }
    }

    #[test]
    fn a_ticket_is_one_part_of_the_link() {
        let link = ConsoleLink::find(Some("https://a"), None).unwrap();
        let ticket = link.ticket("countersign://a.b:4748/e#K-_");
        assert_eq!(
            ticket,
            "https://a/console/#/ticket/countersign%3A%2F%2Fa.b%3A4748%2Fe%23K-_"
        );
        assert_eq!(
            link.login("dev@local", "a b"),
            "https://a/console/#/login/dev%40local/a%20b"
        );
    }
}

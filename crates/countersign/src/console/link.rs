//! Links and commands that open the web console.

use std::net::SocketAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::HttpEncryption;

/// How a user gets to the console of a site.
pub(crate) enum ConsoleAccess {
    /// A browser opens it at the site.
    Link(ConsoleLink),
    /// This command serves it. No browser accepts the certificate of the site key (SES-93).
    Command(String),
}

/// The address of a site's console for browsers.
pub(crate) struct ConsoleLink(String);

/// How a ticket is used in the console.
pub(crate) struct TicketUse {
    /// The name in JSON.
    pub(crate) name: &'static str,
    /// What to do with `what`.
    pub(crate) how: &'static str,
    /// A link or a command.
    pub(crate) what: String,
}

impl ConsoleAccess {
    /// The console below the public URL of the site, or else at the HTTP listener if that is on this machine;
    /// `None` if neither is known. Over a network a page without TLS could be replaced on its way. `site` is
    /// the site's URI.
    pub(crate) fn find(
        public_url: Option<&str>,
        http: Option<SocketAddr>,
        tls: HttpEncryption,
        site: Option<&str>,
    ) -> Option<Self> {
        if let Some(url) = public_url {
            return Some(Self::Link(ConsoleLink::below(url)));
        }
        let local = http.filter(|address| address.ip().is_loopback())?;
        let link = |scheme| {
            Some(Self::Link(ConsoleLink::below(&format!(
                "{scheme}://{local}"
            ))))
        };
        match tls {
            HttpEncryption::Off => link("http"),
            HttpEncryption::Files => link("https"),
            HttpEncryption::Site => site.map(|uri| {
                Self::Command(format!(
                    "countersign console --site {uri} --http https://{local}"
                ))
            }),
        }
    }

    /// How this ticket sets a pass phrase in the console.
    pub(crate) fn ticket(&self, uri: &str) -> TicketUse {
        match self {
            Self::Link(link) => TicketUse {
                name: "console",
                how: "Or open in a browser:",
                what: link.ticket(uri),
            },
            Self::Command(command) => TicketUse {
                name: "console_command",
                how: "Or paste it into the console that this command serves:",
                what: command.clone(),
            },
        }
    }
}

impl ConsoleLink {
    fn below(url: &str) -> Self {
        Self(format!("{}/console/", url.trim_end_matches('/')))
    }

    /// The page that sets a pass phrase with this ticket.
    fn ticket(&self, uri: &str) -> String {
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

    fn found(
        url: Option<&str>,
        http: Option<&str>,
        tls: HttpEncryption,
        site: Option<&str>,
    ) -> Option<(&'static str, String)> {
        let http = http.map(|http| http.parse().unwrap());
        match ConsoleAccess::find(url, http, tls, site)? {
            ConsoleAccess::Link(link) => Some(("link", link.0)),
            ConsoleAccess::Command(command) => Some(("command", command)),
        }
    }

    #[test]
    fn a_link_leads_to_the_public_url_or_else_to_this_machine() {
        let find = |url, http| found(url, http, HttpEncryption::Off, None);
        let (url, here) = (Some("https://auth.example.org/"), Some("127.0.0.1:4749"));
        let link = |url: &str| Some(("link", url.to_owned()));
        let public = link("https://auth.example.org/console/");
        assert_eq!(find(url, here), public);
        assert_eq!(find(url, None), public);
        assert_eq!(find(None, here), link("http://127.0.0.1:4749/console/"));
        assert_eq!(find(None, Some("0.0.0.0:4749")), None);
        assert_eq!(find(None, None), None);
    }

    /// All links began with `http://`, at a listener with TLS too, which resets such a connection.
    #[test]
    fn at_a_listener_with_tls_a_link_begins_with_https() {
        let here = Some("127.0.0.1:4749");
        let link = found(None, here, HttpEncryption::Files, None);
        let https = "https://127.0.0.1:4749/console/".to_owned();
        assert_eq!(link, Some(("link", https)));
        let find = |url, uri| found(url, here, HttpEncryption::Site, uri);
        let uri = Some("countersign://127.0.0.1:4747#K");
        let command = "countersign console --site countersign://127.0.0.1:4747#K --http https://127.0.0.1:4749";
        assert_eq!(find(None, uri), Some(("command", command.to_owned())));
        assert_eq!(find(None, None), None);
        let proxied = find(Some("https://auth.example.org"), uri);
        assert!(proxied.is_some_and(|(kind, _)| kind == "link"));
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
        let link = ConsoleLink::below("https://a");
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

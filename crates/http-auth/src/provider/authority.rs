//! The authority (host and port) that a request is for, as its consumer signed it.

use http::header;
use http::request::Parts;
use http::uri::Authority;

use crate::origin::{normalized, same};

/// The authorities that a request may be signed for, taken from the setting or from the request.
/// The scheme is unknown behind a proxy, so the default port of either scheme may have been left
/// out.
pub(crate) fn authorities(setting: Option<&str>, parts: &Parts) -> Vec<String> {
    let Some(authority) = setting.map_or_else(|| authority(parts), |setting| setting.parse().ok())
    else {
        return Vec::new();
    };
    let default_port = authority.port_u16().filter(|port| [80, 443].contains(port));
    let all = [None, default_port].map(|default_port| normalized(&authority, default_port));
    let mut all: Vec<String> = all.into_iter().flatten().collect();
    all.dedup();
    all
}

/// The authority of a request. If both the target and `host` contain one, they have to agree.
pub(crate) fn authority(parts: &Parts) -> Option<Authority> {
    let target = parts.uri.authority();
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.to_str().ok()?.parse().ok());
    match (target, host, hosts.next()) {
        (Some(target), None, None) => Some(target.clone()),
        (None, Some(host), None) => host,
        (Some(target), Some(host), None) => {
            let agrees = host.is_some_and(|host| same(target, &host, parts.uri.scheme()));
            agrees.then(|| target.clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Authority, authorities, authority};

    #[test]
    fn target_and_host_have_to_name_the_same_authority() {
        let cases = [
            ("/", &["ledger.example"][..], Some("ledger.example")),
            ("http://ledger.example/", &[], Some("ledger.example")),
            (
                "http://ledger.example/",
                &["Ledger.example"],
                Some("ledger.example"),
            ),
            ("http://ledger.example/", &["archive.example"], None),
            (
                "http://ledger.example/",
                &["ledger.example:80"],
                Some("ledger.example"),
            ),
            ("http://ledger.example/", &["ledger.example:443"], None),
            ("/", &["ledger.example", "ledger.example"], None),
            ("/", &[], None),
        ];
        for (target, hosts, expected) in cases {
            let mut request = Request::get(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let called = authority(&parts);
            let called = called.as_ref().map(Authority::as_str);
            let called = called.map(str::to_ascii_lowercase);
            assert_eq!(called.as_deref(), expected, "{target} {hosts:?}");
        }
    }

    /// Regression: a request to `http://h:80` is signed for `h` (RFC 9421, section 2.2.3) although
    /// its `host` may include the port. It was rejected.
    #[test]
    fn a_default_port_may_be_left_out_of_the_signed_authority() {
        let cases = [
            ("H", &["h"][..]),
            ("h:80", &["h:80", "h"]),
            ("H:443", &["h:443", "h"]),
            ("h:8080", &["h:8080"]),
            ("[::1]:80", &["[::1]:80", "[::1]"]),
            ("user@h", &[]),
            ("a b", &[]),
        ];
        for (host, expected) in cases {
            let request = Request::get("/").header("host", host).body(()).unwrap();
            let (parts, ()) = request.into_parts();
            assert_eq!(authorities(None, &parts), expected, "{host}");
            // A setting overrides the request.
            let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
            assert_eq!(authorities(Some(host), &parts), expected, "{host}");
        }
    }
}

//! Origins of web pages (RFC 6454).

use http::Uri;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The most origins.
const MAX_ORIGINS: usize = 64;

/// Reads a list of origins, as browsers write them in `Origin`.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    if origins.len() > MAX_ORIGINS {
        return Err(D::Error::custom(format!(
            "{} origins are too many (at most {MAX_ORIGINS})",
            origins.len()
        )));
    }
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(bad) => Err(D::Error::custom(format!(
            "{bad:?} is no origin; give scheme and host as in `https://site.example`, with the port unless it is \
             the scheme's own, and nothing after it"
        ))),
        None => Ok(origins),
    }
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let port = uri.port_u16();
    let default = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => return false,
    };
    // A browser leaves the port out where it is the scheme's own.
    let is_whole = uri
        .authority()
        .is_some_and(|authority| text.ends_with(authority.as_str()));
    is_whole && port != Some(default) && !text.contains('@')
}

#[cfg(test)]
mod tests {
    use super::is_origin;
    use crate::config::parse;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in [
            "https://site.example",
            "http://localhost:5173",
            "https://[2001:db8::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "site.example",
            "https://site.example/",
            "https://site.example:443",
            "http://site.example:80",
            "https://maria@site.example",
            "https://site.example/console",
            "https://site.example?a",
            "ftp://site.example",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
        let text = |origin: &str| format!("version = 1\n[listen]\nhttp_origins = [\"{origin}\"]");
        assert!(parse(&text("https://site.example")).is_ok());
        let problem = parse(&text("https://site.example/")).unwrap_err();
        assert!(problem.contains("is no origin"), "{problem}");
    }
}

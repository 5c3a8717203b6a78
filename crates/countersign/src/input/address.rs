//! Parses addresses: of listeners (host and port) and of HTTP servers.

use std::net::{SocketAddr, ToSocketAddrs};

/// Parses `ADDRESS:PORT` or `NAME:PORT`. Of a name with several addresses, the first IPv4 address is
/// taken: where `localhost` also has an IPv6 address, not every client tries both.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text
        .rsplit_once(':')
        .is_none_or(|(name, _)| name.is_empty())
    {
        return Err(
            "write an address and a port, as in 127.0.0.1:4747 or localhost:4747".to_owned(),
        );
    }
    let found = text.to_socket_addrs();
    let mut found: Vec<SocketAddr> = found.map_err(|error| error.to_string())?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .into_iter()
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}

/// Parses an HTTP address. The default scheme is `http`.
pub(crate) fn http(text: &str) -> Result<http::Uri, http::uri::InvalidUri> {
    let text = text.trim();
    match text.contains("://") {
        true => text.parse(),
        false => format!("http://{text}").parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_address_needs_no_scheme() {
        for (typed, meant) in [
            ("localhost:4749", "http://localhost:4749/"),
            (" 127.0.0.1:8080/balance\n", "http://127.0.0.1:8080/balance"),
            (
                "https://ledger.example.org/x",
                "https://ledger.example.org/x",
            ),
        ] {
            assert_eq!(http(typed).unwrap().to_string(), meant);
        }
        assert!(http("").is_err() && http("a b").is_err());
    }

    #[test]
    fn an_address_is_given_by_number_or_by_name() {
        assert_eq!(parse("[::1]:4747"), Ok("[::1]:4747".parse().unwrap()));
        assert_eq!(
            parse(" localhost:4747\n"),
            Ok("127.0.0.1:4747".parse().unwrap())
        );
        for bad in [
            "",
            "4747",
            ":4747",
            "localhost",
            "localhost:99999",
            "localhost:http:1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

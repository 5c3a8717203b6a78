//! The request with which a device opens a WebSocket (RFC 6455) in place of a hello.
//!
//! ```text
//! GET /device?id=ada%40example.org HTTP/1.1
//! Connection: Upgrade
//! Upgrade: websocket
//! Sec-WebSocket-Version: 13
//! Sec-WebSocket-Key: …
//! Sec-WebSocket-Protocol: countersign.device.1
//! ```

use data_encoding::BASE64;

use super::Hello;
use crate::name::AccountName;

/// The longest request, in bytes with the empty line at its end.
pub const MAX_UPGRADE: usize = 8 * 1024;
/// The subprotocol of the WebSocket.
pub const DEVICE_SUBPROTOCOL: &str = "countersign.device.1";
/// What a request begins with. No hello does.
pub const UPGRADE_START: &[u8] = b"GET ";
/// The path of the request, before its query.
const PATH: &str = "/device";
/// The most header fields of a request.
const MAX_HEADERS: usize = 64;

/// A request to open a WebSocket, which was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The person that the target names.
    pub hello: Hello,
    /// The value of `Sec-WebSocket-Key`, from which the site computes its answer (RFC 6455, section
    /// 4.2.2).
    pub key: String,
}

/// Why a request opens no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUpgrade {
    /// More than [`MAX_UPGRADE`] bytes, or a connection that ended before the empty line.
    #[error("the request is too long")]
    TooLong,
    /// It is not HTTP/1.1, not a GET, or not an upgrade to version 13 of WebSocket.
    #[error("the request is no upgrade to a WebSocket")]
    NotUpgrade,
    /// The target is another one than `/device?id=NAME`.
    #[error("the target of the request is not /device?id=NAME")]
    Target,
    /// The subprotocol is not offered.
    #[error("the request does not offer the subprotocol {DEVICE_SUBPROTOCOL}")]
    Subprotocol,
    /// The request comes from a page in a browser, which may use the person's key unasked.
    #[error("the request has an origin: a web page sent it")]
    Origin,
}

impl UpgradeRequest {
    /// Reads a request, which ends with an empty line.
    ///
    /// # Errors
    /// [`BadUpgrade`].
    pub fn read(head: &[u8]) -> Result<Self, BadUpgrade> {
        if head.len() > MAX_UPGRADE {
            return Err(BadUpgrade::TooLong);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut fields);
        let read = parsed.parse(head);
        let is_complete = read.is_ok_and(|status| status.is_complete());
        let target = parsed
            .path
            .filter(|_| is_complete && parsed.version == Some(1) && parsed.method == Some("GET"))
            .ok_or(BadUpgrade::NotUpgrade)?;
        let hello = hello_of_target(target)?;
        let fields = Fields(parsed.headers);
        if fields.all("origin").next().is_some() {
            return Err(BadUpgrade::Origin);
        }
        if !fields.lists("sec-websocket-protocol", |protocol| {
            protocol == DEVICE_SUBPROTOCOL
        }) {
            return Err(BadUpgrade::Subprotocol);
        }
        let is_upgrade = fields.lists("connection", |one| one.eq_ignore_ascii_case("upgrade"))
            && fields.lists("upgrade", |one| one.eq_ignore_ascii_case("websocket"))
            && fields.only("sec-websocket-version") == Some("13");
        let key = fields
            .only("sec-websocket-key")
            .filter(|key| is_upgrade && is_key(key))
            .ok_or(BadUpgrade::NotUpgrade)?;
        let key = key.to_owned();
        Ok(Self { hello, key })
    }
}

/// Whether a text is the Base64 of 16 bytes.
fn is_key(text: &str) -> bool {
    let decoded = BASE64.decode(text.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

/// The header fields of a request. A value that is no ASCII text is none.
struct Fields<'h>(&'h [httparse::Header<'h>]);

impl<'h> Fields<'h> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'h [u8]> {
        let named = move |field: &&httparse::Header<'h>| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|field| field.value)
    }

    fn texts(&self, name: &'static str) -> impl Iterator<Item = &'h str> {
        self.all(name)
            .filter_map(|value| str::from_utf8(value).ok())
    }

    /// The value of a field that occurs once.
    fn only(&self, name: &'static str) -> Option<&'h str> {
        let mut all = self.texts(name);
        let first = all.next()?;
        all.next().is_none().then_some(first.trim())
    }

    /// Whether a list, which may have several fields, has such an element.
    fn lists(&self, name: &'static str, wanted: impl Fn(&str) -> bool) -> bool {
        let mut elements = self.texts(name).flat_map(|value| value.split(','));
        elements.any(|element| wanted(element.trim()))
    }
}

/// The person that the target of a request names.
///
/// # Errors
/// [`BadUpgrade::Target`].
fn hello_of_target(target: &str) -> Result<Hello, BadUpgrade> {
    let query = target
        .strip_prefix(PATH)
        .and_then(|rest| rest.strip_prefix('?'))
        .and_then(|query| query.strip_prefix("id="))
        .ok_or(BadUpgrade::Target)?;
    let id: AccountName = decoded(query)
        .and_then(|id| id.parse().ok())
        .ok_or(BadUpgrade::Target)?;
    Ok(Hello { id })
}

/// Decodes percent-encoding (RFC 3986, section 2.1). No other parameter may follow.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'&' | b'#' | b'+' => return None,
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // DEV-48
    #[test]
    fn a_target_names_one_person() {
        for target in [
            "/device?id=ada@example.org",
            "/device?id=ada%40example%2Eorg",
        ] {
            let hello = hello_of_target(target).unwrap();
            assert_eq!(hello.id.to_string(), "ada@example.org", "{target}");
        }
        for target in [
            "/",
            "/device",
            "/device?id=",
            "/device?name=ada",
            "/device?id=ada&id=eve",
            "/device?id=ada%4",
            "/device?id=ada%zz",
            "/device?id=%ff",
            "/other?id=ada",
            "http://site/device?id=ada",
        ] {
            assert_eq!(hello_of_target(target), Err(BadUpgrade::Target), "{target}");
        }
    }

    fn request(target: &str, fields: &[&str]) -> Vec<u8> {
        let fields = fields.join("\r\n");
        format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes()
    }

    const FIELDS: [&str; 5] = [
        "Connection: keep-alive, Upgrade",
        "UPGRADE: WebSocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: chat, countersign.device.1",
    ];

    // DEV-48
    #[test]
    fn a_request_needs_each_of_its_header_fields() {
        let read = UpgradeRequest::read(&request("/device?id=ada", &FIELDS)).unwrap();
        assert_eq!(read.key, "AAAAAAAAAAAAAAAAAAAAAA==");
        for missing in FIELDS {
            let fields = FIELDS.into_iter().filter(|field| *field != missing);
            let fields: Vec<&str> = fields.collect();
            let refused = UpgradeRequest::read(&request("/device?id=ada", &fields));
            assert!(refused.is_err(), "without {missing}");
        }
    }

    // DEV-48, DEV-49
    #[test]
    fn other_requests_are_refused() {
        let head = String::from_utf8(request("/device?id=ada", &FIELDS)).unwrap();
        for (from, to, why) in [
            ("GET", "POST", BadUpgrade::NotUpgrade),
            ("HTTP/1.1", "HTTP/1.0", BadUpgrade::NotUpgrade),
            ("/device?id=ada", "/", BadUpgrade::Target),
            ("Version: 13", "Version: 8", BadUpgrade::NotUpgrade),
            ("UPGRADE: WebSocket", "Upgrade: h2c", BadUpgrade::NotUpgrade),
            ("device.1", "device.2", BadUpgrade::Subprotocol),
            ("Connection: ", "Connection ", BadUpgrade::NotUpgrade),
            ("\r\n\r\n", "\r\n", BadUpgrade::NotUpgrade),
        ] {
            let head = head.replacen(from, to, 1);
            let refused = UpgradeRequest::read(head.as_bytes());
            assert_eq!(refused, Err(why), "{from} -> {to}");
        }
    }

    // DEV-49
    #[test]
    fn a_request_with_an_origin_is_refused_whatever_its_value_is() {
        for origin in ["Origin: https://site.example", "origin:", "ORIGIN: \u{e9}"] {
            let fields = [&FIELDS[..], &[origin]].concat();
            let refused = UpgradeRequest::read(&request("/device?id=ada", &fields));
            assert_eq!(refused, Err(BadUpgrade::Origin), "{origin:?}");
        }
    }

    #[test]
    fn a_request_at_the_limit_is_read_and_one_over_it_is_not() {
        let with = |padding: usize| {
            let padding = format!("X: {}", "x".repeat(padding));
            let fields = [&FIELDS[..], &[padding.as_str()]].concat();
            request("/device?id=ada", &fields)
        };
        let room = MAX_UPGRADE - with(0).len();
        assert!(UpgradeRequest::read(&with(room)).is_ok());
        let refused = UpgradeRequest::read(&with(room + 1));
        assert_eq!(refused, Err(BadUpgrade::TooLong));
    }
}

//! What the head of a request must look like: RFC 9112, without the forms that a server may repair.
//! A proxy could repair them in another way.

use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::super::{FIELDS, HEAD};

/// What the listener needs to know of a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) content: Content,
    /// Whether the client asks for another protocol on the connection.
    pub(super) asks_upgrade: bool,
}

/// The content after a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Length(u64),
    Chunked,
}

/// Why a request is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// A line has another form.
    Form,
    /// No host, more than one, or another one than that of the target.
    Host,
    /// The length of the content is given twice, or in a way that parties read differently.
    Length,
    /// Too long, or too many fields.
    TooLarge,
    /// A TLS handshake, at a listener without TLS.
    Tls,
    /// Another protocol.
    OtherProtocol,
}

impl Fault {
    pub(super) const ALL: [Self; 6] = [
        Self::Form,
        Self::Host,
        Self::Length,
        Self::TooLarge,
        Self::Tls,
        Self::OtherProtocol,
    ];

    pub(in super::super) const fn status(self) -> StatusCode {
        match self {
            Self::Form | Self::Host | Self::Length | Self::Tls | Self::OtherProtocol => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// What is wrong, what to do, and the field that is wrong.
    pub(in super::super) const fn text(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Form => (
                "a line of the head has not the form of HTTP",
                "end each line with CR LF, and fold no field",
                "",
            ),
            Self::Host => (
                "the request has no host, more than one, or another one than its target",
                "send the field `host` once, with the authority of the URI",
                "host",
            ),
            Self::Length => (
                "the length of the content is not given in one way",
                "send `content-length` once, or `transfer-encoding: chunked` over HTTP/1.1, and not both",
                "content-length",
            ),
            Self::TooLarge => (
                "the head is too long or has too many fields",
                "send at most 64 fields and 32 KiB",
                "",
            ),
            Self::Tls => (
                "the client began a TLS handshake, and this listener has no TLS",
                "use a URI that begins with `http:`",
                "",
            ),
            Self::OtherProtocol => (
                "the client sent no HTTP: a request begins with its method, and not with a control character",
                "send a request of HTTP/1.1",
                "",
            ),
        }
    }
}

impl Head {
    /// Reads a whole head, with its empty line.
    pub(super) fn read(head: &[u8]) -> Result<Self, Fault> {
        if head.len() > HEAD {
            return Err(Fault::TooLarge);
        }
        let head = head.strip_suffix(b"\r\n\r\n").ok_or(Fault::Form)?;
        let mut lines = head.split(|byte| *byte == b'\n');
        let line = lines.next().unwrap_or_default();
        let request = RequestLine::read(line.strip_suffix(b"\r").unwrap_or(line))?;
        let mut fields = Fields::default();
        for (count, line) in lines.enumerate() {
            if count == FIELDS {
                return Err(Fault::TooLarge);
            }
            fields.add(line.strip_suffix(b"\r").unwrap_or(line))?;
        }
        request.is_for(fields.host.as_ref())?;
        let content = match (fields.length, fields.is_chunked) {
            (Some(_), true) => return Err(Fault::Length),
            (None, true) if request.is_of_1_0 => return Err(Fault::Length),
            (None, true) => Content::Chunked,
            (length, false) => Content::Length(length.unwrap_or(0)),
        };
        Ok(Self {
            content,
            asks_upgrade: fields.asks_upgrade,
        })
    }
}

struct RequestLine {
    /// That of an absolute target.
    authority: Option<Authority>,
    is_of_1_0: bool,
}

impl RequestLine {
    fn read(line: &[u8]) -> Result<Self, Fault> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Form);
        };
        let is_of_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Fault::Form),
        };
        if !is_token(method) || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Fault::Form);
        }
        let uri = Uri::try_from(target).map_err(|_| Fault::Form)?;
        Ok(Self {
            authority: uri.into_parts().authority,
            is_of_1_0,
        })
    }

    /// Whether this is the host of the request. HTTP/1.0 does not need the field.
    fn is_for(&self, host: Option<&Authority>) -> Result<(), Fault> {
        match (&self.authority, host) {
            // Authorities are compared without regard to case.
            (Some(own), Some(host)) if own != host => Err(Fault::Host),
            (_, None) if !self.is_of_1_0 => Err(Fault::Host),
            _ => Ok(()),
        }
    }
}

/// The fields that matter for where a request goes, and where it ends.
#[derive(Default)]
struct Fields {
    host: Option<Authority>,
    length: Option<u64>,
    is_chunked: bool,
    asks_upgrade: bool,
}

impl Fields {
    fn add(&mut self, line: &[u8]) -> Result<(), Fault> {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Fault::Form)?);
        let value = value.get(1..).unwrap_or_default();
        if !is_token(name) || !is_text(value) {
            return Err(Fault::Form);
        }
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"host") {
            let host = host(value).ok_or(Fault::Host)?;
            return match self.host.replace(host) {
                None => Ok(()),
                Some(_) => Err(Fault::Host),
            };
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).ok_or(Fault::Length)?;
            return match self.length.replace(length) {
                None => Ok(()),
                Some(_) => Err(Fault::Length),
            };
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_first = !std::mem::replace(&mut self.is_chunked, true);
            let is_known = value.eq_ignore_ascii_case(b"chunked");
            return (is_first && is_known).then_some(()).ok_or(Fault::Length);
        }
        self.asks_upgrade |= name.eq_ignore_ascii_case(b"upgrade");
        Ok(())
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    const fn is_of_token(byte: u8) -> bool {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
            )
    }
    !text.is_empty() && text.iter().all(|byte| is_of_token(*byte))
}

/// The value of a field (RFC 9110, section 5.5). All bytes are looked at, which takes a processor less time
/// than to stop at the first wrong one.
fn is_text(value: &[u8]) -> bool {
    let is_of_text = |byte: &u8| (*byte == b'\t') | ((*byte >= b' ') & (*byte != 0x7f));
    value.iter().fold(true, |all, byte| all & is_of_text(byte))
}

/// A host, perhaps with a port.
fn host(value: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(value).ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let is_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(port) => number(port.as_bytes()).is_some_and(|port| u16::try_from(port).is_ok()),
    };
    (is_port && !authority.host().is_empty()).then_some(authority)
}

/// Digits alone, and not more than every reader counts with.
fn number(value: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let text = is_number.then(|| std::str::from_utf8(value).ok())??;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Head, Fault> {
        Head::read(head.as_bytes())
    }

    fn with(fields: &str) -> Result<Content, Fault> {
        let head = format!("POST /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        read(&head).map(|head| head.content)
    }

    /// The library took two equal lengths as one, a length before a coding as none, and did not look at
    /// the host: a proxy in front may do otherwise.
    #[test]
    fn the_content_has_one_length() {
        assert_eq!(with(""), Ok(Content::Length(0)));
        assert_eq!(with("Content-Length:\t5 \r\n"), Ok(Content::Length(5)));
        assert_eq!(with("Transfer-Encoding: Chunked\r\n"), Ok(Content::Chunked));
        for fields in [
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5\r\nCONTENT-LENGTH: 6\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length:\r\n",
            "content-length: 9999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding:\r\n",
        ] {
            assert_eq!(with(fields), Err(Fault::Length), "{fields}");
        }
        let old = "POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(read(old), Err(Fault::Length));
    }

    #[test]
    fn a_request_has_one_host_which_is_that_of_its_target() {
        for head in [
            "GET /a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
            "GET http://A:80/a HTTP/1.1\r\nhost: a:80\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.0\r\n\r\n",
        ] {
            assert!(read(head).is_ok(), "{head}");
        }
        for head in [
            "GET /a HTTP/1.1\r\n\r\n",
            "GET http://a/a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost:\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a b\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a/b\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: user@a\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a:b\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a:65536\r\n\r\n",
            "GET http://b/a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET http://a:81/a HTTP/1.1\r\nhost: a:80\r\n\r\n",
            "GET http://x@a/a HTTP/1.1\r\nhost: a\r\n\r\n",
            "CONNECT b:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
        ] {
            assert_eq!(read(head), Err(Fault::Host), "{head}");
        }
    }

    #[test]
    fn each_line_has_the_form_of_http() {
        for head in [
            "\r\n\r\n",
            "GET /a\r\n\r\n",
            "GET  /a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.1 \r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.2\r\nhost: a\r\n\r\n",
            "G(T /a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /\u{e4} HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a\u{0} HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
            "GET /a HTTP/1.1\r\n host: a\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nx: y\r\n z: folded\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\nx: a\u{0}b\r\n\r\n",
        ] {
            assert_eq!(read(head), Err(Fault::Form), "{head:?}");
        }
    }

    #[test]
    fn a_head_has_64_fields_and_32_kib() {
        let fields = |count: usize| "x: y\r\n".repeat(count - 1);
        assert!(with(&fields(FIELDS)).is_ok());
        assert_eq!(with(&fields(FIELDS + 1)), Err(Fault::TooLarge));
        let frame = "POST /a HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        let long = |length: usize| format!("x: {}\r\n", "y".repeat(length - frame));
        assert!(with(&long(HEAD)).is_ok());
        assert_eq!(with(&long(HEAD + 1)), Err(Fault::TooLarge));
    }

    #[test]
    fn names_and_values_have_the_bytes_of_the_standard() {
        let others = b"!#$%&'*+-.^_`|~";
        for byte in 0..=u8::MAX {
            let is_of_token = byte.is_ascii_alphanumeric() || others.contains(&byte);
            assert_eq!(is_token(&[b'a', byte]), is_of_token, "{byte}");
            let is_of_text = byte == b'\t' || byte >= b' ' && byte != 0x7f;
            assert_eq!(is_text(&[b'a', byte]), is_of_text, "{byte}");
        }
        assert!(!is_token(b"") && is_text(b""));
    }

    #[test]
    fn a_request_for_another_protocol_is_seen() {
        let head = "GET /a HTTP/1.1\r\nhost: a\r\nUpgrade: websocket\r\n\r\n";
        assert!(read(head).unwrap().asks_upgrade);
        assert!(!read(&head.replace("Upgrade", "x")).unwrap().asks_upgrade);
    }
}

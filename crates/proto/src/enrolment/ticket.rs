//! Enrolment tickets: what an admin hands to a person, as a URI or as JSON.
//!
//! ```text
//! countersign://HOST:PORT/e#BODY      for people and programs
//! COUNTERSIGN://HOST:PORT/E/BODY      the same for a QR code, which then uses its alphanumeric mode
//! BODY  = base32 (RFC 4648, section 6), upper case, no padding, 84 characters, of
//!         kind (1) | token (16) | the site's Ed25519 key (32) | check (3)
//! check = the first 3 bytes of SHA-256 of the 49 bytes before it
//! ```
//!
//! There is no id and no expiry in a ticket: who finds one must know whose it is.

use std::fmt;
use std::str::FromStr;

use countersign_crypto::hash::sha256;
use countersign_crypto::secret::{SecretBytes, SecretText};
use countersign_crypto::sign::VerifyingKey;
use data_encoding::{BASE32_NOPAD, DecodeKind};
use serde::{Deserialize, Serialize};

use super::Token;
use crate::json;
use crate::uri::is_host;

/// The longest URI that is read, in bytes without white space: the longest host leaves room to spare.
pub const LONGEST_TICKET_URI: usize = 512;
/// The longest JSON that is read, in bytes: the longest host, each character of all texts escaped.
pub const LONGEST_TICKET_JSON: usize = 4 * 1024;

const SCHEME: &str = "countersign://";
const CONTENT: usize = 1 + 16 + 32;
const CHECK: usize = 3;
const BODY_CHARACTERS: usize = 84;

/// What a ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum TicketKind {
    /// A person's device gets its key registered.
    Device = 1,
    /// The first admin of a new site.
    Admin = 2,
    /// A person sets a pass phrase.
    Passphrase = 3,
    /// Another site becomes a peer.
    Peer = 4,
}

impl TicketKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Device, Self::Admin, Self::Passphrase, Self::Peer];

    /// The kind's name in JSON and operations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Admin => "admin",
            Self::Passphrase => "passphrase",
            Self::Peer => "peer",
        }
    }

    /// The kind with that number in a URI, and in a store.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl fmt::Display for TicketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No kind of ticket has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kinds of tickets are device, admin, passphrase and peer")]
pub struct UnknownKind;

impl FromStr for TicketKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or(UnknownKind)
    }
}

impl TryFrom<String> for TicketKind {
    type Error = UnknownKind;

    fn try_from(name: String) -> Result<Self, UnknownKind> {
        name.parse()
    }
}

impl From<TicketKind> for &'static str {
    fn from(kind: TicketKind) -> Self {
        kind.name()
    }
}

/// An enrolment ticket: where the site listens, the key that it must prove, and the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentTicket {
    kind: TicketKind,
    host: String,
    port: u16,
    token: Token,
    site: VerifyingKey,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: TicketKind,
    host: String,
    port: u16,
    token: Token,
    #[serde(serialize_with = "json::serialize", deserialize_with = "json::array")]
    site_key: [u8; 32],
}

/// Why a text is no ticket. Nothing was sent to anybody: correct the text and try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    /// Longer than any ticket.
    #[error("the text is too long for an enrolment ticket")]
    TooLong,
    /// It begins neither with `countersign://` nor with `{`.
    #[error("an enrolment ticket begins with countersign://")]
    Scheme,
    /// A URI without `/e#`, such as a site's.
    #[error(
        "this is no enrolment ticket; one reads countersign://HOST:PORT/e#… and is made by `ticket issue`"
    )]
    Path,
    /// The host is missing or no DNS name, IPv4 address or IPv6 address in brackets.
    #[error(
        "the ticket's host must be a DNS name, an IPv4 address, or an IPv6 address in brackets"
    )]
    Host,
    /// The port is missing or not between 1 and 65535.
    #[error("a port between 1 and 65535 must follow the ticket's host")]
    Port,
    /// Characters of the body are missing, or there are too many.
    #[error(
        "a ticket has {BODY_CHARACTERS} characters behind its address; this has {found}. Copy it as a whole"
    )]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The body has other characters than base32's.
    #[error("behind its address a ticket has letters and the digits 2 to 7 alone")]
    Characters,
    /// The check at the end does not fit what is before it.
    #[error("the ticket has a typing error: its check does not fit. Copy it again")]
    TypingError,
    /// A ticket of a kind that is not known here; a newer program may know it.
    #[error("the ticket is of kind {found}, which this program does not know. Update it")]
    Kind {
        /// The kind's number.
        found: u8,
    },
    /// The JSON is malformed, or its members are not a ticket's.
    #[error("the JSON is no enrolment ticket: {0}")]
    Json(String),
}

impl EnrolmentTicket {
    /// A ticket for the site at `host` (a DNS name, an IPv4 address, or an IPv6 address in brackets).
    ///
    /// # Errors
    /// [`BadTicket::Host`] or [`BadTicket::Port`].
    pub fn new(
        kind: TicketKind,
        host: &str,
        port: u16,
        token: Token,
        site: VerifyingKey,
    ) -> Result<Self, BadTicket> {
        if !is_host(host) {
            return Err(BadTicket::Host);
        }
        if port == 0 {
            return Err(BadTicket::Port);
        }
        Ok(Self {
            kind,
            host: host.to_ascii_lowercase(),
            port,
            token,
            site,
        })
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_json(text: &str) -> Result<Self, BadTicket> {
        if text.len() > LONGEST_TICKET_JSON {
            return Err(BadTicket::TooLong);
        }
        let form: Form =
            json::object(text.as_bytes()).map_err(|error| BadTicket::Json(error.to_string()))?;
        let site = VerifyingKey(form.site_key);
        Self::new(form.kind, &form.host, form.port, form.token, site)
    }

    /// Reads a URI in either spelling and in any case of letters, as people hand it over: white space
    /// in it comes from line wrapping, and angle brackets around it from mail (RFC 3986, appendix C).
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_uri(text: &str) -> Result<Self, BadTicket> {
        let marks = |c: &char| c.is_whitespace() || *c == '\u{feff}';
        // One character more than there may be tells that there are too many. No copy of the token is
        // left behind, since the text never grows beyond this.
        let mut kept = String::with_capacity(4 * (LONGEST_TICKET_URI + 1));
        let characters = text.chars().filter(|c| !marks(c));
        kept.extend(characters.take(LONGEST_TICKET_URI + 1));
        let text = SecretText::from(kept);
        let text = text.expose();
        if text.len() > LONGEST_TICKET_URI {
            return Err(BadTicket::TooLong);
        }
        let text = text
            .strip_prefix('<')
            .and_then(|text| text.strip_suffix('>'))
            .unwrap_or(text);
        let (scheme, rest) = text
            .split_at_checked(SCHEME.len())
            .ok_or(BadTicket::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(BadTicket::Scheme);
        }
        let (address, path) = rest.split_once('/').ok_or(BadTicket::Path)?;
        let body = path
            .strip_prefix(['e', 'E'])
            .and_then(|rest| rest.strip_prefix(['#', '/']))
            .ok_or(BadTicket::Path)?;
        let (host, port) = address.rsplit_once(':').ok_or(BadTicket::Port)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadTicket::Port);
        }
        let port = port.parse().map_err(|_| BadTicket::Port)?;
        let (kind, token, site) = read_body(body)?;
        Self::new(kind, host, port, token, site)
    }

    /// What the ticket is good for.
    #[must_use]
    pub fn kind(&self) -> TicketKind {
        self.kind
    }

    /// The host to connect to.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as a connection takes them.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What entitles its bearer, once.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The key that the site must prove in TLS.
    #[must_use]
    pub fn site(&self) -> &VerifyingKey {
        &self.site
    }

    /// The URI.
    #[must_use]
    pub fn to_uri(&self) -> SecretText {
        let (address, body) = (self.address(), self.body());
        SecretText::from(format!("{SCHEME}{address}/e#{}", body.expose()))
    }

    /// The URI as a QR code holds it. A host with an IPv6 address or `_` costs it the alphanumeric mode.
    #[must_use]
    pub fn to_qr_uri(&self) -> SecretText {
        let (address, body) = (self.address(), self.body());
        let start = format!("{SCHEME}{address}/e/").to_ascii_uppercase();
        SecretText::from(start + body.expose())
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> SecretText {
        let form = Form {
            kind: self.kind,
            host: self.host.clone(),
            port: self.port,
            token: self.token.clone(),
            site_key: self.site.0,
        };
        SecretText::from(serde_json::to_string(&form).unwrap_or_default())
    }

    fn body(&self) -> SecretText {
        let kind = [self.kind as u8];
        let content = [&kind, self.token.expose().as_slice(), &self.site.0].concat();
        let content = SecretBytes::from(content);
        let check = check(content.expose());
        let whole = SecretBytes::from([content.expose(), &check].concat());
        SecretText::from(BASE32_NOPAD.encode(whole.expose()))
    }
}

impl FromStr for EnrolmentTicket {
    type Err = BadTicket;

    /// Reads either form.
    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        match trimmed.starts_with('{') {
            true => Self::from_json(trimmed),
            false => Self::from_uri(trimmed),
        }
    }
}

fn check(content: &[u8]) -> [u8; CHECK] {
    let [a, b, c, ..] = sha256(content);
    [a, b, c]
}

fn read_body(body: &str) -> Result<(TicketKind, Token, VerifyingKey), BadTicket> {
    if body.len() != BODY_CHARACTERS {
        let found = body.chars().count();
        return Err(BadTicket::Length { found });
    }
    let upper = SecretText::from(body.to_ascii_uppercase());
    let whole = BASE32_NOPAD
        .decode(upper.expose().as_bytes())
        .map_err(|error| match error.kind {
            DecodeKind::Symbol => BadTicket::Characters,
            _ => BadTicket::TypingError,
        })?;
    let whole = SecretBytes::from(whole);
    let (content, recorded) = whole
        .expose()
        .split_first_chunk::<CONTENT>()
        .ok_or(BadTicket::TypingError)?;
    if check(content) != *recorded {
        return Err(BadTicket::TypingError);
    }
    let [kind, rest @ ..] = content;
    let kind = TicketKind::from_byte(*kind).ok_or(BadTicket::Kind { found: *kind })?;
    let (token, site) = rest
        .split_first_chunk::<16>()
        .ok_or(BadTicket::TypingError)?;
    let site = site.try_into().map_err(|_| BadTicket::TypingError)?;
    Ok((kind, Token::from_bytes(*token), VerifyingKey(site)))
}

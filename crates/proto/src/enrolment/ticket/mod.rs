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
//! A ticket has no id and no expiry: a person who finds one must also know the id to use it.

mod kind;
mod uri;

use std::str::FromStr;

use countersign_crypto::secret::SecretText;
use countersign_crypto::sign::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::Token;
use crate::json;
use crate::uri::is_host;

pub use kind::{TicketKind, UnknownKind};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use uri::{TicketForm, TicketUri};

/// The longest URI that is read, in bytes without white space: the longest host leaves room to
/// spare.
pub const MAX_TICKET_URI: usize = 512;
/// The longest JSON that is read, in bytes: the longest host, each character of all texts escaped.
pub const MAX_TICKET_JSON: usize = 4 * 1024;

const BODY_CHARACTERS: usize = 84;

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

/// Why a text is no ticket. Nothing was sent: correct the text and try again.
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
        "this is not a ticket of the right kind; a device's reads countersign://HOST:PORT/e#… and a peer's countersign://HOST:PORT/p#…"
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
        "such a ticket has {least} characters or more behind its address; this has {found}. Copy it as a whole"
    )]
    Length {
        /// How many there are.
        found: usize,
        /// How few there may be.
        least: usize,
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
    /// A peer ticket without the name and zone of its person.
    #[error("the ticket does not name its person with a zone")]
    Id,
    /// The JSON is malformed, or its members are not a ticket's.
    #[error("the JSON is no enrolment ticket: {0}")]
    Json(String),
}

impl EnrolmentTicket {
    /// A ticket for the site at `host` (a DNS name, an IPv4 address, or an IPv6 address in
    /// brackets).
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
        if text.len() > MAX_TICKET_JSON {
            return Err(BadTicket::TooLong);
        }
        let form: Form =
            json::read(text.as_bytes()).map_err(|error| BadTicket::Json(error.to_string()))?;
        let site = VerifyingKey(form.site_key);
        Self::new(form.kind, &form.host, form.port, form.token, site)
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
        // No copy of the token is left behind when the text grows.
        let mut text = Vec::with_capacity(MAX_TICKET_JSON);
        let written = serde_json::to_writer(&mut text, &form);
        let text = written.ok().and_then(|()| String::from_utf8(text).ok());
        let Some(text) = text else {
            // Texts are always written; only exhausted memory leads here.
            std::process::abort();
        };
        SecretText::from(text)
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

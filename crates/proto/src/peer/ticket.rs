//! Peer tickets: what a person of one site hands to a person of another one.
//!
//! ```text
//! countersign://HOST:PORT/p#BODY      for people and programs
//! COUNTERSIGN://HOST:PORT/P/BODY      the same for a QR code
//! BODY  = base32 (RFC 4648, section 6), upper case, no padding, of
//!         kind 4 (1) | token (16) | expiry (8) | the site's public key (64) | id (3 to 192) | check (3)
//! check = the first 3 bytes of SHA-256 of the bytes before it
//! ```
//!
//! The expiry is in seconds since 1970 UTC, big-endian. The id is the name, with its zone, of the
//! person who asked for the ticket.

use std::str::FromStr;

use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::secret::{SecretBytes, SecretText};
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::site_key::SitePublicKey;
use serde::{Deserialize, Serialize};

use crate::enrolment::{BadTicket, TicketForm, TicketKind, TicketUri, Token};
use crate::json;
use crate::name::AccountName;
use crate::uri::is_host;

/// The longest URI that is read, in bytes without white space.
pub const MAX_PEER_TICKET_URI: usize = 1_024;
/// The longest JSON that is read, in bytes: each character of all texts escaped.
pub const MAX_PEER_TICKET_JSON: usize = 8 * 1024;

const FORM: TicketForm = TicketForm {
    letter: 'p',
    longest: MAX_PEER_TICKET_URI,
    // Of an id of 3 and of 192 bytes.
    characters: 152..=455,
};

/// A peer ticket: where the site listens, the key that it must prove, whose ticket it is, and the
/// token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTicket {
    host: String,
    port: u16,
    token: Token,
    expires: u64,
    site: SitePublicKey,
    id: AccountName,
}

/// The JSON form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    kind: TicketKind,
    host: String,
    port: u16,
    token: Token,
    expires: u64,
    #[serde(serialize_with = "json::serialize", deserialize_with = "json::array")]
    site_key: [u8; 64],
    id: AccountName,
}

impl PeerTicket {
    /// A ticket of the person `id` for the site at `host` (a DNS name, an IPv4 address, or an IPv6
    /// address in brackets). `expires` is in seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`BadTicket::Host`], [`BadTicket::Port`], or [`BadTicket::Id`] for an id without a zone.
    pub fn new(
        host: &str,
        port: u16,
        token: Token,
        expires: u64,
        site: SitePublicKey,
        id: AccountName,
    ) -> Result<Self, BadTicket> {
        if !is_host(host) {
            return Err(BadTicket::Host);
        }
        if port == 0 {
            return Err(BadTicket::Port);
        }
        if id.zone().is_none() {
            return Err(BadTicket::Id);
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
            token,
            expires,
            site,
            id,
        })
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_json(text: &str) -> Result<Self, BadTicket> {
        if text.len() > MAX_PEER_TICKET_JSON {
            return Err(BadTicket::TooLong);
        }
        let form: Form =
            json::read(text.as_bytes()).map_err(|error| BadTicket::Json(error.to_string()))?;
        if form.kind != TicketKind::Peer {
            return Err(BadTicket::Path);
        }
        let site = keys(form.site_key);
        Self::new(
            &form.host,
            form.port,
            form.token,
            form.expires,
            site,
            form.id,
        )
    }

    /// Reads a URI in either spelling and in any case of letters. White space in it, and angle
    /// brackets around it, are ignored.
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_uri(text: &str) -> Result<Self, BadTicket> {
        let uri = TicketUri::read(text, &FORM)?;
        let content = uri.content.expose();
        let (kind, rest) = content.split_first().ok_or(BadTicket::TypingError)?;
        if *kind != TicketKind::Peer as u8 {
            return Err(BadTicket::Kind { found: *kind });
        }
        let (token, rest) = take(rest)?;
        let (expires, rest) = take(rest)?;
        let (site, id) = take(rest)?;
        let id = std::str::from_utf8(id).map_err(|_| BadTicket::Id)?;
        let read: AccountName = id.parse().map_err(|_| BadTicket::Id)?;
        // One person has one spelling.
        if read.to_string() != id {
            return Err(BadTicket::Id);
        }
        let (token, expires) = (Token::from_bytes(token), u64::from_be_bytes(expires));
        Self::new(&uri.host, uri.port, token, expires, keys(site), read)
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

    /// What entitles its bearer, once.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The first second since 1970 UTC at which the ticket is of no use, by the issuer's clock.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The key that the site must prove, or have had before it was replaced.
    #[must_use]
    pub fn site(&self) -> &SitePublicKey {
        &self.site
    }

    /// The person who asked for the ticket.
    #[must_use]
    pub fn id(&self) -> &AccountName {
        &self.id
    }

    /// The URI.
    #[must_use]
    pub fn to_uri(&self) -> SecretText {
        self.uri().to_uri(&FORM)
    }

    /// The URI as a QR code holds it.
    #[must_use]
    pub fn to_qr_uri(&self) -> SecretText {
        self.uri().to_qr_uri(&FORM)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> SecretText {
        let form = Form {
            kind: TicketKind::Peer,
            host: self.host.clone(),
            port: self.port,
            token: self.token.clone(),
            expires: self.expires,
            site_key: self.site.to_bytes(),
            id: self.id.clone(),
        };
        // No copy of the token is left behind when the text grows.
        let mut text = Vec::with_capacity(MAX_PEER_TICKET_JSON);
        let written = serde_json::to_writer(&mut text, &form);
        let text = written.ok().and_then(|()| String::from_utf8(text).ok());
        let Some(text) = text else {
            // Texts are always written; only exhausted memory leads here.
            std::process::abort();
        };
        SecretText::from(text)
    }

    fn uri(&self) -> TicketUri {
        let content = [
            &[TicketKind::Peer as u8][..],
            self.token.expose(),
            &self.expires.to_be_bytes(),
            &self.site.to_bytes(),
            self.id.to_string().as_bytes(),
        ]
        .concat();
        TicketUri {
            host: self.host.clone(),
            port: self.port,
            content: SecretBytes::from(content),
        }
    }
}

impl FromStr for PeerTicket {
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

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), BadTicket> {
    let (taken, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(BadTicket::TypingError)?;
    Ok((*taken, rest))
}

fn keys(bytes: [u8; 64]) -> SitePublicKey {
    let (mut signing, mut agreement) = ([0; 32], [0; 32]);
    let (first, second) = bytes.split_at(32);
    signing.copy_from_slice(first);
    agreement.copy_from_slice(second);
    SitePublicKey {
        signing: VerifyingKey(signing),
        agreement: AgreementPublic(agreement),
    }
}

//! The URI of a ticket.

use countersign_crypto::hash::sha256;
use countersign_crypto::secret::{SecretBytes, SecretText};
use countersign_crypto::sign::VerifyingKey;
use data_encoding::{BASE32_NOPAD, DecodeKind};

use super::{BODY_CHARACTERS, BadTicket, EnrolmentTicket, MAX_TICKET_URI, TicketKind};
use crate::enrolment::Token;

const SCHEME: &str = "countersign://";
const CONTENT: usize = 1 + 16 + 32;
const CHECK: usize = 3;

impl EnrolmentTicket {
    /// Reads a URI in either spelling and in any case of letters, as people hand it over: white
    /// space in it comes from line wrapping, and angle brackets around it from mail (RFC 3986,
    /// appendix C).
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_uri(text: &str) -> Result<Self, BadTicket> {
        let marks = |c: &char| c.is_whitespace() || *c == '\u{feff}';
        // One character more than there may be tells that there are too many. No copy of the token
        // is left behind, since the text never grows beyond this.
        let mut kept = String::with_capacity(4 * (MAX_TICKET_URI + 1));
        let characters = text.chars().filter(|c| !marks(c));
        kept.extend(characters.take(MAX_TICKET_URI + 1));
        let text = SecretText::from(kept);
        let text = text.expose();
        if text.len() > MAX_TICKET_URI {
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

    /// The URI.
    #[must_use]
    pub fn to_uri(&self) -> SecretText {
        let (address, body) = (self.address(), self.body());
        SecretText::from(format!("{SCHEME}{address}/e#{}", body.expose()))
    }

    /// The URI as a QR code holds it. A host with an IPv6 address or `_` costs it the alphanumeric
    /// mode.
    #[must_use]
    pub fn to_qr_uri(&self) -> SecretText {
        let (address, body) = (self.address(), self.body());
        let start = format!("{SCHEME}{address}/e/").to_ascii_uppercase();
        SecretText::from(start + body.expose())
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

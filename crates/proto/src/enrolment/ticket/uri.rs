//! The URI of a ticket.

use countersign_crypto::hash::sha256;
use countersign_crypto::secret::{SecretBytes, SecretText};
use countersign_crypto::sign::VerifyingKey;
use data_encoding::{BASE32_NOPAD, DecodeKind};

use super::{BODY_CHARACTERS, BadTicket, EnrolmentTicket, MAX_TICKET_URI, TicketKind};
use crate::enrolment::Token;

const SCHEME: &str = "countersign://";
const CHECK: usize = 3;

/// What the URI of any ticket holds. The letter before its body tells which ticket it is.
pub(crate) struct TicketUri {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What the body holds before its check. It has the token.
    pub(crate) content: SecretBytes,
}

/// The form of the URIs of one ticket.
pub(crate) struct TicketForm {
    /// The path, in lower case.
    pub(crate) letter: char,
    /// The longest URI in bytes, without white space.
    pub(crate) longest: usize,
    /// How many characters the body may have.
    pub(crate) characters: std::ops::RangeInclusive<usize>,
}

impl TicketUri {
    /// Reads a URI in either spelling and in any case of letters, as people hand it over: white
    /// space in it comes from line wrapping, and angle brackets around it from mail (RFC 3986,
    /// appendix C).
    pub(crate) fn read(text: &str, form: &TicketForm) -> Result<Self, BadTicket> {
        let marks = |c: &char| c.is_whitespace() || *c == '\u{feff}';
        // One character more than there may be tells that there are too many. No copy of the token
        // is left behind, since the text never grows beyond this.
        let mut kept = String::with_capacity(4 * (form.longest + 1));
        let characters = text.chars().filter(|c| !marks(c));
        kept.extend(characters.take(form.longest + 1));
        let text = SecretText::from(kept);
        let text = text.expose();
        if text.len() > form.longest {
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
            .strip_prefix([form.letter, form.letter.to_ascii_uppercase()])
            .and_then(|rest| rest.strip_prefix(['#', '/']))
            .ok_or(BadTicket::Path)?;
        let (host, port) = address.rsplit_once(':').ok_or(BadTicket::Port)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadTicket::Port);
        }
        let port = port.parse().map_err(|_| BadTicket::Port)?;
        let content = read_body(body, form)?;
        let host = host.to_owned();
        Ok(Self {
            host,
            port,
            content,
        })
    }

    /// The URI.
    pub(crate) fn to_uri(&self, form: &TicketForm) -> SecretText {
        let (host, port, letter) = (&self.host, self.port, form.letter);
        let body = self.body();
        SecretText::from(format!("{SCHEME}{host}:{port}/{letter}#{}", body.expose()))
    }

    /// The URI as a QR code holds it. A host with an IPv6 address or `_` costs it the alphanumeric
    /// mode.
    pub(crate) fn to_qr_uri(&self, form: &TicketForm) -> SecretText {
        let (host, port, letter) = (&self.host, self.port, form.letter);
        let body = self.body();
        let start = format!("{SCHEME}{host}:{port}/{letter}/").to_ascii_uppercase();
        SecretText::from(start + body.expose())
    }

    fn body(&self) -> SecretText {
        let check = check(self.content.expose());
        let whole = SecretBytes::from([self.content.expose(), &check].concat());
        SecretText::from(BASE32_NOPAD.encode(whole.expose()))
    }
}

fn check(content: &[u8]) -> [u8; CHECK] {
    let [a, b, c, ..] = sha256(content);
    [a, b, c]
}

fn read_body(body: &str, form: &TicketForm) -> Result<SecretBytes, BadTicket> {
    if !form.characters.contains(&body.len()) {
        return Err(BadTicket::Length {
            found: body.chars().count(),
            least: *form.characters.start(),
        });
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
        .split_last_chunk::<CHECK>()
        .ok_or(BadTicket::TypingError)?;
    match check(content) == *recorded {
        true => Ok(SecretBytes::from(content.to_vec())),
        false => Err(BadTicket::TypingError),
    }
}

const FORM: TicketForm = TicketForm {
    letter: 'e',
    longest: MAX_TICKET_URI,
    characters: BODY_CHARACTERS..=BODY_CHARACTERS,
};

impl EnrolmentTicket {
    /// Reads a URI in either spelling and in any case of letters. White space in it, and angle
    /// brackets around it, are ignored.
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn from_uri(text: &str) -> Result<Self, BadTicket> {
        let uri = TicketUri::read(text, &FORM)?;
        let (kind, token, site) = read_content(uri.content.expose())?;
        Self::new(kind, &uri.host, uri.port, token, site)
    }

    /// The URI.
    #[must_use]
    pub fn to_uri(&self) -> SecretText {
        self.uri().to_uri(&FORM)
    }

    /// The URI as a QR code holds it. A host with an IPv6 address or `_` costs it the alphanumeric
    /// mode.
    #[must_use]
    pub fn to_qr_uri(&self) -> SecretText {
        self.uri().to_qr_uri(&FORM)
    }

    fn uri(&self) -> TicketUri {
        let kind = [self.kind as u8];
        let content = [&kind, self.token.expose().as_slice(), &self.site.0].concat();
        TicketUri {
            host: self.host.clone(),
            port: self.port,
            content: content.into(),
        }
    }
}

fn read_content(content: &[u8]) -> Result<(TicketKind, Token, VerifyingKey), BadTicket> {
    let (kind, rest) = content.split_first().ok_or(BadTicket::TypingError)?;
    let kind = TicketKind::from_byte(*kind).ok_or(BadTicket::Kind { found: *kind })?;
    let (token, site) = rest
        .split_first_chunk::<16>()
        .ok_or(BadTicket::TypingError)?;
    let site = site.try_into().map_err(|_| BadTicket::TypingError)?;
    Ok((kind, Token::from_bytes(*token), VerifyingKey(site)))
}

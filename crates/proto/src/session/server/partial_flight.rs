//! Collects a client's flight, whose commands come in any order, until it is complete
//! (`docs/protocol/session.md`, Flights).

use countersign_crypto::certificate::Thumbprint;

use crate::name::{AccountName, Zone};
use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::delivered::NONCE;
use crate::session::limits::MIN_MAX_PACKET;
use crate::session::option::EncryptionOption;
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;

use super::delivered::Owner;

/// The commands of a flight so far.
#[derive(Default)]
pub(super) struct PartialFlight {
    max_packet: Option<u32>,
    name: Option<AccountName>,
    thumbprint: Option<Thumbprint>,
    /// The number of the first key event that the client requests with the answer.
    key_events: Option<u64>,
    /// Whether the flight has a NONCE.
    has_nonce: bool,
    start: Option<(Kind, Start)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Person,
    Service,
    Resume,
}

/// The first message of a login or a resumption.
pub(super) struct Start {
    pub(super) message: Vec<u8>,
    /// The digest of the transcript before it.
    pub(super) transcript_digest: [u8; 32],
}

/// A complete flight.
pub(super) enum CompleteFlight {
    Person(AccountName, Start),
    Service(Start),
    Resume(Start),
    Delivered(Owner),
}

impl PartialFlight {
    /// Whether the command can be part of a flight.
    pub(super) fn is_flight_command(command: Command) -> bool {
        matches!(
            command,
            c::MAX_PACKET
                | c::KEY_EVENTS_REQUEST
                | c::USERNAME
                | c::NONCE
                | c::CERTIFICATE_ID
                | c::LOGIN_START
                | c::HANDSHAKE
                | c::RESUME
        )
    }

    /// Whether a command is expected with that option. Before an option is chosen, all are.
    pub(super) fn fits(command: Command, choice: Option<EncryptionOption>) -> bool {
        let delivered = choice.map(|option| option == EncryptionOption::DeliveredKey);
        match command {
            c::NONCE | c::CERTIFICATE_ID => delivered != Some(false),
            c::LOGIN_START | c::HANDSHAKE => delivered != Some(true),
            _ => true,
        }
    }

    /// Processes a command that satisfies [`Self::is_flight_command`]. The transcript ends before
    /// it.
    pub(super) fn take(
        &mut self,
        command: Command,
        value: Value<'_>,
        transcript: &Transcript,
    ) -> Result<(), SessionRefusal> {
        match (command, value) {
            (c::MAX_PACKET, Value::U32(bytes)) => self.max_packet = Some(asked_max_packet(bytes)?),
            (c::KEY_EVENTS_REQUEST, Value::U64(first)) => self.key_events = Some(first),
            (c::USERNAME, Value::Bytes(name)) => {
                let name = std::str::from_utf8(name)
                    .ok()
                    .and_then(|name| name.parse().ok());
                self.name = Some(name.ok_or(SessionRefusal::BadLogin("USERNAME is no name"))?);
            }
            // Without a fresh nonce an attacker could replay a recorded response, with the same
            // keys.
            (c::NONCE, Value::Bytes(nonce)) if nonce.len() != NONCE => {
                return Err(SessionRefusal::BadLogin("a NONCE that has not 32 bytes"));
            }
            (c::NONCE, _) => self.has_nonce = true,
            (c::CERTIFICATE_ID, Value::Bytes(id)) => {
                let id = id
                    .try_into()
                    .map_err(|_| SessionRefusal::BadLogin("CERTIFICATE-ID is no thumbprint"))?;
                self.thumbprint = Some(Thumbprint(id));
            }
            (c::LOGIN_START, Value::Bytes(message)) => {
                self.start(Kind::Person, message, transcript.digest("login context"))?;
            }
            (c::HANDSHAKE, Value::Bytes(message)) => {
                self.start(
                    Kind::Service,
                    message,
                    transcript.digest("machine prologue"),
                )?;
            }
            (c::RESUME, Value::Bytes(message)) => {
                self.start(Kind::Resume, message, transcript.digest("resume"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn start(
        &mut self,
        kind: Kind,
        message: &[u8],
        transcript_digest: [u8; 32],
    ) -> Result<(), SessionRefusal> {
        if self.start.is_some() {
            return Err(SessionRefusal::BadLogin("a flight that begins two logins"));
        }
        let message = message.to_vec();
        self.start = Some((
            kind,
            Start {
                message,
                transcript_digest,
            },
        ));
        Ok(())
    }

    /// Drops what does not belong to that option. Returns the number of dropped commands.
    pub(super) fn drop_unexpected(&mut self, option: EncryptionOption) -> u32 {
        if option != EncryptionOption::DeliveredKey {
            let dropped = u32::from(self.has_nonce) + u32::from(self.thumbprint.is_some());
            (self.has_nonce, self.thumbprint) = (false, None);
            return dropped;
        }
        let login = |(kind, _): &mut (Kind, Start)| !matches!(kind, Kind::Resume);
        u32::from(self.start.take_if(login).is_some())
    }

    /// The packet limit that the client requests.
    pub(super) fn max_packet(&self) -> Option<u32> {
        self.max_packet
    }

    /// The number of the first key event that the client requests with the answer.
    pub(super) fn key_events(&self) -> Option<u64> {
        self.key_events
    }

    /// The complete flight for that option, or `None` if something is missing.
    pub(super) fn complete(
        &mut self,
        option: EncryptionOption,
        zone: &Zone,
    ) -> Option<CompleteFlight> {
        match self.start.take() {
            Some((Kind::Resume, start)) => return Some(CompleteFlight::Resume(start)),
            Some((Kind::Service, start)) => return Some(CompleteFlight::Service(start)),
            Some((Kind::Person, start)) if self.name.is_some() => {
                let name = self.name.take()?.with_default_zone(zone);
                return Some(CompleteFlight::Person(name, start));
            }
            start => self.start = start,
        }
        if option != EncryptionOption::DeliveredKey || !self.has_nonce {
            return None;
        }
        match (self.name.take(), self.thumbprint.take()) {
            (Some(name), _) => Some(Owner::Person(name.with_default_zone(zone))),
            (None, Some(thumbprint)) => Some(Owner::Service(thumbprint)),
            (None, None) => None,
        }
        .map(CompleteFlight::Delivered)
    }
}

/// Validates a requested packet limit: it must not be below the minimum, since the agreed limit
/// never exceeds the request.
pub(super) fn asked_max_packet(bytes: u32) -> Result<u32, SessionRefusal> {
    match bytes >= MIN_MAX_PACKET {
        true => Ok(bytes),
        false => Err(SessionRefusal::BadLogin("MAX-PACKET below 256")),
    }
}

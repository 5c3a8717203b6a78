//! What a client's flight has said so far, in whatever order, and whether that is all that it must say
//! (`docs/protocol/session.md`, Flights).

use countersign_crypto::certificate::Thumbprint;

use crate::name::{AccountName, Zone};
use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::delivered::NONCE;
use crate::session::limits::LEAST_MAX_PACKET;
use crate::session::option::EncryptionOption;
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;

use super::delivered::Owner;

/// What a flight has said so far.
#[derive(Default)]
pub(super) struct Gathered {
    max_packet: Option<u32>,
    name: Option<AccountName>,
    thumbprint: Option<Thumbprint>,
    /// Whether the flight is unlike every other one.
    fresh: bool,
    start: Option<(Kind, Start)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Person,
    Service,
    Resume,
}

/// The message that a login or a resumption begins with.
pub(super) struct Start {
    pub(super) message: Vec<u8>,
    /// The digest of all that was said before it.
    pub(super) said: [u8; 32],
}

/// A flight that has said all that it must.
pub(super) enum Whole {
    Person(AccountName, Start),
    Service(Start),
    Resume(Start),
    Delivered(Owner),
}

impl Gathered {
    /// Whether that command belongs to some flight.
    pub(super) fn knows(command: Command) -> bool {
        matches!(
            command,
            c::MAX_PACKET
                | c::USERNAME
                | c::NONCE
                | c::CERTIFICATE_ID
                | c::LOGIN_START
                | c::HANDSHAKE
                | c::RESUME
        )
    }

    /// Whether a command of a flight means something with that option; all do before one is chosen.
    pub(super) fn fits(command: Command, choice: Option<EncryptionOption>) -> bool {
        let delivered = choice.map(|option| option == EncryptionOption::DeliveredKey);
        match command {
            c::NONCE | c::CERTIFICATE_ID => delivered != Some(false),
            c::LOGIN_START | c::HANDSHAKE => delivered != Some(true),
            _ => true,
        }
    }

    /// Takes what a command says that [`Self::knows`]; `said` is the transcript before it.
    pub(super) fn take(
        &mut self,
        command: Command,
        value: Value<'_>,
        said: &Transcript,
    ) -> Result<(), SessionRefusal> {
        match (command, value) {
            (c::MAX_PACKET, Value::U32(bytes)) => self.max_packet = Some(asked_max_packet(bytes)?),
            (c::USERNAME, Value::Bytes(name)) => {
                let name = std::str::from_utf8(name)
                    .ok()
                    .and_then(|name| name.parse().ok());
                self.name = Some(name.ok_or(SessionRefusal::BadLogin("USERNAME is no name"))?);
            }
            // An attacker who recorded an answer could give it again, with the same keys for the client to use.
            (c::NONCE, Value::Bytes(nonce)) if nonce.len() != NONCE => {
                return Err(SessionRefusal::BadLogin("a NONCE that has not 32 bytes"));
            }
            (c::NONCE, _) => self.fresh = true,
            (c::CERTIFICATE_ID, Value::Bytes(id)) => {
                let id = id
                    .try_into()
                    .map_err(|_| SessionRefusal::BadLogin("CERTIFICATE-ID is no thumbprint"))?;
                self.thumbprint = Some(Thumbprint(id));
            }
            (c::LOGIN_START, Value::Bytes(message)) => {
                self.start(Kind::Person, message, said.digest("login context"))?;
            }
            (c::HANDSHAKE, Value::Bytes(message)) => {
                self.start(Kind::Service, message, said.digest("machine prologue"))?;
            }
            (c::RESUME, Value::Bytes(message)) => {
                self.start(Kind::Resume, message, said.digest("resume"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, kind: Kind, message: &[u8], said: [u8; 32]) -> Result<(), SessionRefusal> {
        if self.start.is_some() {
            return Err(SessionRefusal::BadLogin("a flight that begins two logins"));
        }
        let message = message.to_vec();
        self.start = Some((kind, Start { message, said }));
        Ok(())
    }

    /// Forgets what means nothing with that option; how many commands that were.
    pub(super) fn drop_what_does_not_fit(&mut self, option: EncryptionOption) -> u32 {
        if option != EncryptionOption::DeliveredKey {
            let dropped = u32::from(self.fresh) + u32::from(self.thumbprint.is_some());
            (self.fresh, self.thumbprint) = (false, None);
            return dropped;
        }
        let login = |(kind, _): &mut (Kind, Start)| !matches!(kind, Kind::Resume);
        u32::from(self.start.take_if(login).is_some())
    }

    /// What the client asks for.
    pub(super) fn max_packet(&self) -> Option<u32> {
        self.max_packet
    }

    /// What the flight says, once it has said all that it must with that option.
    pub(super) fn whole(&mut self, option: EncryptionOption, zone: &Zone) -> Option<Whole> {
        match self.start.take() {
            Some((Kind::Resume, start)) => return Some(Whole::Resume(start)),
            Some((Kind::Service, start)) => return Some(Whole::Service(start)),
            Some((Kind::Person, start)) if self.name.is_some() => {
                let name = self.name.take()?.with_default_zone(zone);
                return Some(Whole::Person(name, start));
            }
            start => self.start = start,
        }
        if option != EncryptionOption::DeliveredKey || !self.fresh {
            return None;
        }
        match (self.name.take(), self.thumbprint.take()) {
            (Some(name), _) => Some(Owner::Person(name.with_default_zone(zone))),
            (None, Some(thumbprint)) => Some(Owner::Service(thumbprint)),
            (None, None) => None,
        }
        .map(Whole::Delivered)
    }
}

/// A limit of packets that may be asked for: no answer may be above it, and none is below the least.
pub(super) fn asked_max_packet(bytes: u32) -> Result<u32, SessionRefusal> {
    match bytes >= LEAST_MAX_PACKET {
        true => Ok(bytes),
        false => Err(SessionRefusal::BadLogin("MAX-PACKET below 256")),
    }
}

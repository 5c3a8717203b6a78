//! Sending a flight and reading the site's answer, whichever kind of account logs in.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::secret::Passphrase;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::flight::{self, ClearCommand, client_says};
use crate::session::limits::{
    GREATEST_MAX_PACKET, LEAST_MAX_PACKET, STALE_CHOICES, UNPROVED_BYTES,
};
use crate::session::link::{FirstPacket, Link};
use crate::session::option::{Choice, EncryptionOption, OptionList};
use crate::session::refusal::{LoginError, WireError};
use crate::session::transcript::Transcript;

use super::person::{PersonFlight, Stretch};
use super::resume::{ResumeFlight, Resumption};
use super::service::ServiceFlight;
use super::session::{LoggedIn, Session};
use super::{Settings, choice};

/// A login that is under way.
pub struct Login {
    pub(super) settings: Settings,
    pub(super) transcript: Transcript,
    pub(super) option: EncryptionOption,
    pub(super) answer: Answer,
    /// What the site delivered, with the option `delivered-key`.
    pub(super) delivered: Option<Box<DeliveredKey>>,
    awaiting: Awaiting,
    restarts: u32,
}

enum Awaiting {
    Person(Box<PersonFlight>),
    Service(Box<ServiceFlight>),
    Resume(Box<ResumeFlight>),
    Welcome(Box<Opening>),
}

/// A session whose welcome has not arrived yet.
struct Opening {
    link: Link,
    identity: Option<Box<Identity>>,
    resumption: Resumption,
    delivered: Option<Box<DeliveredKey>>,
}

/// What the site has said so far.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) session_key: Option<Vec<u8>>,
    pub(super) max_packet: Option<u32>,
    pub(super) kem_ciphertext: Option<Vec<u8>>,
}

/// What a login needs next.
pub enum Step {
    /// More bytes from the site.
    NeedMore(Login),
    /// The pass phrase is to be stretched: a fraction of a second of work and 64 MiB of memory.
    Stretch(Stretch),
    /// Nothing: the session is open.
    LoggedIn(LoggedIn),
}

impl Login {
    /// Starts a person's login; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn person(
        settings: Settings,
        name: AccountName,
        passphrase: Passphrase,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = PersonFlight::new(name, passphrase);
        Self::start(settings, Awaiting::Person(Box::new(flight)), entropy, out)
    }

    /// Starts a service's login; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn service(
        settings: Settings,
        identity: std::sync::Arc<Identity>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = ServiceFlight::new(identity);
        Self::start(settings, Awaiting::Service(Box::new(flight)), entropy, out)
    }

    /// Starts to return to a session whose connection was lost; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn resume(
        settings: Settings,
        resumption: Resumption,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = ResumeFlight::new(resumption);
        Self::start(settings, Awaiting::Resume(Box::new(flight)), entropy, out)
    }

    fn start(
        settings: Settings,
        awaiting: Awaiting,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        if settings.max_packet < LEAST_MAX_PACKET {
            return Err(LoginError::PacketsTooSmall);
        }
        let chosen = choose(&settings);
        let mut login = Self {
            settings,
            transcript: Transcript::default(),
            option: chosen.clone().unwrap_or(EncryptionOption::HybridAes256Gcm),
            answer: Answer::default(),
            delivered: None,
            awaiting,
            restarts: 0,
        };
        match chosen {
            Ok(_) => login.send_flight(entropy, out)?,
            // The list that is known holds nothing acceptable; the site's may.
            Err(_) => login.say(out, c::OPTIONS_REQUEST, Value::Nothing)?,
        }
        Ok(login)
    }

    fn send_flight(
        &mut self,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let choice = Choice {
            list: self.settings.options.id(),
            option: self.option,
        };
        self.say(out, c::OPTION_CHOICE, Value::Bytes(&choice.to_wire()))?;
        match &mut self.awaiting {
            Awaiting::Person(flight) => flight.send(
                &self.settings,
                self.option,
                &mut self.transcript,
                entropy,
                out,
            ),
            Awaiting::Service(flight) => flight.send(
                &self.settings,
                self.option,
                &mut self.transcript,
                entropy,
                out,
            ),
            Awaiting::Resume(flight) => flight.send(
                &self.settings,
                self.option,
                &mut self.transcript,
                entropy,
                out,
            ),
            Awaiting::Welcome(_) => Ok(()),
        }
    }

    fn say(
        &mut self,
        out: &mut Vec<u8>,
        command: crate::risp::Command,
        value: Value<'_>,
    ) -> Result<(), LoginError> {
        client_says(&mut self.transcript, out, command, value)
            .map_err(|_| LoginError::Protocol("a value that does not fit its command"))
    }

    /// Reads what arrived; says what is needed next and how many bytes of `input` were used. What was
    /// not used is given again, with what follows it.
    ///
    /// # Errors
    /// A [`LoginError`] ends the login.
    pub fn receive(
        mut self,
        input: &mut [u8],
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(Step, usize), LoginError> {
        let mut used = 0;
        loop {
            let rest = input.get_mut(used..).unwrap_or_default();
            if let Awaiting::Welcome(opening) = self.awaiting {
                // A site that could not verify the proof, or has no time to, has no keys to say it with.
                if let Some(error) = refused_in_the_clear(rest) {
                    return Err(error);
                }
                return match opening.welcome(&self.settings, rest)? {
                    Ok((done, bytes)) => Ok((Step::LoggedIn(done), used + bytes)),
                    Err(opening) => {
                        self.awaiting = Awaiting::Welcome(opening);
                        Ok((Step::NeedMore(self), used))
                    }
                };
            }
            if rest.len() > UNPROVED_BYTES {
                return Err(LoginError::Protocol("too long an answer"));
            }
            let Some(clear) = flight::next(rest)? else {
                return Ok((Step::NeedMore(self), used));
            };
            used += clear.wire.len();
            match self.command(&clear, entropy, out)? {
                Step::NeedMore(login) => self = login,
                step => return Ok((step, used)),
            }
        }
    }

    fn command(
        mut self,
        clear: &ClearCommand<'_>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Step, LoginError> {
        match (clear.command, clear.value) {
            (c::ERROR, Value::U8(code)) => return Err(self.told(code)),
            (c::SITE_PROOF, Value::Bytes(signature)) => {
                let said = self.transcript.digest("site proof");
                self.transcript.server_said(clear.wire);
                let awaiting =
                    std::mem::replace(&mut self.awaiting, Awaiting::Person(Box::default()));
                return match awaiting {
                    Awaiting::Person(flight) => {
                        Stretch::new(self, *flight, &said, signature).map(Step::Stretch)
                    }
                    Awaiting::Service(flight) => flight
                        .prove(self, &said, signature, out)
                        .map(Step::NeedMore),
                    Awaiting::Resume(flight) => {
                        flight.finish(self, &said, signature).map(Step::NeedMore)
                    }
                    Awaiting::Welcome(_) => Err(UNASKED),
                };
            }
            (c::SESSION_KEY, Value::Bytes(message))
                if self.is_service() && self.option != EncryptionOption::DeliveredKey =>
            {
                // What the psk covers ends before this command.
                let said = self.transcript.clone();
                self.transcript.server_said(clear.wire);
                let Awaiting::Service(flight) = self.awaiting else {
                    return Err(UNASKED);
                };
                self.awaiting = Awaiting::Person(Box::default());
                return flight.finish(self, &said, message, out).map(Step::NeedMore);
            }
            (c::OPTIONS, Value::Bytes(list)) => {
                self.transcript.server_said(clear.wire);
                return self.restart(list, entropy, out);
            }
            (c::CERTIFICATE, Value::Bytes(value)) => set(&mut self.answer.certificate, value)?,
            (c::SESSION_KEY, Value::Bytes(value)) => set(&mut self.answer.session_key, value)?,
            (c::KEM_CIPHERTEXT, Value::Bytes(value)) => {
                set(&mut self.answer.kem_ciphertext, value)?;
            }
            (c::MAX_PACKET, Value::U32(bytes)) => self.answer.max_packet = Some(bytes),
            _ => {}
        }
        self.transcript.server_said(clear.wire);
        Ok(Step::NeedMore(self))
    }

    fn is_service(&self) -> bool {
        matches!(self.awaiting, Awaiting::Service(_))
    }

    /// What an ERROR in the clear means. Nobody vouches for it: it may end a login, never open one.
    fn told(&self, code: u8) -> LoginError {
        match WireError::from_wire(code) {
            // A site that holds the key refuses a service inside the session.
            Some(WireError::NotAuthenticated) if self.is_service() => LoginError::WrongSite,
            Some(error) => refused(error),
            None => UNKNOWN,
        }
    }

    /// The site's list is not the one that was known: choose from it and send the flight again.
    fn restart(
        mut self,
        list: &[u8],
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Step, LoginError> {
        self.restarts += 1;
        if self.restarts > STALE_CHOICES {
            return Err(LoginError::Protocol("its option list changes all the time"));
        }
        self.settings.options =
            OptionList::from_wire(list).ok_or(LoginError::Protocol("a malformed option list"))?;
        self.option = choose(&self.settings)?;
        self.answer = Answer::default();
        self.send_flight(entropy, out)?;
        Ok(Step::NeedMore(self))
    }

    /// The packet limit that the site answered, within what may be asked of this client.
    pub(super) fn agreed_max_packet(&self) -> Result<u32, LoginError> {
        let greatest = self.settings.max_packet.min(GREATEST_MAX_PACKET);
        self.answer
            .max_packet
            .filter(|bytes| (LEAST_MAX_PACKET..=greatest).contains(bytes))
            .ok_or(LoginError::Protocol(
                "MAX-PACKET is missing or out of bounds",
            ))
    }

    pub(super) fn await_welcome(
        mut self,
        link: Link,
        identity: Option<Box<Identity>>,
        resumption: Resumption,
    ) -> Self {
        let delivered = self.delivered.take();
        self.awaiting = Awaiting::Welcome(Box::new(Opening {
            delivered,
            link,
            identity,
            resumption,
        }));
        self
    }
}

impl Opening {
    /// Reads the site's first packet. Gives itself back while that has not arrived whole.
    fn welcome(
        mut self: Box<Self>,
        settings: &Settings,
        input: &mut [u8],
    ) -> Result<Result<(LoggedIn, usize), Box<Self>>, LoginError> {
        let read = self
            .link
            .receive_welcome(input)
            .map_err(|_| LoginError::Protocol("its first packet does not open"))?;
        match read {
            None => Ok(Err(self)),
            Some((FirstPacket::Refusal(error), _)) => Err(refused(error)),
            Some((FirstPacket::Welcome(welcome), used)) => {
                let resumption = Resumption {
                    session: welcome.session,
                    ..self.resumption
                };
                let logged_in = LoggedIn {
                    session: Session::new(self.link, &welcome, settings),
                    welcome,
                    identity: self.identity,
                    delivered: self.delivered,
                    resumption,
                };
                Ok(Ok((logged_in, used)))
            }
        }
    }
}

/// What ERROR says.
fn refused(error: WireError) -> LoginError {
    match error {
        WireError::Sealed => LoginError::Sealed,
        WireError::Busy => LoginError::Busy,
        WireError::OtherSite => LoginError::WrongSite,
        WireError::NotAuthenticated => LoginError::NotAuthenticated,
        error => LoginError::Ended(error),
    }
}

/// An ERROR that stands where a packet should.
fn refused_in_the_clear(input: &[u8]) -> Option<LoginError> {
    let clear = flight::next(input).ok().flatten()?;
    match (clear.command, clear.value) {
        (c::ERROR, Value::U8(code)) => Some(WireError::from_wire(code).map_or(UNKNOWN, refused)),
        _ => None,
    }
}

const UNKNOWN: LoginError = LoginError::Protocol("an unknown ERROR");
const UNASKED: LoginError = LoginError::Protocol("an answer to what was not asked");

fn set(field: &mut Option<Vec<u8>>, value: &[u8]) -> Result<(), LoginError> {
    match field.replace(value.to_vec()) {
        None => Ok(()),
        Some(_) => Err(LoginError::Protocol("an answer given twice")),
    }
}

fn choose(settings: &Settings) -> Result<EncryptionOption, LoginError> {
    let found = choice(&settings.accepted, settings.own_order, &settings.options);
    found.ok_or_else(|| {
        let offered = settings.options.ranked().iter();
        let names: Vec<&str> = offered.map(|option| option.name()).collect();
        LoginError::NoCommonOption(names.join(", "))
    })
}

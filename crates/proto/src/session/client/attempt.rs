//! A login attempt: sending a flight and reading the site's answer, whichever kind of account logs in.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::sign::Signature;

use crate::name::AccountName;
use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::flight::{self, ClearCommand, client_says};
use crate::session::limits::{
    GREATEST_MAX_PACKET, LEAST_MAX_PACKET, STALE_CHOICES, UNAUTHENTICATED_BYTES,
};
use crate::session::link::{FirstPacket, Link};
use crate::session::option::{Choice, EncryptionOption, OptionList};
use crate::session::proof::SiteProof;
use crate::session::refusal::{LoginError, WireError};
use crate::session::transcript::Transcript;

use super::person::{PersonFlight, Stretch};
use super::resume::{ResumeFlight, Resumption};
use super::service::ServiceFlight;
use super::session::{ClientSession, LoggedIn};
use super::{ClientSettings, choice};

/// A login that is under way, or the resumption of a session.
pub struct ClientLoginAttempt(State);

#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
enum State {
    /// The flight was sent; the site's answer is to come.
    Answer(Dialog, Flight),
    /// Both ends have the session's keys; the site's first packet is to come.
    Welcome(Box<Opening>),
}

/// What both ends have said, whichever kind of account logs in.
pub(super) struct Dialog {
    pub(super) settings: ClientSettings,
    pub(super) transcript: Transcript,
    pub(super) option: EncryptionOption,
    pub(super) answer: Answer,
    restarts: u32,
}

/// What the site has answered so far.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) session_key: Option<Vec<u8>>,
    pub(super) max_packet: Option<u32>,
    pub(super) kem_ciphertext: Option<Vec<u8>>,
}

/// Who logs in, and what is kept until the site has answered.
enum Flight {
    Person(Box<PersonFlight>),
    Service(Box<ServiceFlight>),
    Resume(Box<ResumeFlight>),
}

/// A session whose welcome has not arrived yet.
pub(super) struct Opening {
    pub(super) settings: ClientSettings,
    pub(super) link: Link,
    pub(super) identity: Option<Box<Identity>>,
    /// What the site delivered, with the option `delivered-key`.
    pub(super) delivered: Option<Box<DeliveredKey>>,
    pub(super) resumption: Resumption,
}

/// What a login attempt needs next.
pub enum ClientStep {
    /// More bytes from the site.
    NeedMore(ClientLoginAttempt),
    /// The pass phrase is to be stretched: a fraction of a second of work and 64 MiB of memory.
    Stretch(Stretch),
    /// Nothing: the session is open.
    LoggedIn(LoggedIn),
}

impl ClientLoginAttempt {
    /// Starts a person's login; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn person(
        settings: ClientSettings,
        name: AccountName,
        passphrase: Passphrase,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = PersonFlight::new(name, passphrase);
        Self::start(settings, Flight::Person(Box::new(flight)), entropy, out)
    }

    /// Starts a service's login; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn service(
        settings: ClientSettings,
        identity: std::sync::Arc<Identity>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = ServiceFlight::new(identity);
        Self::start(settings, Flight::Service(Box::new(flight)), entropy, out)
    }

    /// Starts to resume a session whose connection was lost; the first flight is appended to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] when what is to be sent cannot be encoded.
    pub fn resume(
        settings: ClientSettings,
        resumption: Resumption,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = ResumeFlight::new(resumption);
        Self::start(settings, Flight::Resume(Box::new(flight)), entropy, out)
    }

    fn start(
        settings: ClientSettings,
        mut flight: Flight,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        if settings.max_packet < LEAST_MAX_PACKET {
            return Err(LoginError::PacketsTooSmall);
        }
        let chosen = choose(&settings);
        let mut dialog = Dialog {
            settings,
            transcript: Transcript::default(),
            option: chosen.clone().unwrap_or(EncryptionOption::HybridAes256Gcm),
            answer: Answer::default(),
            restarts: 0,
        };
        match chosen {
            Ok(_) => flight.send(&mut dialog, entropy, out)?,
            // The list that is known holds nothing acceptable; the site's may.
            Err(_) => dialog.say(out, c::OPTIONS_REQUEST, Value::Nothing)?,
        }
        Ok(Self(State::Answer(dialog, flight)))
    }

    /// Reads what arrived; says what is needed next and how many bytes of `input` were used. What was
    /// not used is given again, with what follows it.
    ///
    /// # Errors
    /// A [`LoginError`] ends the login.
    pub fn receive(
        self,
        input: &mut [u8],
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(ClientStep, usize), LoginError> {
        let (mut attempt, mut used) = (self, 0);
        loop {
            let rest = input.get_mut(used..).unwrap_or_default();
            let (dialog, flight) = match attempt.0 {
                State::Answer(dialog, flight) => (dialog, flight),
                State::Welcome(opening) => {
                    let (step, bytes) = opening.receive(rest)?;
                    return Ok((step, used + bytes));
                }
            };
            if rest.len() > UNAUTHENTICATED_BYTES {
                return Err(LoginError::Protocol("too long an answer"));
            }
            let Some(clear) = flight::next(rest)? else {
                return Ok((dialog.goes_on(flight), used));
            };
            used += clear.wire.len();
            match dialog.receive(flight, &clear, entropy, out)? {
                ClientStep::NeedMore(next) => attempt = next,
                step => return Ok((step, used)),
            }
        }
    }
}

impl Dialog {
    /// Takes a command of the site's answer.
    fn receive(
        mut self,
        flight: Flight,
        clear: &ClearCommand<'_>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ClientStep, LoginError> {
        match (clear.command, clear.value) {
            (c::ERROR, Value::U8(code)) => return Err(flight.refused_with(code)),
            (c::SITE_PROOF, Value::Bytes(signature)) => {
                let said = self.transcript.digest("site proof");
                self.transcript.server_sent(clear.wire);
                return match flight {
                    Flight::Person(flight) => {
                        Stretch::new(self, *flight, &said, signature).map(ClientStep::Stretch)
                    }
                    Flight::Service(flight) => {
                        let opening = flight.prove(self, &said, signature, out)?;
                        Ok(opening.awaits_welcome())
                    }
                    Flight::Resume(flight) => {
                        let opening = flight.finish(self, &said, signature)?;
                        Ok(opening.awaits_welcome())
                    }
                };
            }
            (c::SESSION_KEY, Value::Bytes(message)) => match flight {
                Flight::Service(flight) if self.option != EncryptionOption::DeliveredKey => {
                    // What the psk covers ends before this command.
                    let said = self.transcript.clone();
                    self.transcript.server_sent(clear.wire);
                    let opening = flight.finish(self, &said, message, out)?;
                    return Ok(opening.awaits_welcome());
                }
                flight => {
                    set(&mut self.answer.session_key, message)?;
                    self.transcript.server_sent(clear.wire);
                    return Ok(self.goes_on(flight));
                }
            },
            (c::OPTIONS, Value::Bytes(list)) => {
                self.transcript.server_sent(clear.wire);
                return self.restart(flight, list, entropy, out);
            }
            (c::CERTIFICATE, Value::Bytes(value)) => set(&mut self.answer.certificate, value)?,
            (c::KEM_CIPHERTEXT, Value::Bytes(value)) => {
                set(&mut self.answer.kem_ciphertext, value)?;
            }
            (c::MAX_PACKET, Value::U32(bytes)) => self.answer.max_packet = Some(bytes),
            _ => {}
        }
        self.transcript.server_sent(clear.wire);
        Ok(self.goes_on(flight))
    }

    /// The site's list is not the one that was known: choose from it and send the flight again.
    fn restart(
        mut self,
        mut flight: Flight,
        list: &[u8],
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ClientStep, LoginError> {
        self.restarts += 1;
        if self.restarts > STALE_CHOICES {
            return Err(LoginError::Protocol("its option list changes all the time"));
        }
        self.settings.options =
            OptionList::from_wire(list).ok_or(LoginError::Protocol("a malformed option list"))?;
        self.option = choose(&self.settings)?;
        self.answer = Answer::default();
        flight.send(&mut self, entropy, out)?;
        Ok(self.goes_on(flight))
    }

    /// More of the site's answer is to come.
    fn goes_on(self, flight: Flight) -> ClientStep {
        ClientStep::NeedMore(ClientLoginAttempt(State::Answer(self, flight)))
    }

    /// Appends a command to the flight.
    pub(super) fn say(
        &mut self,
        out: &mut Vec<u8>,
        command: Command,
        value: Value<'_>,
    ) -> Result<(), LoginError> {
        client_says(&mut self.transcript, out, command, value).map_err(|_| UNFIT)
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

    /// That the other end signed what it said, with the site key that was pinned.
    pub(super) fn site_proved(
        &self,
        said: &[u8; 32],
        signature: &[u8],
    ) -> Result<SiteProof, LoginError> {
        let signature = Signature(signature.try_into().map_err(|_| LoginError::WrongSite)?);
        SiteProof::by_signature(&self.settings.site, said, &signature).ok_or(LoginError::WrongSite)
    }
}

impl Flight {
    fn send(
        &mut self,
        dialog: &mut Dialog,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let choice = Choice {
            list: dialog.settings.options.id(),
            option: dialog.option,
        };
        dialog.say(out, c::OPTION_CHOICE, Value::Bytes(&choice.to_wire()))?;
        match self {
            Self::Person(flight) => flight.send(dialog, entropy, out),
            Self::Service(flight) => flight.send(dialog, entropy, out),
            Self::Resume(flight) => flight.send(dialog, entropy, out),
        }
    }

    /// What an ERROR in the clear means. It is unauthenticated: it may end a login, never open one.
    fn refused_with(&self, code: u8) -> LoginError {
        match (WireError::from_wire(code), self) {
            // A site that holds the key refuses a service inside the session.
            (Some(WireError::NotAuthenticated), Self::Service(_)) => LoginError::WrongSite,
            (Some(error), _) => refused(error),
            (None, _) => UNKNOWN,
        }
    }
}

impl Opening {
    /// The site's first packet is to come.
    fn awaits_welcome(self) -> ClientStep {
        ClientStep::NeedMore(self.into())
    }

    /// Reads the site's first packet.
    fn receive(mut self: Box<Self>, input: &mut [u8]) -> Result<(ClientStep, usize), LoginError> {
        // A site that could not verify the proof, or has no time to, has no keys to say it with.
        if let Some(error) = refused_in_the_clear(input) {
            return Err(error);
        }
        let read = self
            .link
            .receive_welcome(input)
            .map_err(|_| LoginError::Protocol("its first packet does not open"))?;
        match read {
            None => {
                let attempt = ClientLoginAttempt(State::Welcome(self));
                Ok((ClientStep::NeedMore(attempt), 0))
            }
            Some((FirstPacket::Refusal(error), _)) => Err(refused(error)),
            Some((FirstPacket::Welcome(welcome), used)) => {
                let resumption = Resumption {
                    session: welcome.session,
                    ..self.resumption
                };
                let logged_in = LoggedIn {
                    session: ClientSession::new(self.link, &welcome, &self.settings),
                    welcome,
                    identity: self.identity,
                    delivered: self.delivered,
                    resumption,
                };
                Ok((ClientStep::LoggedIn(logged_in), used))
            }
        }
    }
}

impl From<Opening> for ClientLoginAttempt {
    fn from(opening: Opening) -> Self {
        Self(State::Welcome(Box::new(opening)))
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
pub(super) const UNFIT: LoginError = LoginError::Protocol("a value that does not fit its command");

fn set(field: &mut Option<Vec<u8>>, value: &[u8]) -> Result<(), LoginError> {
    match field.replace(value.to_vec()) {
        None => Ok(()),
        Some(_) => Err(LoginError::Protocol("an answer given twice")),
    }
}

fn choose(settings: &ClientSettings) -> Result<EncryptionOption, LoginError> {
    let found = choice(&settings.accepted, settings.own_order, &settings.options);
    found.ok_or_else(|| {
        let offered = settings.options.ranked().iter();
        let names: Vec<&str> = offered.map(|option| option.name()).collect();
        LoginError::NoCommonOption(names.join(", "))
    })
}

//! A login attempt of any kind of account: sends a flight and reads the site's response.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::sign::Signature;

use crate::name::AccountName;
use crate::risp::{Command, Value};
use crate::session::command as c;
use crate::session::flight::{self, ClearCommand, put_as_client};
use crate::session::limits::{
    MAX_MAX_PACKET, MIN_MAX_PACKET, STALE_CHOICES, UNAUTHENTICATED_BYTES,
};
use crate::session::link::{FirstPacket, Link};
use crate::session::option::{Choice, EncryptionOption, OptionList};
use crate::session::proof::SiteProof;
use crate::session::refusal::{LoginError, WireError};
use crate::session::transcript::Transcript;
use crate::site_identity::{KnownSite, WalkStep};

use super::native::Native;
use super::person::{PersonFlight, Stretch};
use super::resume::{ResumeFlight, Resumption};
use super::service::ServiceFlight;
use super::session::{ClientSession, LoggedIn};
use super::{ClientSettings, choice};

/// A login, or the resumption of a session, in progress.
pub struct ClientLoginAttempt(State);

#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
enum State {
    /// The flight was sent; the response is pending.
    Answer(Dialog, Flight),
    /// Both ends have the session's keys; the site's first packet is pending.
    Welcome(Box<Opening>),
}

/// The state that all kinds of login share.
pub(super) struct Dialog {
    pub(super) settings: ClientSettings,
    pub(super) transcript: Transcript,
    pub(super) option: EncryptionOption,
    pub(super) answer: Answer,
    /// What the site's key events in its answer say.
    site: Option<KnownSite>,
    restarts: u32,
}

/// The fields of the site's response so far.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) session_key: Option<Vec<u8>>,
    pub(super) max_packet: Option<u32>,
    pub(super) kem_ciphertext: Option<Vec<u8>>,
}

/// The kind of login, and its state until the response is complete.
enum Flight {
    Person(Box<PersonFlight>),
    Service(Native, Box<ServiceFlight>),
    Resume(Box<ResumeFlight>),
}

/// A session whose welcome is pending.
pub(super) struct Opening {
    pub(super) settings: ClientSettings,
    pub(super) site: KnownSite,
    pub(super) link: Link,
    pub(super) identity: Option<Box<Identity>>,
    /// What the site delivered with the option `delivered-key`.
    pub(super) delivered: Option<Box<DeliveredKey>>,
    pub(super) resumption: Resumption,
}

/// What a login attempt needs next.
pub enum ClientStep {
    /// More bytes from the site.
    NeedMore(ClientLoginAttempt),
    /// The key stretching function on the pass phrase: a fraction of a second of work and 64 MiB of
    /// memory.
    Stretch(Stretch),
    /// Another connection. The site has more key events than its answer had room for, or a service
    /// used a key that the site has replaced. Follow the walk to its end, then log in with
    /// [`ClientSettings::known`]. This step is unauthenticated: take it once for each login.
    Reconnect(Box<WalkStep>),
    /// Nothing: the session is open.
    LoggedIn(LoggedIn),
}

impl ClientLoginAttempt {
    /// Starts a person's login and appends the first flight to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] if the flight cannot be encoded.
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

    /// Starts a service's login and appends the first flight to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] if the flight cannot be encoded, and in WebAssembly.
    pub fn service(
        settings: ClientSettings,
        identity: std::sync::Arc<Identity>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, LoginError> {
        let flight = Flight::Service(Native::new()?, Box::new(ServiceFlight::new(identity)));
        Self::start(settings, flight, entropy, out)
    }

    /// Starts to resume a session whose connection was lost, and appends the first flight to `out`.
    ///
    /// # Errors
    /// [`LoginError::Protocol`] if the flight cannot be encoded.
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
        if settings.max_packet < MIN_MAX_PACKET {
            return Err(LoginError::PacketsTooSmall);
        }
        let chosen = choose(&settings);
        let mut dialog = Dialog {
            settings,
            transcript: Transcript::default(),
            option: chosen.clone().unwrap_or(EncryptionOption::HybridAes256Gcm),
            answer: Answer::default(),
            site: None,
            restarts: 0,
        };
        match chosen {
            Ok(_) => flight.send(&mut dialog, entropy, out)?,
            // The cached option list contains no acceptable option; the site's current list may.
            Err(_) => dialog.send(out, c::OPTIONS_REQUEST, Value::Nothing)?,
        }
        Ok(Self(State::Answer(dialog, flight)))
    }

    /// Processes received bytes. Returns the next step and how many bytes of `input` were used;
    /// pass the rest again, together with the bytes that follow.
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
                return Ok((dialog.need_more(flight), used));
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
    /// Processes a command of the site's response.
    fn receive(
        mut self,
        flight: Flight,
        clear: &ClearCommand<'_>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ClientStep, LoginError> {
        match (clear.command, clear.value) {
            (c::ERROR, Value::U8(code)) => return Err(flight.error_for_code(code)),
            (c::KEY_EVENTS, Value::Bytes(page)) => {
                self.transcript.server_sent(clear.wire);
                return self.follow(flight, page);
            }
            (c::SITE_PROOF, Value::Bytes(signature)) => {
                let transcript_digest = self.transcript.digest("site proof");
                self.transcript.server_sent(clear.wire);
                return match flight {
                    Flight::Person(flight) => {
                        Stretch::new(self, *flight, &transcript_digest, signature)
                            .map(ClientStep::Stretch)
                    }
                    Flight::Service(_, flight) => {
                        let opening = flight.prove(self, &transcript_digest, signature, out)?;
                        Ok(opening.await_welcome())
                    }
                    Flight::Resume(flight) => {
                        let opening = flight.finish(self, &transcript_digest, signature)?;
                        Ok(opening.await_welcome())
                    }
                };
            }
            (c::SESSION_KEY, Value::Bytes(message)) => match flight {
                Flight::Service(_, flight) if self.option != EncryptionOption::DeliveredKey => {
                    // The psk covers the transcript before this command.
                    let transcript = self.transcript.clone();
                    self.transcript.server_sent(clear.wire);
                    let opening = flight.finish(self, &transcript, message, out)?;
                    return Ok(opening.await_welcome());
                }
                flight => {
                    set(&mut self.answer.session_key, message)?;
                    self.transcript.server_sent(clear.wire);
                    return Ok(self.need_more(flight));
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
        Ok(self.need_more(flight))
    }

    /// Follows the key events that the site sends before the rest of its answer.
    fn follow(mut self, flight: Flight, page: &[u8]) -> Result<ClientStep, LoginError> {
        if self.site.is_some() {
            return Err(GIVEN_TWICE);
        }
        let known = match self.settings.walk().receive(page)? {
            WalkStep::Done(known) => known,
            more => return Ok(ClientStep::Reconnect(Box::new(more))),
        };
        // A service encrypted its flight to the key that it knew.
        let is_sealed = matches!(flight, Flight::Service(..))
            && self.option != EncryptionOption::DeliveredKey
            && known.keys() != self.settings.expected_keys();
        if is_sealed {
            return Ok(ClientStep::Reconnect(Box::new(WalkStep::Done(known))));
        }
        self.site = Some(known);
        Ok(self.need_more(flight))
    }

    /// What is known of the site after its answer.
    pub(super) fn site(&self) -> Result<KnownSite, LoginError> {
        let missing = LoginError::Protocol("an answer without KEY-EVENTS");
        self.site.ok_or(missing)
    }

    /// The cached option list is stale: choose from the new list and send the flight again.
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
        self.site = None;
        flight.send(&mut self, entropy, out)?;
        Ok(self.need_more(flight))
    }

    /// The response is not complete yet.
    fn need_more(self, flight: Flight) -> ClientStep {
        ClientStep::NeedMore(ClientLoginAttempt(State::Answer(self, flight)))
    }

    /// Appends a command to the flight.
    pub(super) fn send(
        &mut self,
        out: &mut Vec<u8>,
        command: Command,
        value: Value<'_>,
    ) -> Result<(), LoginError> {
        put_as_client(&mut self.transcript, out, command, value).map_err(|_| WRONG_VALUE_TYPE)
    }

    /// The packet limit in the site's response, if it is within this client's bounds.
    pub(super) fn agreed_max_packet(&self) -> Result<u32, LoginError> {
        let greatest = self.settings.max_packet.min(MAX_MAX_PACKET);
        self.answer
            .max_packet
            .filter(|bytes| (MIN_MAX_PACKET..=greatest).contains(bytes))
            .ok_or(LoginError::Protocol(
                "MAX-PACKET is missing or out of bounds",
            ))
    }

    /// Verifies that the site signed the transcript with the key of its newest key event.
    pub(super) fn verify_site_proof(
        &self,
        transcript_digest: &[u8; 32],
        signature: &[u8],
    ) -> Result<SiteProof, LoginError> {
        let signature = Signature(signature.try_into().map_err(|_| LoginError::WrongSite)?);
        SiteProof::by_signature(self.site()?.keys(), transcript_digest, &signature)
            .ok_or(LoginError::WrongSite)
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
        dialog.send(out, c::OPTION_CHOICE, Value::Bytes(&choice.to_wire()))?;
        let wanted = dialog.settings.walk().wanted();
        dialog.send(out, c::KEY_EVENTS_REQUEST, Value::U64(wanted))?;
        match self {
            Self::Person(flight) => flight.send(dialog, entropy, out),
            Self::Service(_, flight) => flight.send(dialog, entropy, out),
            Self::Resume(flight) => flight.send(dialog, entropy, out),
        }
    }

    /// The meaning of a plaintext ERROR. It is unauthenticated: it may end a login and nothing
    /// else.
    fn error_for_code(&self, code: u8) -> LoginError {
        match (WireError::from_wire(code), self) {
            // A site that holds the site key refuses a service inside the session.
            (Some(WireError::NotAuthenticated), Self::Service(..)) => LoginError::WrongSite,
            (Some(error), _) => refused(error),
            (None, _) => UNKNOWN_ERROR,
        }
    }
}

impl Opening {
    /// The site's first packet is pending.
    fn await_welcome(self) -> ClientStep {
        ClientStep::NeedMore(self.into())
    }

    /// Reads the site's first packet.
    fn receive(mut self: Box<Self>, input: &mut [u8]) -> Result<(ClientStep, usize), LoginError> {
        // A site that could not verify the proof has no keys to encrypt its refusal with.
        if let Some(error) = plaintext_error(input) {
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
                    site: self.site,
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

/// The error for an ERROR code.
fn refused(error: WireError) -> LoginError {
    match error {
        WireError::Sealed => LoginError::Sealed,
        WireError::Busy => LoginError::Busy,
        WireError::Lockdown => LoginError::Lockdown,
        WireError::OtherSite => LoginError::WrongSite,
        WireError::NotAuthenticated => LoginError::NotAuthenticated,
        error => LoginError::Ended(error),
    }
}

/// A plaintext ERROR in the place of a packet.
fn plaintext_error(input: &[u8]) -> Option<LoginError> {
    let clear = flight::next(input).ok().flatten()?;
    match (clear.command, clear.value) {
        (c::ERROR, Value::U8(code)) => Some(error_in_the_clear(code)),
        _ => None,
    }
}

pub(super) fn error_in_the_clear(code: u8) -> LoginError {
    WireError::from_wire(code).map_or(UNKNOWN_ERROR, refused)
}

const UNKNOWN_ERROR: LoginError = LoginError::Protocol("an unknown ERROR");
const GIVEN_TWICE: LoginError = LoginError::Protocol("an answer given twice");
pub(super) const WRONG_VALUE_TYPE: LoginError =
    LoginError::Protocol("a value that does not fit its command");

fn set(field: &mut Option<Vec<u8>>, value: &[u8]) -> Result<(), LoginError> {
    match field.replace(value.to_vec()) {
        None => Ok(()),
        Some(_) => Err(GIVEN_TWICE),
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

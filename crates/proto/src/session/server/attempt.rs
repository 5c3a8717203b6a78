//! A login attempt: reads a client's flight up to the message that needs a look-up, and then its
//! proof.

use std::sync::Arc;

use crate::risp::Value;
use crate::session::command as c;
use crate::session::flight::{self, ClearCommand};
use crate::session::limits::{
    INVALID_COMMANDS, STALE_CHOICES, UNAUTHENTICATED_ANSWER_BYTES, UNAUTHENTICATED_BYTES,
    agreed_max_packet,
};
use crate::session::option::{Choice, EncryptionOption};
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;
use crate::site_identity::{MAX_EVENTS_ALONE, MAX_EVENTS_WITH_ANSWER};

use super::ServerSettings;
use super::authenticated::Authenticated;
use super::delivered::{AwaitingCode, FindDelivered};
use super::partial_flight::{CompleteFlight, PartialFlight, asked_max_packet};
use super::person::{AwaitingProof, FindPerson};
use super::resume::FindSession;
use super::service::{AwaitingConfirmation, Confirmation, FindService};

/// An unauthenticated connection of a client that logs in or resumes a session.
pub struct ServerLoginAttempt {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) transcript: Transcript,
    awaiting: Awaiting,
    choice: Option<EncryptionOption>,
    stale_choices: u32,
    /// Whether the rest of a flight with a stale choice is ignored until the next choice.
    skipping_flight: bool,
    flight: PartialFlight,
    invalid_commands: u32,
    bytes_received: usize,
    bytes_sent: usize,
    /// Whether nothing but key events was requested.
    only_key_events: bool,
}

/// What the attempt expects from the client next.
pub(super) enum Awaiting {
    Flight,
    Proof(Box<AwaitingProof>),
    Code(Box<AwaitingCode>),
    Confirmation(Box<AwaitingConfirmation>),
}

/// What a login attempt needs next.
#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
pub enum ServerStep {
    /// More input.
    NeedMore(ServerLoginAttempt),
    /// A credential or session from the host's storage. Call its `answer`.
    LookUp(LookUp),
    /// The host's decision whether this authenticated client gets a session.
    Authenticated(Box<Authenticated>),
    /// Nothing: the output contains the refusal. Send it and close the connection.
    Refused,
}

/// What the host must look up.
pub enum LookUp {
    /// The credential of a person.
    Person(Box<FindPerson>),
    /// The credential of a service.
    Service(Box<FindService>),
    /// The certificate of a person or a service, with the option `delivered-key`.
    Delivered(Box<FindDelivered>),
    /// A session that the client wants to resume.
    Session(Box<FindSession>),
}

impl ServerLoginAttempt {
    /// Starts an attempt on a new connection.
    #[must_use]
    pub fn new(settings: Arc<ServerSettings>) -> Self {
        Self {
            settings,
            transcript: Transcript::default(),
            awaiting: Awaiting::Flight,
            choice: None,
            stale_choices: 0,
            skipping_flight: false,
            flight: PartialFlight::default(),
            invalid_commands: 0,
            bytes_received: 0,
            bytes_sent: 0,
            only_key_events: false,
        }
    }

    /// Whether the client has requested key events and nothing else.
    #[must_use]
    pub fn only_key_events(&self) -> bool {
        self.only_key_events
    }

    /// The number of unexpected commands so far.
    #[must_use]
    pub fn invalid_commands(&self) -> u32 {
        self.invalid_commands
    }

    /// Processes received bytes. Returns the next step and how many bytes of `input` were used;
    /// pass the rest again, together with the bytes that follow. Responses are appended to `out`.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the connection. [`SessionRefusal::wire`] is the code for the
    /// client.
    pub fn receive(
        mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(ServerStep, usize), SessionRefusal> {
        let mut used = 0;
        loop {
            if let Awaiting::Confirmation(awaiting) = self.awaiting {
                let rest = input.get_mut(used..).unwrap_or_default();
                let unread = rest.len();
                return match awaiting.receive(rest, out)? {
                    Confirmation::Confirmed(authenticated, bytes) => {
                        Ok((ServerStep::Authenticated(authenticated), used + bytes))
                    }
                    Confirmation::Refused(bytes) => Ok((ServerStep::Refused, used + bytes)),
                    Confirmation::Incomplete(awaiting) => {
                        // The client is unauthenticated, so the buffer stays small even while a
                        // packet is incomplete.
                        if self.bytes_received + unread > UNAUTHENTICATED_BYTES {
                            return Err(SessionRefusal::TooManyUnauthenticated);
                        }
                        self.awaiting = Awaiting::Confirmation(awaiting);
                        Ok((ServerStep::NeedMore(self), used))
                    }
                };
            }
            let rest = input.get(used..).unwrap_or_default();
            if self.bytes_received + rest.len() > UNAUTHENTICATED_BYTES {
                return Err(SessionRefusal::TooManyUnauthenticated);
            }
            let Some(clear) = flight::next(rest)? else {
                return Ok((ServerStep::NeedMore(self), used));
            };
            used += clear.wire.len();
            self.bytes_received += clear.wire.len();
            match self.command(&clear, out)? {
                ServerStep::NeedMore(login) => self = login,
                step => return Ok((step, used)),
            }
        }
    }

    fn command(
        mut self,
        clear: &ClearCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ServerStep, SessionRefusal> {
        self.only_key_events = false;
        let at_start = self.is_at_start();
        match (&mut self.awaiting, clear.command, clear.value) {
            (_, c::NOP, _) => {}
            (Awaiting::Proof(_) | Awaiting::Code(_), c::SESSION_PROOF, Value::Bytes(proof)) => {
                return self.verify(proof, clear.wire);
            }
            // MAX-PACKET after the flight applies to the packets that follow.
            (Awaiting::Proof(awaiting), c::MAX_PACKET, Value::U32(bytes)) => {
                awaiting.lower_max_packet(asked_max_packet(bytes)?);
            }
            (Awaiting::Code(awaiting), c::MAX_PACKET, Value::U32(bytes)) => {
                awaiting.lower_max_packet(asked_max_packet(bytes)?);
            }
            // Before a choice of option it is answered at once; in a flight, with the answer.
            (Awaiting::Flight, c::KEY_EVENTS_REQUEST, Value::U64(first)) if at_start => {
                self.transcript.client_sent(clear.wire);
                self.only_key_events = self.bytes_received == clear.wire.len();
                self.give_key_events(first, MAX_EVENTS_ALONE, out)?;
                return Ok(ServerStep::NeedMore(self));
            }
            (Awaiting::Flight, c::OPTIONS_REQUEST, _) => {
                self.transcript.client_sent(clear.wire);
                self.offer_options(out)?;
                return Ok(ServerStep::NeedMore(self));
            }
            (Awaiting::Flight, c::OPTION_CHOICE, Value::Bytes(choice)) => {
                self.transcript.client_sent(clear.wire);
                return self.choose(choice, out)?.look_up_if_complete(out);
            }
            (Awaiting::Flight, command, value) if PartialFlight::is_flight_command(command) => {
                if !self.skipping_flight {
                    if !PartialFlight::fits(command, self.choice) {
                        return self.ignore_unexpected(clear);
                    }
                    self.flight.take(command, value, &self.transcript)?;
                }
                self.transcript.client_sent(clear.wire);
                return self.look_up_if_complete(out);
            }
            _ => return self.ignore_unexpected(clear),
        }
        self.transcript.client_sent(clear.wire);
        Ok(ServerStep::NeedMore(self))
    }

    fn verify(mut self, proof: &[u8], wire: &[u8]) -> Result<ServerStep, SessionRefusal> {
        let transcript = &mut self.transcript;
        let verified = match self.awaiting {
            Awaiting::Proof(awaiting) => {
                transcript.client_sent(wire);
                awaiting.verify(proof, transcript)
            }
            Awaiting::Code(awaiting) => awaiting.verify(proof, wire, transcript),
            Awaiting::Flight | Awaiting::Confirmation(_) => Err(SessionRefusal::NotAuthenticated),
        };
        verified.map(|authenticated| ServerStep::Authenticated(Box::new(authenticated)))
    }

    /// Returns the look-up once the flight is complete.
    fn look_up_if_complete(mut self, out: &mut Vec<u8>) -> Result<ServerStep, SessionRefusal> {
        let Some(option) = self.choice else {
            return Ok(ServerStep::NeedMore(self));
        };
        let Some(whole) = self.flight.complete(option, &self.settings.zone) else {
            return Ok(ServerStep::NeedMore(self));
        };
        let look_up = match whole {
            CompleteFlight::Person(name, start) => LookUp::Person(Box::new(FindPerson {
                login: self,
                name,
                option,
                start: start.message,
                context: start.transcript_digest,
            })),
            CompleteFlight::Service(start) => {
                let find =
                    FindService::read(self, option, &start.transcript_digest, &start.message, out)?;
                LookUp::Service(Box::new(find))
            }
            CompleteFlight::Resume(start) => {
                let find = FindSession::read(self, option, start.transcript_digest, start.message)?;
                LookUp::Session(Box::new(find))
            }
            CompleteFlight::Delivered(owner) => {
                let max_packet = self.agreed_max_packet(None);
                LookUp::Delivered(Box::new(FindDelivered {
                    login: self,
                    owner,
                    max_packet,
                }))
            }
        };
        Ok(ServerStep::LookUp(look_up))
    }

    /// Counts and ignores an unexpected command.
    fn ignore_unexpected(mut self, clear: &ClearCommand<'_>) -> Result<ServerStep, SessionRefusal> {
        self.transcript.client_sent(clear.wire);
        self.count_invalid(1)?;
        Ok(ServerStep::NeedMore(self))
    }

    fn count_invalid(&mut self, commands: u32) -> Result<(), SessionRefusal> {
        self.invalid_commands += commands;
        match self.invalid_commands > INVALID_COMMANDS {
            true => Err(SessionRefusal::TooManyInvalid),
            false => Ok(()),
        }
    }

    fn choose(mut self, choice: &[u8], out: &mut Vec<u8>) -> Result<Self, SessionRefusal> {
        let offered = &self.settings.options;
        self.choice = Choice::from_wire(choice)
            .filter(|choice| choice.list == offered.id())
            .filter(|choice| offered.ranked().contains(&choice.option))
            .map(|choice| choice.option);
        self.skipping_flight = self.choice.is_none();
        match self.choice {
            Some(option) => {
                let meaningless = self.flight.drop_unexpected(option);
                self.count_invalid(meaningless)?;
            }
            // The choice is stale: the client sends the flight again with another choice first.
            None => {
                self.flight = PartialFlight::default();
                self.stale_choices += 1;
                if self.stale_choices > STALE_CHOICES {
                    return Err(SessionRefusal::TooManyChoices);
                }
                self.offer_options(out)?;
            }
        }
        Ok(self)
    }

    fn offer_options(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        let start = out.len();
        let list = self.settings.options.wire();
        flight::put_as_server(&mut self.transcript, out, c::OPTIONS, Value::Bytes(&list))?;
        self.count_answer(start, out)
    }

    /// Whether no option was chosen, and no flight with a stale choice is ignored.
    fn is_at_start(&self) -> bool {
        self.choice.is_none() && !self.skipping_flight
    }

    /// Puts KEY-EVENTS at the beginning of the answer to a flight that requests them. They count
    /// as its other bytes do.
    pub(super) fn answer_key_events(&mut self, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        match self.flight.key_events() {
            Some(first) => self.give_key_events(first, MAX_EVENTS_WITH_ANSWER, out),
            None => Ok(()),
        }
    }

    fn give_key_events(
        &mut self,
        first: u64,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionRefusal> {
        let start = out.len();
        let page = self.settings.key_events.page(first, most);
        let page = Value::Bytes(&page);
        flight::put_as_server(&mut self.transcript, out, c::KEY_EVENTS, page)?;
        self.count_answer(start, out)
    }

    /// The refusal of a HANDSHAKE that is not encrypted to the site's key. A client that requests
    /// key events gets them, since the site may have had that key before.
    pub(super) fn refuse_other_key(&mut self, out: &mut Vec<u8>) -> SessionRefusal {
        if self.flight.key_events().is_none() {
            return SessionRefusal::OtherSite;
        }
        match self.answer_key_events(out) {
            Ok(()) => SessionRefusal::OldSiteKey,
            Err(refusal) => refusal,
        }
    }

    /// Counts the bytes of `out` from `start` on, and removes them if they exceed the limit.
    pub(super) fn count_answer(
        &mut self,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionRefusal> {
        self.bytes_sent += out.len() - start;
        if self.bytes_sent > UNAUTHENTICATED_ANSWER_BYTES {
            out.truncate(start);
            return Err(SessionRefusal::TooManyUnauthenticated);
        }
        Ok(())
    }

    /// The agreed packet limit for the client's request.
    pub(super) fn agreed_max_packet(&self, asked: Option<u32>) -> u32 {
        let asked = asked.or(self.flight.max_packet());
        agreed_max_packet(self.settings.max_packet, asked)
    }

    /// The next state after a response was sent.
    pub(super) fn awaiting(mut self, awaiting: Awaiting) -> Self {
        self.awaiting = awaiting;
        self
    }
}

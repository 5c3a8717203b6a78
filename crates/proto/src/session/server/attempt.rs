//! A login attempt: reading a client's flight up to the message that asks for a look-up, and its proof.

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

use super::ServerSettings;
use super::authenticated::Authenticated;
use super::delivered::{AwaitingCode, FindDelivered};
use super::gathered::{Gathered, Whole, asked_max_packet};
use super::person::{AwaitingProof, FindPerson};
use super::resume::FindSession;
use super::service::{AwaitingConfirmation, Confirmation, FindService};

/// An unauthenticated connection: a login, or a client that resumes its session.
pub struct ServerLoginAttempt {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) transcript: Transcript,
    awaiting: Awaiting,
    choice: Option<EncryptionOption>,
    stale_choices: u32,
    /// Whether the rest of a flight with a stale choice is passed over, up to the next choice.
    passes_over: bool,
    gathered: Gathered,
    invalid: u32,
    read: usize,
    answered: usize,
}

/// What the client has to say next.
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
    /// More bytes.
    NeedMore(ServerLoginAttempt),
    /// What the site stores of the account or session that the client names; answer it.
    LookUp(LookUp),
    /// The host's decision: the client is authenticated.
    Authenticated(Box<Authenticated>),
    /// Nothing: what is in the output is the refusal; send it and close.
    Refused,
}

/// What a login attempt waits to have looked up.
pub enum LookUp {
    /// The credential of a person.
    Person(Box<FindPerson>),
    /// The credential of a service.
    Service(Box<FindService>),
    /// The certificate of a person or a service, for the option `delivered-key`.
    Delivered(Box<FindDelivered>),
    /// A session that the client resumes.
    Session(Box<FindSession>),
}

impl ServerLoginAttempt {
    /// A fresh connection.
    #[must_use]
    pub fn new(settings: Arc<ServerSettings>) -> Self {
        Self {
            settings,
            transcript: Transcript::default(),
            awaiting: Awaiting::Flight,
            choice: None,
            stale_choices: 0,
            passes_over: false,
            gathered: Gathered::default(),
            invalid: 0,
            read: 0,
            answered: 0,
        }
    }

    /// How many commands made no sense where they stood.
    #[must_use]
    pub fn invalid_commands(&self) -> u32 {
        self.invalid
    }

    /// Reads what arrived; says what is needed next and how many bytes of `input` were used. What was
    /// not used is given again, with what follows it. Answers are appended to `out`.
    ///
    /// # Errors
    /// A [`SessionRefusal`] ends the connection; the peer may be told [`SessionRefusal::wire`].
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
                        // Still unauthenticated: a packet that is to come is no reason to keep more.
                        if self.read + unread > UNAUTHENTICATED_BYTES {
                            return Err(SessionRefusal::TooManyUnauthenticated);
                        }
                        self.awaiting = Awaiting::Confirmation(awaiting);
                        Ok((ServerStep::NeedMore(self), used))
                    }
                };
            }
            let rest = input.get(used..).unwrap_or_default();
            if self.read + rest.len() > UNAUTHENTICATED_BYTES {
                return Err(SessionRefusal::TooManyUnauthenticated);
            }
            let Some(clear) = flight::next(rest)? else {
                return Ok((ServerStep::NeedMore(self), used));
            };
            used += clear.wire.len();
            self.read += clear.wire.len();
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
        match (&mut self.awaiting, clear.command, clear.value) {
            (_, c::NOP, _) => {}
            (Awaiting::Proof(_) | Awaiting::Code(_), c::SESSION_PROOF, Value::Bytes(proof)) => {
                return self.verify(proof, clear.wire);
            }
            // Said after the flight had ended: it holds for the packets that are to come.
            (Awaiting::Proof(awaiting), c::MAX_PACKET, Value::U32(bytes)) => {
                awaiting.lower_max_packet(asked_max_packet(bytes)?);
            }
            (Awaiting::Code(awaiting), c::MAX_PACKET, Value::U32(bytes)) => {
                awaiting.lower_max_packet(asked_max_packet(bytes)?);
            }
            (Awaiting::Flight, c::OPTIONS_REQUEST, _) => {
                self.transcript.client_sent(clear.wire);
                self.offer_options(out)?;
                return Ok(ServerStep::NeedMore(self));
            }
            (Awaiting::Flight, c::OPTION_CHOICE, Value::Bytes(choice)) => {
                self.transcript.client_sent(clear.wire);
                return self.choose(choice, out)?.answer_if_whole();
            }
            (Awaiting::Flight, command, value) if Gathered::knows(command) => {
                if !self.passes_over {
                    if !Gathered::fits(command, self.choice) {
                        return self.invalid(clear);
                    }
                    self.gathered.take(command, value, &self.transcript)?;
                }
                self.transcript.client_sent(clear.wire);
                return self.answer_if_whole();
            }
            _ => return self.invalid(clear),
        }
        self.transcript.client_sent(clear.wire);
        Ok(ServerStep::NeedMore(self))
    }

    fn verify(mut self, proof: &[u8], wire: &[u8]) -> Result<ServerStep, SessionRefusal> {
        let said = &mut self.transcript;
        let verified = match self.awaiting {
            Awaiting::Proof(awaiting) => {
                said.client_sent(wire);
                awaiting.verify(proof, said)
            }
            Awaiting::Code(awaiting) => awaiting.verify(proof, wire, said),
            Awaiting::Flight | Awaiting::Confirmation(_) => Err(SessionRefusal::NotAuthenticated),
        };
        verified.map(|authenticated| ServerStep::Authenticated(Box::new(authenticated)))
    }

    /// Goes on to the look-up when the flight has said all that it must.
    fn answer_if_whole(mut self) -> Result<ServerStep, SessionRefusal> {
        let Some(option) = self.choice else {
            return Ok(ServerStep::NeedMore(self));
        };
        let Some(whole) = self.gathered.whole(option, &self.settings.zone) else {
            return Ok(ServerStep::NeedMore(self));
        };
        let look_up = match whole {
            Whole::Person(name, start) => LookUp::Person(Box::new(FindPerson {
                login: self,
                name,
                option,
                start: start.message,
                context: start.said,
            })),
            Whole::Service(start) => {
                let find = FindService::read(self, option, &start.said, &start.message)?;
                LookUp::Service(Box::new(find))
            }
            Whole::Resume(start) => {
                let find = FindSession::read(self, option, start.said, start.message)?;
                LookUp::Session(Box::new(find))
            }
            Whole::Delivered(owner) => {
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

    /// Counts a command that means nothing here, and passes it over.
    fn invalid(mut self, clear: &ClearCommand<'_>) -> Result<ServerStep, SessionRefusal> {
        self.transcript.client_sent(clear.wire);
        self.count_invalid(1)?;
        Ok(ServerStep::NeedMore(self))
    }

    fn count_invalid(&mut self, commands: u32) -> Result<(), SessionRefusal> {
        self.invalid += commands;
        match self.invalid > INVALID_COMMANDS {
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
        self.passes_over = self.choice.is_none();
        match self.choice {
            Some(option) => {
                let meaningless = self.gathered.drop_what_does_not_fit(option);
                self.count_invalid(meaningless)?;
            }
            // The client sends the flight again, with another choice first.
            None => {
                self.gathered = Gathered::default();
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
        flight::server_says(&mut self.transcript, out, c::OPTIONS, Value::Bytes(&list))?;
        self.count_answer(start, out)
    }

    /// Counts what was appended to `out` after `start`. It is taken back when it is too much.
    pub(super) fn count_answer(
        &mut self,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SessionRefusal> {
        self.answered += out.len() - start;
        if self.answered > UNAUTHENTICATED_ANSWER_BYTES {
            out.truncate(start);
            return Err(SessionRefusal::TooManyUnauthenticated);
        }
        Ok(())
    }

    /// The packet limit that both ends keep, given what the client asked for.
    pub(super) fn agreed_max_packet(&self, asked: Option<u32>) -> u32 {
        let asked = asked.or(self.gathered.max_packet());
        agreed_max_packet(self.settings.max_packet, asked)
    }

    /// The client was answered, and has to go on with this.
    pub(super) fn then(mut self, awaiting: Awaiting) -> Self {
        self.awaiting = awaiting;
        self
    }
}

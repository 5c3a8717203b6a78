//! Reading a client's flight up to the message that asks for a look-up, and its proof.

use std::sync::Arc;

use countersign_crypto::certificate::Thumbprint;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::delivered::NONCE;
use crate::session::flight::{self, ClearCommand};
use crate::session::limits::{
    INVALID_COMMANDS, STALE_CHOICES, UNPROVED_ANSWER_BYTES, UNPROVED_BYTES, agreed_max_packet,
};
use crate::session::option::{Choice, EncryptionOption};
use crate::session::refusal::Refusal;
use crate::session::transcript::Transcript;

use super::Settings;
use super::delivered::{AwaitingCode, FindDelivered, Owner};
use super::person::{AwaitingProof, FindPerson};
use super::proved::Proved;
use super::resume::FindSession;
use super::service::{AwaitingConfirmation, FindService};

/// A connection that nobody is proved on yet.
pub struct Login {
    pub(super) settings: Arc<Settings>,
    pub(super) transcript: Transcript,
    awaiting: Awaiting,
    choice: Option<EncryptionOption>,
    stale_choices: u32,
    max_packet: Option<u32>,
    name: Option<AccountName>,
    thumbprint: Option<Thumbprint>,
    /// Whether the flight is unlike every other one.
    fresh: bool,
    invalid: u32,
    read: usize,
    answered: usize,
}

enum Awaiting {
    Flight,
    Proof(Box<AwaitingProof>),
    Code(Box<AwaitingCode>),
    Confirmation(Box<AwaitingConfirmation>),
}

/// What a login needs next.
#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
pub enum Step {
    /// More bytes.
    NeedMore(Login),
    /// The credential of a person.
    FindPerson(Box<FindPerson>),
    /// The credential of a service.
    FindService(Box<FindService>),
    /// The certificate of a person or a service, for the option `delivered-key`.
    FindDelivered(Box<FindDelivered>),
    /// What is known of a session that the client returns to.
    FindSession(Box<FindSession>),
    /// Nothing: somebody is proved.
    Proved(Box<Proved>),
    /// Nothing: what is in the output is the refusal; send it and close.
    Refused,
}

impl Login {
    /// A fresh connection.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            transcript: Transcript::default(),
            awaiting: Awaiting::Flight,
            choice: None,
            stale_choices: 0,
            max_packet: None,
            name: None,
            thumbprint: None,
            fresh: false,
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
    /// A [`Refusal`] ends the connection; the peer may be told [`Refusal::wire`].
    pub fn receive(
        mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(Step, usize), Refusal> {
        let mut used = 0;
        loop {
            if let Awaiting::Confirmation(awaiting) = self.awaiting {
                let rest = input.get_mut(used..).unwrap_or_default();
                let unread = rest.len();
                return match awaiting.receive(rest, out)? {
                    Ok((step, bytes)) => Ok((step, used + bytes)),
                    Err(waiting) => {
                        // Nobody is proved yet: a packet that is to come is no reason to keep more.
                        if self.read + unread > UNPROVED_BYTES {
                            return Err(Refusal::TooMuchUnproved);
                        }
                        self.awaiting = Awaiting::Confirmation(waiting);
                        Ok((Step::NeedMore(self), used))
                    }
                };
            }
            let rest = input.get(used..).unwrap_or_default();
            if self.read + rest.len() > UNPROVED_BYTES {
                return Err(Refusal::TooMuchUnproved);
            }
            let Some(clear) = flight::next(rest)? else {
                return Ok((Step::NeedMore(self), used));
            };
            used += clear.wire.len();
            self.read += clear.wire.len();
            match self.command(&clear, out)? {
                Step::NeedMore(login) => self = login,
                step => return Ok((step, used)),
            }
        }
    }

    fn command(mut self, clear: &ClearCommand<'_>, out: &mut Vec<u8>) -> Result<Step, Refusal> {
        match (clear.command, clear.value, self.choice) {
            (c::SESSION_PROOF, Value::Bytes(proof), _) => {
                let said = &mut self.transcript;
                let proved = match self.awaiting {
                    Awaiting::Proof(awaiting) => {
                        said.client_said(clear.wire);
                        awaiting.verify(proof, said)
                    }
                    Awaiting::Code(awaiting) => awaiting.verify(proof, clear.wire, said),
                    Awaiting::Flight | Awaiting::Confirmation(_) => return self.invalid(clear),
                };
                return proved.map(|proved| Step::Proved(Box::new(proved)));
            }
            _ if matches!(self.awaiting, Awaiting::Proof(_) | Awaiting::Code(_))
                && clear.command != c::NOP =>
            {
                return self.invalid(clear);
            }
            (c::LOGIN_START | c::HANDSHAKE, _, Some(EncryptionOption::DeliveredKey)) => {
                return self.invalid(clear);
            }
            (c::MAX_PACKET, Value::U32(bytes), Some(EncryptionOption::DeliveredKey)) => {
                self.max_packet = Some(bytes);
                self.transcript.client_said(clear.wire);
                return self.delivered();
            }
            (c::NONCE, Value::Bytes(nonce), Some(EncryptionOption::DeliveredKey)) => {
                self.fresh = nonce.len() == NONCE;
            }
            (c::CERTIFICATE_ID, Value::Bytes(id), Some(EncryptionOption::DeliveredKey)) => {
                let id = id
                    .try_into()
                    .map_err(|_| Refusal::BadLogin("CERTIFICATE-ID is no thumbprint"))?;
                self.thumbprint = Some(Thumbprint(id));
            }
            (c::LOGIN_START, Value::Bytes(start), Some(option)) => {
                return self.person(start, option, clear.wire);
            }
            (c::HANDSHAKE, Value::Bytes(message), Some(option)) => {
                let prologue = self.transcript.digest("machine prologue");
                self.transcript.client_said(clear.wire);
                return FindService::read(self, option, &prologue, message)
                    .map(|find| Step::FindService(Box::new(find)));
            }
            (c::RESUME, Value::Bytes(value), Some(option)) => {
                let said = self.transcript.digest("resume");
                self.transcript.client_said(clear.wire);
                return FindSession::read(self, option, said, value)
                    .map(|find| Step::FindSession(Box::new(find)));
            }
            // The rest of a flight that was sent with a stale choice: the client sends it again.
            (c::LOGIN_START | c::HANDSHAKE | c::RESUME | c::NONCE | c::CERTIFICATE_ID, _, None)
                if self.stale_choices > 0 => {}
            (c::NOP, ..) => {}
            (c::OPTIONS_REQUEST, ..) => {
                self.transcript.client_said(clear.wire);
                self.offer_options(out)?;
                return Ok(Step::NeedMore(self));
            }
            (c::OPTION_CHOICE, Value::Bytes(choice), _) => {
                self.transcript.client_said(clear.wire);
                return self.choose(choice, out);
            }
            (c::MAX_PACKET, Value::U32(bytes), _) => self.max_packet = Some(bytes),
            (c::USERNAME, Value::Bytes(name), _) => {
                let name = std::str::from_utf8(name)
                    .ok()
                    .and_then(|name| name.parse().ok());
                self.name = Some(name.ok_or(Refusal::BadLogin("USERNAME is no name"))?);
            }
            _ => return self.invalid(clear),
        }
        self.transcript.client_said(clear.wire);
        Ok(Step::NeedMore(self))
    }

    /// Counts a command that means nothing here, and passes it over.
    fn invalid(mut self, clear: &ClearCommand<'_>) -> Result<Step, Refusal> {
        self.transcript.client_said(clear.wire);
        self.invalid += 1;
        if self.invalid > INVALID_COMMANDS {
            return Err(Refusal::TooManyInvalid);
        }
        Ok(Step::NeedMore(self))
    }

    fn choose(mut self, choice: &[u8], out: &mut Vec<u8>) -> Result<Step, Refusal> {
        let offered = &self.settings.options;
        self.choice = Choice::from_wire(choice)
            .filter(|choice| choice.list == offered.id())
            .filter(|choice| offered.ranked().contains(&choice.option))
            .map(|choice| choice.option);
        if self.choice.is_none() {
            self.stale_choices += 1;
            if self.stale_choices > STALE_CHOICES {
                return Err(Refusal::TooManyChoices);
            }
            self.offer_options(out)?;
        }
        Ok(Step::NeedMore(self))
    }

    fn offer_options(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len();
        let list = self.settings.options.wire();
        flight::server_says(&mut self.transcript, out, c::OPTIONS, Value::Bytes(&list))?;
        self.count_answer(start, out)
    }

    /// Counts what was appended to `out` after `start`. It is taken back when it is too much.
    pub(super) fn count_answer(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.answered += out.len() - start;
        if self.answered > UNPROVED_ANSWER_BYTES {
            out.truncate(start);
            return Err(Refusal::TooMuchUnproved);
        }
        Ok(())
    }

    fn person(
        mut self,
        start: &[u8],
        option: EncryptionOption,
        wire: &[u8],
    ) -> Result<Step, Refusal> {
        let Some(name) = self.name.take() else {
            return Err(Refusal::BadLogin("LOGIN-START without USERNAME"));
        };
        let name = name.with_default_zone(&self.settings.zone);
        let context = self.transcript.digest("login context");
        self.transcript.client_said(wire);
        Ok(Step::FindPerson(Box::new(FindPerson {
            login: self,
            name,
            option,
            start: start.to_vec(),
            context,
        })))
    }

    /// With MAX-PACKET the flight of `delivered-key` ends, if it has said whose it is.
    fn delivered(mut self) -> Result<Step, Refusal> {
        let owner = match (self.name.take(), self.thumbprint.take()) {
            (Some(name), _) => Owner::Person(name.with_default_zone(&self.settings.zone)),
            (None, Some(thumbprint)) => Owner::Service(thumbprint),
            (None, None) => return Ok(Step::NeedMore(self)),
        };
        // Whoever recorded an answer could give it again, with the same keys for the client to use.
        if !self.fresh {
            return Err(Refusal::BadLogin("a login without a NONCE of 32 bytes"));
        }
        let max_packet = self.agreed_max_packet(None);
        Ok(Step::FindDelivered(Box::new(FindDelivered {
            login: self,
            owner,
            max_packet,
        })))
    }

    pub(super) fn await_code(mut self, awaiting: AwaitingCode) -> Self {
        self.awaiting = Awaiting::Code(Box::new(awaiting));
        self
    }

    /// The packet limit that both ends keep, given what the client asked for.
    pub(super) fn agreed_max_packet(&self, asked: Option<u32>) -> u32 {
        agreed_max_packet(self.settings.max_packet, asked.or(self.max_packet))
    }

    pub(super) fn await_proof(mut self, awaiting: AwaitingProof) -> Self {
        self.awaiting = Awaiting::Proof(Box::new(awaiting));
        self
    }

    pub(super) fn await_confirmation(mut self, awaiting: AwaitingConfirmation) -> Self {
        self.awaiting = Awaiting::Confirmation(Box::new(awaiting));
        self
    }
}

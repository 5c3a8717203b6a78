//! A proved login and the session that it becomes.

use countersign_crypto::certificate::Thumbprint;

use crate::operation::{Event, Operation, Outcome};
use crate::session::keys::Established;
use crate::session::limits::DEFAULT_MESSAGE_BYTES;
use crate::session::live::{Goodbye, Link, Welcome};
use crate::session::message::{Message, Reading};
use crate::session::option::EncryptionOption;
use crate::session::proof::{KeyProved, PassphraseProved};
use crate::session::refusal::{Refusal, WireError};

use super::AccountTag;

/// How the account was proved. Only a verifier can make one.
#[derive(Debug)]
pub enum HowProved {
    /// By its pass phrase.
    Passphrase(PassphraseProved),
    /// By the key of the certificate with this thumbprint.
    Key(Thumbprint, KeyProved),
}

/// An account that is proved; the host still decides whether it gets a session.
pub struct Proved {
    account: AccountTag,
    how: HowProved,
    option: EncryptionOption,
    link: Link,
    early: Vec<Message>,
}

impl Proved {
    pub(super) fn new(
        account: AccountTag,
        how: HowProved,
        option: EncryptionOption,
        established: &Established,
    ) -> Self {
        Self::over(account, how, option, Link::server(established), Vec::new())
    }

    pub(super) fn over(
        account: AccountTag,
        how: HowProved,
        option: EncryptionOption,
        link: Link,
        early: Vec<Message>,
    ) -> Self {
        Self {
            account,
            how,
            option,
            link,
            early,
        }
    }

    /// Who is proved.
    #[must_use]
    pub fn account(&self) -> AccountTag {
        self.account
    }

    /// How they were proved.
    #[must_use]
    pub fn how(&self) -> &HowProved {
        &self.how
    }

    /// The encryption option that the session uses.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.option
    }

    /// Opens the session; its first packet, with the welcome, is appended to `out`.
    ///
    /// # Errors
    /// [`Refusal::BadMessage`] when the account's name is too long to be told.
    pub fn welcome(mut self, welcome: &Welcome, out: &mut Vec<u8>) -> Result<Session, Refusal> {
        self.link.send_welcome(welcome)?;
        self.link.flush(out)?;
        Ok(Session {
            link: self.link,
            early: self.early,
            expires: welcome.expires,
        })
    }

    /// Refuses after all, for instance because the account was locked in the meantime.
    ///
    /// # Errors
    /// None in practice: a first packet always seals.
    pub fn refuse(mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.link.send_refusal(WireError::NotAuthenticated)?;
        self.link.flush(out)
    }
}

/// The server's end of a live session.
pub struct Session {
    link: Link,
    early: Vec<Message>,
    expires: u64,
}

/// What a client sends.
#[derive(Debug, PartialEq)]
pub enum FromClient {
    /// An operation to run.
    Operation(Operation),
    /// Something that is no operation; it is answered with a result, and the session goes on.
    BadOperation {
        /// The id to answer.
        id: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The client ends the session.
    Goodbye(Goodbye),
}

impl Session {
    /// When the session stops being accepted, milliseconds since 1970 UTC.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// Takes parameters of at most this many bytes, in place of 16 MiB.
    pub fn set_longest_params(&mut self, bytes: usize) {
        self.link
            .set_longest_message(bytes.min(DEFAULT_MESSAGE_BYTES), Reading::Operations);
    }

    /// Opens the packets of `input` in place and appends what they say to `got`. Returns how many bytes
    /// were used; what was not is given again, with what follows it.
    ///
    /// # Errors
    /// A [`Refusal`] ends the session: nothing that follows can be trusted.
    pub fn receive(
        &mut self,
        now: u64,
        input: &mut [u8],
        got: &mut Vec<FromClient>,
    ) -> Result<usize, Refusal> {
        if now >= self.expires {
            return Err(Refusal::Expired);
        }
        let mut messages = std::mem::take(&mut self.early);
        let used = self.link.receive(input, &mut messages)?;
        for message in messages {
            got.push(match message {
                Message::Operation(operation) => FromClient::Operation(operation),
                Message::BadOperation { id, problem } => FromClient::BadOperation { id, problem },
                Message::Goodbye(reason) => FromClient::Goodbye(Goodbye::from_wire(reason)),
                Message::Outcome(_) | Message::Event(_) => {
                    return Err(Refusal::BadMessage("a result from a client"));
                }
            });
        }
        Ok(used)
    }

    /// Queues a result.
    ///
    /// # Errors
    /// [`Refusal::Expired`] when the session's key has sealed all that it may.
    pub fn send_outcome(&mut self, outcome: &Outcome) -> Result<(), Refusal> {
        self.link.send_outcome(outcome)
    }

    /// Queues an event.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_event(&mut self, event: &Event) -> Result<(), Refusal> {
        self.link.send_event(event)
    }

    /// Queues the end of the session; send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), Refusal> {
        self.link.send_goodbye(reason)
    }

    /// Seals what is queued, as few packets as it fits, and appends them to `out`.
    ///
    /// # Errors
    /// As for [`Self::send_outcome`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.link.flush(out)
    }
}

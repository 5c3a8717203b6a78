//! The client's end of a live session.

use countersign_crypto::identity::Identity;

use crate::operation::{Event, Operation, Outcome};
use crate::session::live::{Goodbye, Link, Welcome};
use crate::session::message::{Message, Reading};
use crate::session::refusal::Refusal;

/// A login that succeeded.
pub struct LoggedIn {
    /// The open session.
    pub session: Session,
    /// What the site said first.
    pub welcome: Welcome,
    /// The person's own identity, recovered with the pass phrase; a service has its own.
    pub identity: Option<Box<Identity>>,
}

/// The client's end of a live session.
pub struct Session {
    link: Link,
}

/// What a site sends.
#[derive(Debug, PartialEq)]
pub enum FromSite {
    /// The result of an operation.
    Outcome(Outcome),
    /// Something nobody asked for.
    Event(Event),
    /// The site ends the session.
    Goodbye(Goodbye),
}

impl Session {
    pub(super) fn new(link: Link) -> Self {
        Self { link }
    }

    /// Takes results of at most this many bytes, in place of 16 MiB.
    pub fn set_longest_result(&mut self, bytes: usize) {
        self.link.set_longest_message(bytes, Reading::Results);
    }

    /// Opens the packets of `input` in place and appends what they say to `got`. Returns how many bytes
    /// were used; what was not is given again, with what follows it.
    ///
    /// # Errors
    /// A [`Refusal`] ends the session: nothing that follows can be trusted.
    pub fn receive(&mut self, input: &mut [u8], got: &mut Vec<FromSite>) -> Result<usize, Refusal> {
        let mut messages = Vec::new();
        let used = self.link.receive(input, &mut messages)?;
        for message in messages {
            got.push(match message {
                Message::Outcome(outcome) => FromSite::Outcome(outcome),
                Message::Event(event) => FromSite::Event(event),
                Message::Goodbye(reason) => FromSite::Goodbye(Goodbye::from_wire(reason)),
                Message::Operation(_) | Message::BadOperation { .. } => {
                    return Err(Refusal::BadMessage("an operation from a site"));
                }
            });
        }
        Ok(used)
    }

    /// Queues an operation. Its id is the caller's; results name it, in any order.
    ///
    /// # Errors
    /// [`Refusal::Expired`] when the session's key has sealed all that it may.
    pub fn send_operation(&mut self, operation: &Operation) -> Result<(), Refusal> {
        self.link.send_operation(operation)
    }

    /// Queues the end of the session; send nothing after it.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn send_goodbye(&mut self, reason: Goodbye) -> Result<(), Refusal> {
        self.link.send_goodbye(reason)
    }

    /// Seals what is queued, as few packets as it fits, and appends them to `out`.
    ///
    /// # Errors
    /// As for [`Self::send_operation`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.link.flush(out)
    }
}

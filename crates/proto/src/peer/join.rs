//! The joining site's side of the dialog.
//!
//! ```text
//! AwaitingAnswer::start --> the line to send
//!       |
//!       |-- receive: part of the answer ----> AwaitingAnswer
//!       |-- receive: the whole answer ------> Joined(JoinedSite)
//!       `-- closed -------------------------> Refused, or Broken: repeat with the same ticket
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::sealing::SealingError;
use countersign_crypto::site_key::{SiteKey, SitePublicKey};

use super::{
    BadJoin, BadJoinAnswer, JoinAnswer, JoinRequest, Joining, MAX_EVENTS_LINE, PeerTicket,
};
use crate::enrolment::Exporter;
use crate::enrolment::line::{LineStep, PartialLine};
use crate::site_identity::{KeyEventsError, KnownSite, SignedKeyEvent};

/// The request was sent and the answer has not arrived.
#[derive(Debug)]
pub struct AwaitingAnswer {
    line: PartialLine<MAX_EVENTS_LINE>,
    ticket: SitePublicKey,
    proven: SitePublicKey,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum AnswerStep {
    /// The answer is incomplete: read on.
    More(AwaitingAnswer),
    /// The other site is a peer: store what is known of it, and close.
    Joined(JoinedSite),
}

/// A site that was joined, which proved its newest key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedSite {
    /// The site's id and newest key event.
    pub known: KnownSite,
    /// All its key events, which are verified.
    pub events: Vec<SignedKeyEvent>,
}

/// Why the other site is no peer.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// What the joining site says of itself cannot be sent.
    #[error(transparent)]
    Request(#[from] BadJoin),
    /// The key of the ticket is no key.
    #[error("the ticket's key is no key; ask for another ticket")]
    Key(#[from] SealingError),
    /// The site closed the connection without an answer. It never says why.
    #[error(
        "the other site did not accept the ticket: it was used, revoked or expired, or that site removed or suspended this one, is in lockdown, has as many peers as it may have, or has another peer with this site's zone"
    )]
    Refused,
    /// The connection ended within the answer: repeat with the same ticket.
    #[error("the connection ended within the other site's answer; run the same command again")]
    Broken,
    /// The answer is malformed.
    #[error(transparent)]
    Answer(#[from] BadJoinAnswer),
    /// The key events of the answer do not verify, or the ticket's key is not among them.
    #[error(transparent)]
    Events(#[from] KeyEventsError),
    /// The newest key of the answer is another one than TLS has checked.
    #[error("the other site's answer names another key than it proved; do not use this ticket")]
    AnotherKey,
}

impl AwaitingAnswer {
    /// The line to send, on a connection whose TLS exporter is `exporter` and whose peer proved
    /// `proven`: the ticket's key, or the newest key that the ticket's was replaced with. `key` is
    /// the newest key of the joining site.
    ///
    /// # Errors
    /// [`JoinError::Request`] and [`JoinError::Key`].
    pub fn start(
        ticket: &PeerTicket,
        proven: SitePublicKey,
        joining: &Joining<'_>,
        key: &SiteKey,
        exporter: &Exporter,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), JoinError> {
        let token = ticket.token().clone();
        let request = JoinRequest::new(token, joining, key, &proven, exporter)?;
        let sealed = request.seal(&proven, exporter, entropy)?;
        let waiting = Self {
            line: PartialLine::default(),
            ticket: *ticket.site(),
            proven,
        };
        Ok((waiting, sealed.to_line()))
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        self.line.room()
    }

    /// Takes bytes that arrived. What follows the line is ignored.
    ///
    /// # Errors
    /// [`JoinError`]; the connection must be closed.
    pub fn receive(self, bytes: &[u8]) -> Result<AnswerStep, JoinError> {
        let Self {
            line,
            ticket,
            proven,
        } = self;
        let line = match line.receive(bytes) {
            LineStep::More(line) => {
                return Ok(AnswerStep::More(Self {
                    line,
                    ticket,
                    proven,
                }));
            }
            LineStep::TooLong => return Err(BadJoinAnswer::TooLong.into()),
            LineStep::Line(line) => line,
        };
        let answer = JoinAnswer::read(line.expose())?;
        let known = KnownSite::first_contact(&ticket, &answer.events)?;
        match *known.keys() == proven {
            true => Ok(AnswerStep::Joined(JoinedSite {
                known,
                events: answer.events,
            })),
            false => Err(JoinError::AnotherKey),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> JoinError {
        match self.line.is_empty() {
            true => JoinError::Refused,
            false => JoinError::Broken,
        }
    }
}

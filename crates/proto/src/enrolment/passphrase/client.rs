//! The person's side of setting a pass phrase with a ticket.
//!
//! ```text
//! AwaitingChallenge::start --> the request to send
//!       |-- receive: a challenge --> AwaitingConfirmation: send the record
//!       |                                 |-- receive --> Done
//!       |                                 `-- closed ---> Refused, or Broken: repeat with the same identity
//!       |-- receive: a reply ------> Done: an earlier request set the pass phrase
//!       `-- closed ----------------> Refused, or Broken
//! ```

use countersign_crypto::identity::Identity;
use countersign_crypto::secret::SecretBytes;

use super::super::line::{LineStep, PartialLine};
use super::super::{BadProof, EnrolmentTicket, Exporter, TicketKind};
use super::{
    BadAnswer, MAX_ANSWER, RegistrationAnswer, RegistrationChallenge, RegistrationReply,
    RegistrationRequest,
};
use crate::name::AccountName;
use crate::site_identity::SiteId;

/// The request was sent and the site has not answered.
#[derive(Debug)]
pub struct AwaitingChallenge {
    line: PartialLine<MAX_ANSWER>,
    site: SiteId,
}

/// The record was sent, or is to be sent, and the site has not confirmed it.
#[derive(Debug, Default)]
pub struct AwaitingConfirmation {
    line: PartialLine<MAX_ANSWER>,
}

/// The result of bytes that arrived in [`AwaitingChallenge`].
#[derive(Debug)]
pub enum ChallengeStep {
    /// The answer is incomplete: read on.
    More(AwaitingChallenge),
    /// Compute the record, send it, and pass what arrives to the second state.
    Challenge(RegistrationChallenge, AwaitingConfirmation),
    /// The pass phrase was set by an earlier request with the same identity.
    Done(RegistrationReply),
}

/// The result of bytes that arrived in [`AwaitingConfirmation`].
#[derive(Debug)]
pub enum ConfirmationStep {
    /// The answer is incomplete: read on.
    More(AwaitingConfirmation),
    /// The pass phrase is set.
    Done(RegistrationReply),
}

/// Why the pass phrase is not set, or why that is unknown.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The ticket is for something else; nothing was sent, and it can still be used for that.
    #[error(
        "this ticket is for {0}, not for a pass phrase; ask an admin for one of kind passphrase"
    )]
    WrongKind(TicketKind),
    /// The identity cannot make a proof.
    #[error(transparent)]
    Proof(#[from] BadProof),
    /// The site closed the connection without an answer. It never says why.
    #[error(
        "the site did not accept the ticket: it was used, revoked or expired, it is for the first \
         admin and the site has one, or the id is another person's; ask for a new ticket"
    )]
    Refused,
    /// The connection ended after the challenge. The pass phrase may be set: repeat with the same
    /// identity.
    #[error("the connection ended before the site confirmed the pass phrase")]
    Broken,
    /// The answer is malformed.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// The site answers with another line than the dialog has here.
    #[error(
        "the site's answer is not part of this dialog: client and site have different versions"
    )]
    Unexpected,
    /// The answer names another site than the one whose key events were verified.
    #[error("the site's answer names another site than its key events; do not use this site")]
    AnotherSite,
}

impl AwaitingChallenge {
    /// The bytes to send, on a connection whose TLS exporter is `exporter` and whose peer proved to
    /// hold the newest key of `site`, one of whose key events has the ticket's key. To repeat after
    /// a lost answer, use the same `identity`. `request` is OPAQUE's registration request.
    ///
    /// # Errors
    /// [`RegistrationError::WrongKind`].
    pub fn start(
        ticket: &EnrolmentTicket,
        id: AccountName,
        identity: &Identity,
        request: Vec<u8>,
        exporter: &Exporter,
        site: SiteId,
    ) -> Result<(Self, SecretBytes), RegistrationError> {
        match ticket.kind() {
            TicketKind::Passphrase | TicketKind::Admin => {}
            other => return Err(RegistrationError::WrongKind(other)),
        }
        let token = ticket.token().clone();
        let request = RegistrationRequest::new(token, id, identity, request, exporter)?;
        let waiting = Self {
            line: PartialLine::default(),
            site,
        };
        Ok((waiting, request.to_line()))
    }

    /// Takes bytes that arrived. What follows the line is ignored.
    ///
    /// # Errors
    /// [`RegistrationError`]; the connection must be closed.
    pub fn receive(self, bytes: &[u8]) -> Result<ChallengeStep, RegistrationError> {
        let site = self.site;
        let line = match self.line.receive(bytes) {
            LineStep::More(line) => return Ok(ChallengeStep::More(Self { line, site })),
            LineStep::TooLong => return Err(BadAnswer::TooLong.into()),
            LineStep::Line(line) => line,
        };
        match RegistrationAnswer::read(line.expose())? {
            RegistrationAnswer::Reply(reply) => Ok(ChallengeStep::Done(reply)),
            RegistrationAnswer::Challenge(challenge) if challenge.site == site => Ok(
                ChallengeStep::Challenge(challenge, AwaitingConfirmation::default()),
            ),
            RegistrationAnswer::Challenge(_) => Err(RegistrationError::AnotherSite),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> RegistrationError {
        match self.line.is_empty() {
            true => RegistrationError::Refused,
            false => RegistrationError::Broken,
        }
    }
}

impl AwaitingConfirmation {
    /// Takes bytes that arrived. What follows the line is ignored.
    ///
    /// # Errors
    /// [`RegistrationError`]; the connection must be closed.
    pub fn receive(self, bytes: &[u8]) -> Result<ConfirmationStep, RegistrationError> {
        let line = match self.line.receive(bytes) {
            LineStep::More(line) => return Ok(ConfirmationStep::More(Self { line })),
            LineStep::TooLong => return Err(BadAnswer::TooLong.into()),
            LineStep::Line(line) => line,
        };
        match RegistrationAnswer::read(line.expose())? {
            RegistrationAnswer::Reply(reply) => Ok(ConfirmationStep::Done(reply)),
            RegistrationAnswer::Challenge(_) => Err(RegistrationError::Unexpected),
        }
    }

    /// The connection ended. The site may have stored the record, whatever arrived of its answer.
    #[must_use]
    pub fn closed(self) -> RegistrationError {
        RegistrationError::Broken
    }
}

//! The device's side of the enrolment dialog.
//!
//! ```text
//! AwaitingReply::start --> the bytes to send
//!       |
//!       |-- receive: part of the answer ----> AwaitingReply
//!       |-- receive: the whole answer ------> Enrolled(Reply)
//!       `-- closed -------------------------> Refused, or Broken: repeat with the same key
//! ```

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::secret::SecretBytes;

use super::line::{LineStep, PartialLine};
use super::{
    BadReply, EnrolmentReply, EnrolmentRequest, EnrolmentTicket, Exporter, MAX_REPLY, TicketKind,
};
use crate::device::DeviceName;
use crate::name::AccountName;
use crate::site_identity::SiteId;

/// The request was sent and the answer has not arrived.
#[derive(Debug)]
pub struct AwaitingReply {
    line: PartialLine<MAX_REPLY>,
    site: SiteId,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum ReplyStep {
    /// The answer is incomplete: read on.
    More(AwaitingReply),
    /// The device is enrolled: store the key, the id and the address, and close.
    Enrolled(EnrolmentReply),
}

/// Why the device is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The ticket is for something else; nothing was sent, and it can still be used for that.
    #[error(
        "this ticket is for {0}, not for a device; ask an admin there for one with `countersign ticket issue`"
    )]
    WrongKind(TicketKind),
    /// The site closed the connection without an answer. It never says why.
    #[error(
        "the site did not accept the ticket: it was used, revoked or expired, or the id is another \
         person's; ask for a new ticket"
    )]
    Refused,
    /// The connection ended within the answer: repeat with the same ticket, id and key.
    #[error("the connection ended within the site's answer; run the same command again")]
    Broken,
    /// The answer is malformed.
    #[error(transparent)]
    Reply(#[from] BadReply),
    /// The answer names another site than the one whose key events were verified.
    #[error("the site's answer names another site than its key events; do not use this site")]
    AnotherSite,
}

impl AwaitingReply {
    /// The bytes to send, on a connection whose TLS exporter is `exporter` and whose peer proved to
    /// hold the newest key of `site`, one of whose key events has the ticket's key. To repeat after
    /// a lost answer, use the same `identity`.
    ///
    /// # Errors
    /// [`EnrolmentError::WrongKind`].
    pub fn start(
        ticket: &EnrolmentTicket,
        id: AccountName,
        device: DeviceName,
        identity: &DeviceIdentity,
        exporter: &Exporter,
        site: SiteId,
    ) -> Result<(Self, SecretBytes), EnrolmentError> {
        match ticket.kind() {
            TicketKind::Device => {}
            other => return Err(EnrolmentError::WrongKind(other)),
        }
        let request = EnrolmentRequest::new(ticket.token().clone(), id, device, identity, exporter);
        let waiting = Self {
            line: PartialLine::default(),
            site,
        };
        Ok((waiting, request.to_line()))
    }

    /// Takes bytes that arrived. What follows the line is ignored.
    ///
    /// # Errors
    /// [`EnrolmentError`]; the connection must be closed.
    pub fn receive(self, bytes: &[u8]) -> Result<ReplyStep, EnrolmentError> {
        let site = self.site;
        let line = match self.line.receive(bytes) {
            LineStep::More(line) => return Ok(ReplyStep::More(Self { line, site })),
            LineStep::TooLong => return Err(BadReply::TooLong.into()),
            LineStep::Line(line) => line,
        };
        let reply = EnrolmentReply::read(line.expose())?;
        match reply.site_id() == site {
            true => Ok(ReplyStep::Enrolled(reply)),
            false => Err(EnrolmentError::AnotherSite),
        }
    }

    /// The connection ended.
    #[must_use]
    pub fn closed(self) -> EnrolmentError {
        match self.line.is_empty() {
            true => EnrolmentError::Refused,
            false => EnrolmentError::Broken,
        }
    }
}

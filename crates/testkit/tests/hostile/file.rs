//! The format of a file, and the stages that refuse.

use countersign_proto::session::{EncryptionOption, LoginError, SessionRefusal};
use serde::{Deserialize, Serialize};

use crate::dialog::Dialog;
use crate::fault::Fault;

/// A file of the corpus: one fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// A description of the fault.
    pub(crate) what: String,
    /// The dialog with the fault.
    pub(crate) dialog: Dialog,
    /// The name of the dialog's encryption option.
    pub(crate) option: String,
    /// The fault.
    pub(crate) fault: Fault,
    /// The stage that has to refuse it.
    pub(crate) stage: Stage,
    /// The text of the refusal.
    pub(crate) refusal: String,
}

/// The stage that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// No refusal: the dialog succeeds.
    Accepted,
    /// No refusal: an end waits for bytes that do not arrive, until its timeout.
    Waits,
    /// The reader of RISP: a length exceeds the limit.
    Risp,
    /// The server, before a login begins: too many unexpected bytes or commands.
    BeforeLogin,
    /// The server: an invalid login message.
    Login,
    /// The server: its key does not open the handshake.
    Handshake,
    /// The server: the client is not authenticated.
    Proof,
    /// The client: the other end did not prove the site key.
    SiteProof,
    /// The client: an invalid reply of the site.
    Answer,
    /// Either end: a packet does not open.
    Packet,
    /// Either end: an invalid message in a packet.
    Message,
}

impl Stage {
    /// The stages that refuse.
    pub(crate) const REFUSING: [Self; 9] = [
        Self::Risp,
        Self::BeforeLogin,
        Self::Login,
        Self::Handshake,
        Self::Proof,
        Self::SiteProof,
        Self::Answer,
        Self::Packet,
        Self::Message,
    ];

    pub(crate) fn of(refusal: &SessionRefusal) -> Self {
        match refusal {
            SessionRefusal::Malformed(_) => Self::Risp,
            SessionRefusal::TooManyInvalid
            | SessionRefusal::TooManyUnauthenticated
            | SessionRefusal::TooManyChoices => Self::BeforeLogin,
            SessionRefusal::BadLogin(_) => Self::Login,
            SessionRefusal::OtherSite | SessionRefusal::OldSiteKey => Self::Handshake,
            SessionRefusal::NotAuthenticated | SessionRefusal::Expired => Self::Proof,
            SessionRefusal::BadPacket(_) => Self::Packet,
            SessionRefusal::BadMessage(_) => Self::Message,
        }
    }

    pub(crate) fn of_login(error: &LoginError) -> Self {
        match error {
            LoginError::WrongSite => Self::SiteProof,
            _ => Self::Answer,
        }
    }
}

impl File {
    pub(crate) fn option(&self) -> EncryptionOption {
        self.option.parse().unwrap()
    }

    /// Runs the dialog. Returns the stage that refused, and the text of the refusal.
    pub(crate) fn run(&self) -> (Stage, String) {
        match &self.fault {
            Fault::InsideToServer(_) | Fault::InsideToClient(_) => crate::inside::run(self),
            _ => crate::dialog::run(self),
        }
    }
}

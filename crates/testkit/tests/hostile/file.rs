//! What a file says, and who refuses what.

use countersign_proto::session::{EncryptionOption, LoginError, SessionRefusal};
use serde::{Deserialize, Serialize};

use crate::dialog::Dialog;
use crate::fault::Fault;

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What is wrong, in words.
    pub(crate) what: String,
    /// What it is done to.
    pub(crate) dialog: Dialog,
    /// The encryption option of the dialog, by its name.
    pub(crate) option: String,
    /// What is done.
    pub(crate) fault: Fault,
    /// Who must refuse it.
    pub(crate) stage: Stage,
    /// In what words.
    pub(crate) refusal: String,
}

/// The stage that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Nobody: the dialog ends as it should.
    Accepted,
    /// Nobody yet: an end waits for bytes that never come, until its time is over.
    Waits,
    /// The reader of RISP: a length over its limit.
    Risp,
    /// The server, before it knows what the client wants: too much that means nothing.
    BeforeLogin,
    /// The server, reading a login message.
    Login,
    /// The server, whose key does not open the handshake.
    Handshake,
    /// The server: nobody is proved.
    Proof,
    /// The client: the other end did not prove the site's key.
    SiteProof,
    /// The client, reading the site's answer.
    Answer,
    /// Either end, opening a packet.
    Packet,
    /// Either end, reading what a packet holds.
    Message,
}

impl Stage {
    /// Those that refuse.
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
            SessionRefusal::OtherSite => Self::Handshake,
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

    /// Does it; who refused, and in what words.
    pub(crate) fn run(&self) -> (Stage, String) {
        match &self.fault {
            Fault::InsideToServer(_) | Fault::InsideToClient(_) => crate::inside::run(self),
            _ => crate::dialog::run(self),
        }
    }
}

//! A login that was verified, before the host's decision.

use countersign_crypto::certificate::Thumbprint;

use crate::session::keys::{Established, ResumptionSecret};
use crate::session::link::Link;
use crate::session::live::{SessionId, Welcome};
use crate::session::message::Message;
use crate::session::option::EncryptionOption;
use crate::session::proof::{KeyProof, PassphraseProof, SessionProof};
use crate::session::refusal::{SessionRefusal, WireError};

use super::{AccountTag, ServerSession};

/// How the account was proved. Only a verifier can make one.
#[derive(Debug)]
pub enum AuthenticatedBy {
    /// By its pass phrase.
    Passphrase(PassphraseProof),
    /// By the key of the certificate with this thumbprint.
    Key(Thumbprint, KeyProof),
    /// By the key of the certificate with this thumbprint, which the site delivered and the pass phrase
    /// opened.
    DeliveredKey(Thumbprint, KeyProof),
    /// By what only it and the site know of the session that it resumes.
    Session(SessionId, SessionProof),
}

/// An authenticated client; the host still decides whether it gets a session.
pub struct Authenticated {
    pub(super) account: AccountTag,
    pub(super) how: AuthenticatedBy,
    pub(super) option: EncryptionOption,
    pub(super) link: Link,
    pub(super) resumption: ResumptionSecret,
    /// What came with the packet that confirmed the login.
    pub(super) early: Vec<Message>,
}

impl Authenticated {
    pub(super) fn new(account: AccountTag, how: AuthenticatedBy, established: Established) -> Self {
        Self {
            account,
            how,
            option: established.option,
            link: Link::server(&established),
            resumption: established.resumption,
            early: Vec::new(),
        }
    }

    /// The account that was verified.
    #[must_use]
    pub fn account(&self) -> AccountTag {
        self.account
    }

    /// How it was verified.
    #[must_use]
    pub fn how(&self) -> &AuthenticatedBy {
        &self.how
    }

    /// The encryption option that the session uses.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.option
    }

    /// What the client can resume this session with: keep it for as long as it may.
    #[must_use]
    pub fn resumption(&self) -> &ResumptionSecret {
        &self.resumption
    }

    /// Opens the session; its first packet, with the welcome, is appended to `out`.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] when the account's name is too long to be told.
    pub fn welcome(
        mut self,
        welcome: &Welcome,
        out: &mut Vec<u8>,
    ) -> Result<ServerSession, SessionRefusal> {
        self.link.send_welcome(welcome)?;
        self.link.flush(out)?;
        Ok(ServerSession::new(self.link, self.early, welcome.expires))
    }

    /// Refuses after all, for instance because the account was locked in the meantime.
    ///
    /// # Errors
    /// None in practice: a first packet always seals.
    pub fn refuse(mut self, error: WireError, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.send_refusal(error)?;
        self.link.flush(out)
    }
}

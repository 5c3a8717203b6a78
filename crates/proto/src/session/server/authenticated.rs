//! An authenticated login, before the host decides whether it gets a session.

use countersign_crypto::certificate::Thumbprint;

use crate::session::keys::{Established, ResumptionSecret};
use crate::session::link::Link;
use crate::session::live::{SessionId, Welcome};
use crate::session::message::Message;
use crate::session::option::EncryptionOption;
use crate::session::proof::{KeyProof, PassphraseProof, SessionProof};
use crate::session::refusal::{SessionRefusal, WireError};

use super::{AccountTag, ServerSession};

/// How the client was authenticated. Only a verifier can make a value.
#[derive(Debug)]
pub enum AuthenticatedBy {
    /// By the account's pass phrase.
    Passphrase(PassphraseProof),
    /// By the key of the certificate with this thumbprint.
    Key(Thumbprint, KeyProof),
    /// By the key of the certificate with this thumbprint, which the site delivered and the client
    /// decrypted with the pass phrase.
    DeliveredKey(Thumbprint, KeyProof),
    /// By the resumption secret of the session that it resumes.
    Session(SessionId, SessionProof),
}

/// An authenticated client. The host decides whether it gets a session.
pub struct Authenticated {
    pub(super) account: AccountTag,
    pub(super) how: AuthenticatedBy,
    pub(super) option: EncryptionOption,
    pub(super) link: Link,
    pub(super) resumption: ResumptionSecret,
    /// Messages from the packet that confirmed the login.
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

    /// The authenticated account.
    #[must_use]
    pub fn account(&self) -> AccountTag {
        self.account
    }

    /// How it was authenticated.
    #[must_use]
    pub fn how(&self) -> &AuthenticatedBy {
        &self.how
    }

    /// The encryption option that the session uses.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.option
    }

    /// The secret with which the client can resume this session. Store it as long as that is
    /// allowed.
    #[must_use]
    pub fn resumption(&self) -> &ResumptionSecret {
        &self.resumption
    }

    /// Opens the session and appends its first packet, with the welcome, to `out`.
    ///
    /// # Errors
    /// [`SessionRefusal::BadMessage`] if the account's name is too long to send.
    pub fn welcome(
        mut self,
        welcome: &Welcome,
        out: &mut Vec<u8>,
    ) -> Result<ServerSession, SessionRefusal> {
        self.link.send_welcome(welcome)?;
        self.link.flush(out)?;
        Ok(ServerSession::new(self.link, self.early, welcome.expires))
    }

    /// Refuses the session, for instance because the account was locked in the meantime.
    ///
    /// # Errors
    /// None in practice: a first packet always seals.
    pub fn refuse(mut self, error: WireError, out: &mut Vec<u8>) -> Result<(), SessionRefusal> {
        self.link.send_refusal(error)?;
        self.link.flush(out)
    }
}

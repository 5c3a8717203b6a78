//! A proved login.

use countersign_crypto::certificate::Thumbprint;

use crate::session::keys::{Established, ResumptionSecret};
use crate::session::link::Link;
use crate::session::live::{SessionId, Welcome};
use crate::session::message::Message;
use crate::session::option::EncryptionOption;
use crate::session::proof::{KeyProved, PassphraseProved, SessionProved};
use crate::session::refusal::{Refusal, WireError};

use super::{AccountTag, Session};

/// How the account was proved. Only a verifier can make one.
#[derive(Debug)]
pub enum HowProved {
    /// By its pass phrase.
    Passphrase(PassphraseProved),
    /// By the key of the certificate with this thumbprint.
    Key(Thumbprint, KeyProved),
    /// By the key of the certificate with this thumbprint, which the site delivered and the pass phrase
    /// opened.
    DeliveredKey(Thumbprint, KeyProved),
    /// By what only it and the site know of a session that it returns to.
    Session(SessionId, SessionProved),
}

/// An account that is proved; the host still decides whether it gets a session.
pub struct Proved {
    account: AccountTag,
    how: HowProved,
    option: EncryptionOption,
    link: Link,
    resumption: ResumptionSecret,
    early: Vec<Message>,
}

impl Proved {
    pub(super) fn new(
        account: AccountTag,
        how: HowProved,
        option: EncryptionOption,
        established: Established,
    ) -> Self {
        let link = Link::server(&established);
        Self::over(
            account,
            how,
            option,
            link,
            established.resumption,
            Vec::new(),
        )
    }

    pub(super) fn over(
        account: AccountTag,
        how: HowProved,
        option: EncryptionOption,
        link: Link,
        resumption: ResumptionSecret,
        early: Vec<Message>,
    ) -> Self {
        Self {
            account,
            how,
            option,
            link,
            resumption,
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

    /// What the client can return to this session with: keep it for as long as it may.
    #[must_use]
    pub fn resumption(&self) -> &ResumptionSecret {
        &self.resumption
    }

    /// Opens the session; its first packet, with the welcome, is appended to `out`.
    ///
    /// # Errors
    /// [`Refusal::BadMessage`] when the account's name is too long to be told.
    pub fn welcome(mut self, welcome: &Welcome, out: &mut Vec<u8>) -> Result<Session, Refusal> {
        self.link.send_welcome(welcome)?;
        self.link.flush(out)?;
        Ok(Session::new(self.link, self.early, welcome.expires))
    }

    /// Refuses after all, for instance because the account was locked in the meantime.
    ///
    /// # Errors
    /// None in practice: a first packet always seals.
    pub fn refuse(mut self, error: WireError, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.link.send_refusal(error)?;
        self.link.flush(out)
    }
}

//! The return of a client to its session: its proof, and the answer.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::Secret;

use crate::risp::Value;
use crate::session::command as c;
use crate::session::exchange;
use crate::session::flight::server_says;
use crate::session::keys::ResumptionSecret;
use crate::session::link::Link;
use crate::session::live::SessionId;
use crate::session::option::EncryptionOption;
use crate::session::proof::SessionProved;
use crate::session::refusal::Refusal;
use crate::session::resume::{Resume, established};

use super::proved::{HowProved, Proved};
use super::{AccountTag, Login};

/// A connection that claims to return to a session.
pub struct FindSession {
    pub(super) login: Login,
    pub(super) option: EncryptionOption,
    pub(super) resume: Vec<u8>,
    pub(super) session: SessionId,
    pub(super) attempt: u64,
    pub(super) said: [u8; 32],
}

impl FindSession {
    pub(super) fn read(
        login: Login,
        option: EncryptionOption,
        said: [u8; 32],
        value: &[u8],
    ) -> Result<Self, Refusal> {
        let Resume {
            session, attempt, ..
        } = Resume::from_wire(value)?;
        Ok(Self {
            login,
            option,
            resume: value.to_vec(),
            session,
            attempt,
            said,
        })
    }

    /// Which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Checks the client's proof. Without a secret (there is no such session, or it may not be returned
    /// to) the same work is done and refused.
    ///
    /// # Errors
    /// [`Refusal::NotAuthenticated`].
    pub fn verify(self, secret: Option<&ResumptionSecret>) -> Result<Returning, Refusal> {
        let nobodys = ResumptionSecret(Secret::from_bytes([0; 32]));
        let resume = Resume::from_wire(&self.resume)?;
        let proves = resume.proves(secret.unwrap_or(&nobodys), &self.said);
        match secret {
            Some(secret) if proves => Ok(Returning {
                secret: secret.clone(),
                find: self,
            }),
            _ => Err(Refusal::NotAuthenticated),
        }
    }
}

/// A client that proved that it is the one that had the session.
pub struct Returning {
    find: FindSession,
    secret: ResumptionSecret,
}

impl Returning {
    /// The number of this attempt: accept it only when it is above that of every earlier one, so that a
    /// repeated RESUME gets nothing.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.find.attempt
    }

    /// The encryption option that the client returns with.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.find.option
    }

    /// Answers: MAX-PACKET, SESSION-KEY, SITE-PROOF. The welcome follows in the first packet.
    ///
    /// # Errors
    /// [`Refusal::BadMessage`] when the client's key share is none, and [`Refusal::TooMuchUnproved`] when
    /// it was answered too much before.
    pub fn answer(
        self,
        account: AccountTag,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Proved, Refusal> {
        let Self { find, secret } = self;
        let FindSession {
            mut login,
            option,
            resume,
            session,
            ..
        } = find;
        let offer = Resume::from_wire(&resume)?.share;
        let (share, exchanged) = exchange::answer(option, offer, entropy)?;
        let max_packet = login.agreed_max_packet(None);
        let start = out.len();
        let said = &mut login.transcript;
        server_says(said, out, c::MAX_PACKET, Value::U32(max_packet))?;
        server_says(said, out, c::SESSION_KEY, Value::Bytes(&share))?;
        // An attacker who learned the session's secret does not have the site's key.
        let proof = login
            .settings
            .key
            .signing()
            .sign(&said.digest("site proof"));
        server_says(said, out, c::SITE_PROOF, Value::Bytes(&proof.0))?;
        login.count_answer(start, out)?;
        let transcript = login.transcript.digest("packets");
        let established = established(option, &secret, &exchanged, &transcript, max_packet);
        let how = HowProved::Session(session, SessionProved::by_resumption(&secret));
        Ok(Proved::over(
            account,
            how,
            option,
            Link::server(&established),
            secret,
            Vec::new(),
        ))
    }
}

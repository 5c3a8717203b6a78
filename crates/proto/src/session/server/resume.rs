//! A client that resumes its session: verification of its proof, and the response.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::Secret;

use crate::risp::Value;
use crate::session::command as c;
use crate::session::exchange;
use crate::session::flight::put_as_server;
use crate::session::keys::ResumptionSecret;
use crate::session::live::SessionId;
use crate::session::option::EncryptionOption;
use crate::session::proof::SessionProof;
use crate::session::refusal::SessionRefusal;
use crate::session::resume::{Resume, established};

use super::authenticated::{Authenticated, AuthenticatedBy};
use super::{AccountTag, ServerLoginAttempt};

/// A connection whose client claims to resume a session.
pub struct FindSession {
    login: ServerLoginAttempt,
    option: EncryptionOption,
    resume: Vec<u8>,
    session: SessionId,
    /// The digest of the transcript before RESUME.
    transcript_digest: [u8; 32],
}

impl FindSession {
    pub(super) fn read(
        login: ServerLoginAttempt,
        option: EncryptionOption,
        transcript_digest: [u8; 32],
        resume: Vec<u8>,
    ) -> Result<Self, SessionRefusal> {
        let session = Resume::from_wire(&resume)?.session;
        Ok(Self {
            login,
            option,
            resume,
            session,
            transcript_digest,
        })
    }

    /// The id of the session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The encryption option that the client resumes with.
    #[must_use]
    pub fn option(&self) -> EncryptionOption {
        self.option
    }

    /// Verifies the client's proof and responds with MAX-PACKET, SESSION-KEY and SITE-PROOF. The
    /// welcome follows in the first packet. Without a secret (there is no such session, or it may
    /// not be resumed) the same work is done and the result is a refusal.
    ///
    /// `claim` is called after verification, with the number of this attempt. It returns the
    /// session's account if the number is above that of every earlier attempt, so that a replayed
    /// RESUME is refused.
    ///
    /// # Errors
    /// [`SessionRefusal::NotAuthenticated`] if the proof is wrong or the claim is refused.
    /// [`SessionRefusal::BadMessage`] if the client's key share is malformed.
    /// [`SessionRefusal::TooManyUnauthenticated`] if the client already received too many bytes.
    pub fn answer(
        self,
        secret: Option<&ResumptionSecret>,
        claim: impl FnOnce(u64) -> Option<AccountTag>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Authenticated, SessionRefusal> {
        let Self {
            mut login,
            option,
            resume,
            session,
            transcript_digest,
        } = self;
        let decoy = ResumptionSecret(Secret::from_bytes([0; 32]));
        let resume = Resume::from_wire(&resume)?;
        let proves = resume.proves(secret.unwrap_or(&decoy), &transcript_digest);
        let secret = secret
            .filter(|_| proves)
            .ok_or(SessionRefusal::NotAuthenticated)?;
        let account = claim(resume.attempt).ok_or(SessionRefusal::NotAuthenticated)?;
        let (share, exchanged) = exchange::answer(option, resume.share, entropy)?;
        let max_packet = login.agreed_max_packet(None);
        login.answer_key_events(out)?;
        let start = out.len();
        let transcript = &mut login.transcript;
        put_as_server(transcript, out, c::MAX_PACKET, Value::U32(max_packet))?;
        put_as_server(transcript, out, c::SESSION_KEY, Value::Bytes(&share))?;
        // An attacker who learned the session's secret does not have the site's key.
        let key = login.settings.key.signing();
        let proof = key.sign(&transcript.digest("site proof"));
        put_as_server(transcript, out, c::SITE_PROOF, Value::Bytes(&proof.0))?;
        login.count_answer(start, out)?;
        let transcript = login.transcript.digest("packets");
        let established = established(option, secret, &exchanged, &transcript, max_packet);
        let how = AuthenticatedBy::Session(session, SessionProof::by_resumption(secret));
        Ok(Authenticated::new(account, how, established))
    }
}

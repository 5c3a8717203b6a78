//! Resumption of a session after a lost connection: one round trip, no pass phrase, fresh keys.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::Secret;

use crate::risp::Value;
use crate::session::command as c;
use crate::session::exchange::Offering;
use crate::session::keys::ResumptionSecret;
use crate::session::limits::STALE_CHOICES;
use crate::session::link::Link;
use crate::session::live::SessionId;
use crate::session::refusal::LoginError;
use crate::session::resume::{Resume, established};

use super::attempt::{Dialog, Opening, WRONG_VALUE_TYPE};

/// The length of a stored [`Resumption`], in bytes.
pub const RESUMPTION_LENGTH: usize = 16 + 8 + 32;

/// What a client needs to resume a session. It is as secret as the session.
#[derive(Debug, Clone)]
pub struct Resumption {
    pub(super) session: SessionId,
    pub(super) secret: ResumptionSecret,
    pub(super) attempts: u64,
}

impl Resumption {
    /// The resumption of a session that was just opened. The id arrives with the welcome.
    pub(super) fn first(secret: ResumptionSecret) -> Self {
        Self {
            session: SessionId([0; 16]),
            secret,
            attempts: 0,
        }
    }

    /// Advances the attempt counter. Call it after an attempt with a copy of this value. The site
    /// accepts each number once, and the attempt may have used several.
    pub fn count_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(u64::from(STALE_CHOICES) + 2);
    }

    /// The value as bytes, to be stored as secretly as the session itself, for
    /// [`Self::from_secret`]. Store it again after the session was resumed: the site accepts each
    /// attempt once.
    #[must_use]
    pub fn to_secret(&self) -> Secret<RESUMPTION_LENGTH> {
        let mut bytes = [0; RESUMPTION_LENGTH];
        let fields = [
            &self.session.0[..],
            &self.attempts.to_be_bytes(),
            self.secret.0.expose(),
        ];
        let mut rest = &mut bytes[..];
        for field in fields {
            let (to, left) = rest.split_at_mut(field.len());
            to.copy_from_slice(field);
            rest = left;
        }
        Secret::from_bytes(bytes)
    }

    /// Reads what [`Self::to_secret`] wrote.
    #[must_use]
    pub fn from_secret(stored: &Secret<RESUMPTION_LENGTH>) -> Self {
        let (mut session, mut attempts, mut secret) = ([0; 16], [0; 8], [0; 32]);
        let (first, rest) = stored.expose().split_at(session.len());
        let (second, third) = rest.split_at(attempts.len());
        session.copy_from_slice(first);
        attempts.copy_from_slice(second);
        secret.copy_from_slice(third);
        Self {
            session: SessionId(session),
            secret: ResumptionSecret(Secret::from_bytes(secret)),
            attempts: u64::from_be_bytes(attempts),
        }
    }

    /// The session that it resumes.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }
}

/// The state of a resumption between its flight and the response.
pub(super) struct ResumeFlight {
    pub(super) resumption: Resumption,
    sent: Option<Offering>,
}

impl ResumeFlight {
    pub(super) fn new(resumption: Resumption) -> Self {
        Self {
            resumption,
            sent: None,
        }
    }

    pub(super) fn send(
        &mut self,
        dialog: &mut Dialog,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let max_packet = dialog.settings.max_packet;
        dialog.send(out, c::MAX_PACKET, Value::U32(max_packet))?;
        self.resumption.attempts += 1;
        let offering = Offering::new(dialog.option, entropy);
        let resume = Resume::new(
            self.resumption.session,
            self.resumption.attempts,
            offering.share(),
            &self.resumption.secret,
            &dialog.transcript.digest("resume"),
        );
        dialog.send(out, c::RESUME, Value::Bytes(&resume.to_wire()))?;
        self.sent = Some(offering);
        Ok(())
    }

    /// Verifies the site's signature on the transcript. The site's first packet proves that the
    /// site knows the session's secret.
    pub(super) fn finish(
        self,
        mut dialog: Dialog,
        transcript_digest: &[u8; 32],
        signature: &[u8],
    ) -> Result<Opening, LoginError> {
        let _proof = dialog.verify_site_proof(transcript_digest, signature)?;
        let share = dialog.answer.session_key.take();
        let share = share.ok_or(LoginError::Protocol("an answer without SESSION-KEY"))?;
        let max_packet = dialog.agreed_max_packet()?;
        let offering = self.sent.ok_or(WRONG_VALUE_TYPE)?;
        let exchanged = offering
            .finish(&share)
            .map_err(|_| LoginError::Protocol("a key share that is none"))?;
        let established = established(
            dialog.option,
            &self.resumption.secret,
            &exchanged,
            &dialog.transcript.digest("packets"),
            max_packet,
        );
        let mut link = Link::client(&established);
        // The first packet shows the site that the client is not replaying a recording.
        link.send_nop().map_err(|_| WRONG_VALUE_TYPE)?;
        Ok(Opening {
            site: dialog.site()?,
            settings: dialog.settings,
            link,
            identity: None,
            delivered: None,
            resumption: self.resumption,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is loaded again resumes its session with what it stored.
    // SES-48
    #[test]
    fn a_stored_resumption_is_read_as_it_was() {
        let mut resumption = Resumption {
            session: SessionId([1; 16]),
            secret: ResumptionSecret(Secret::from_bytes([2; 32])),
            attempts: 3,
        };
        resumption.count_attempt();
        let read = Resumption::from_secret(&resumption.to_secret());
        assert_eq!(read.session, resumption.session);
        assert_eq!(read.attempts, resumption.attempts);
        assert_eq!(read.secret.0, resumption.secret.0);
        assert_eq!(read.to_secret(), resumption.to_secret());
    }
}

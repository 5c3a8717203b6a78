//! RESUME: the message with which a client resumes its session (`docs/protocol/session.md`,
//! Resumption).
//!
//! ```text
//! session id | attempt | proof    | key share, ML-KEM key
//! 16 bytes   | 8 bytes | 32 bytes | 32 bytes, 1,184 bytes
//! ```

use countersign_crypto::hash::Sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::keys::{Established, ResumptionSecret};
use super::live::SessionId;
use super::option::EncryptionOption;
use super::refusal::SessionRefusal;

/// The value of RESUME.
pub(crate) struct Resume<'a> {
    pub(crate) session: SessionId,
    /// A counter of attempts to resume, which the server uses to reject replays.
    pub(crate) attempt: u64,
    pub(crate) proof: Secret<32>,
    pub(crate) share: &'a [u8],
}

const BAD_FORM: SessionRefusal = SessionRefusal::BadLogin("RESUME of the wrong form");

impl<'a> Resume<'a> {
    /// Encodes RESUME. The transcript ends before it.
    pub(crate) fn new(
        session: SessionId,
        attempt: u64,
        share: &'a [u8],
        secret: &ResumptionSecret,
        transcript_digest: &[u8; 32],
    ) -> Self {
        Self {
            session,
            attempt,
            proof: proof(session, attempt, share, secret, transcript_digest),
            share,
        }
    }

    pub(crate) fn to_wire(&self) -> Vec<u8> {
        [
            &self.session.0[..],
            &self.attempt.to_be_bytes(),
            self.proof.expose(),
            self.share,
        ]
        .concat()
    }

    pub(crate) fn from_wire(value: &'a [u8]) -> Result<Self, SessionRefusal> {
        let (session, rest) = value.split_first_chunk::<16>().ok_or(BAD_FORM)?;
        let (attempt, rest) = rest.split_first_chunk::<8>().ok_or(BAD_FORM)?;
        let (proof, share) = rest.split_first_chunk::<32>().ok_or(BAD_FORM)?;
        Ok(Self {
            session: SessionId(*session),
            attempt: u64::from_be_bytes(*attempt),
            proof: Secret::from_bytes(*proof),
            share,
        })
    }

    /// Whether the proof was made with this secret.
    pub(crate) fn proves(&self, secret: &ResumptionSecret, transcript_digest: &[u8; 32]) -> bool {
        self.proof
            == proof(
                self.session,
                self.attempt,
                self.share,
                secret,
                transcript_digest,
            )
    }
}

fn proof(
    session: SessionId,
    attempt: u64,
    share: &[u8],
    secret: &ResumptionSecret,
    transcript_digest: &[u8; 32],
) -> Secret<32> {
    let mut what = Sha256::new();
    what.update(transcript_digest);
    what.update(&session.0);
    what.update(&attempt.to_be_bytes());
    what.update(share);
    derive(secret.0.expose(), "resume", &what.finish())
}

/// The keys of a resumed session. The resumption secret does not change.
pub(crate) fn established(
    option: EncryptionOption,
    secret: &ResumptionSecret,
    exchanged: &SecretBytes,
    transcript: &[u8; 32],
    max_packet: u32,
) -> Established {
    let both = SecretBytes::from([&secret.0.expose()[..], exchanged.expose()].concat());
    Established {
        resumption: secret.clone(),
        ..Established::new(option, both.expose(), transcript, max_packet)
    }
}

//! The dialog over a connection on which the site proved its key.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::enrolment::passphrase::client::{
    AwaitingChallenge, AwaitingConfirmation, ChallengeStep, ConfirmationStep, RegistrationError,
};
use countersign_proto::enrolment::passphrase::{
    RegistrationChallenge, RegistrationRecord, RegistrationReply,
};
use countersign_proto::enrolment::{EnrolmentTicket, Exporter};
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{PassphraseTicketError, TIMEOUT};
use crate::platform;

/// Bytes read from the stream at a time.
const READ_SIZE: usize = 1_024;

/// What is registered for whom. It is the same for each attempt.
pub(super) struct Registering<'a> {
    pub(super) ticket: &'a EnrolmentTicket,
    pub(super) id: &'a AccountName,
    pub(super) identity: &'a Identity,
    pub(super) passphrase: &'a Passphrase,
}

enum Answered {
    Challenge(RegistrationChallenge, AwaitingConfirmation),
    Done(RegistrationReply),
}

impl Registering<'_> {
    /// Runs the dialog on a connection with this exporter, to this site.
    pub(super) async fn run(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        exporter: &Exporter,
        site: SiteId,
    ) -> Result<RegistrationReply, PassphraseTicketError> {
        let (registration, request) =
            ClientRegistration::start(self.passphrase, &mut SystemEntropy)?;
        let (ticket, id) = (self.ticket, self.id.clone());
        let (waiting, line) =
            AwaitingChallenge::start(ticket, id, self.identity, request, exporter, site)?;
        // The site may close at once; that is found when the answer is read.
        let _ = stream.write_all(line.expose()).await;
        let _ = stream.flush().await;
        let (challenge, waiting) = match challenge(&mut stream, waiting).await? {
            Answered::Challenge(challenge, waiting) => (challenge, waiting),
            Answered::Done(reply) => return Ok(reply),
        };
        let record = self.record(registration, &challenge).await?;
        let _ = stream.write_all(record.to_line().expose()).await;
        let _ = stream.flush().await;
        confirmation(&mut stream, waiting).await
    }

    /// Stretches the pass phrase and seals the identity, on a thread that may block.
    async fn record(
        &self,
        registration: ClientRegistration,
        challenge: &RegistrationChallenge,
    ) -> Result<RegistrationRecord, PassphraseTicketError> {
        let (passphrase, response) = (self.passphrase.clone(), challenge.response.clone());
        let server = challenge.site.0;
        let stretched = platform::blocking(move || {
            let identifiers = Identifiers {
                client: None,
                server: Some(&server),
            };
            registration.finish(&passphrase, &response, identifiers, &mut SystemEntropy)
        });
        let stretched = stretched.await;
        let (record, export_key) = stretched.ok_or(PassphraseTicketError::Interrupted)??;
        let sealed = sealed_identity::seal(self.identity, &export_key, &mut SystemEntropy)?;
        Ok(RegistrationRecord {
            record: record.as_bytes().to_vec(),
            sealed_identity: sealed.to_vec(),
            certificate: self.identity.certificate().der().to_vec(),
        })
    }
}

async fn challenge(
    stream: &mut (impl AsyncRead + Unpin),
    mut waiting: AwaitingChallenge,
) -> Result<Answered, RegistrationError> {
    loop {
        let bytes = read(stream).await;
        if bytes.is_empty() {
            return Err(waiting.closed());
        }
        match waiting.receive(&bytes)? {
            ChallengeStep::More(more) => waiting = more,
            ChallengeStep::Challenge(challenge, next) => {
                return Ok(Answered::Challenge(challenge, next));
            }
            ChallengeStep::Done(reply) => return Ok(Answered::Done(reply)),
        }
    }
}

async fn confirmation(
    stream: &mut (impl AsyncRead + Unpin),
    mut waiting: AwaitingConfirmation,
) -> Result<RegistrationReply, PassphraseTicketError> {
    loop {
        let bytes = read(stream).await;
        if bytes.is_empty() {
            return Err(waiting.closed().into());
        }
        match waiting.receive(&bytes)? {
            ConfirmationStep::More(more) => waiting = more,
            ConfirmationStep::Done(reply) => return Ok(reply),
        }
    }
}

/// What arrived; empty if the connection ended, broke or was silent for too long.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(READ_SIZE);
    let read = platform::timeout(TIMEOUT, stream.read_buf(&mut bytes)).await;
    match read {
        Ok(Ok(_)) => bytes,
        _ => Vec::new(),
    }
}

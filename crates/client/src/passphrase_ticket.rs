//! Setting a pass phrase with a ticket (`docs/protocol/device.md`, Pass phrase).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use countersign_client::passphrase_ticket;
//!
//! let ticket = "countersign://site.example:4748/e#…".parse()?;
//! let passphrase = "correct horse battery staple".to_owned().into();
//! let reply = passphrase_ticket::set(&ticket, &"ada@example.org".parse()?, &passphrase).await?;
//! println!("{} can log in", reply.id);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers, PassphraseError};
use countersign_crypto::sealed_identity::{self, SealedIdentityError};
use countersign_crypto::secret::Passphrase;
use countersign_net::tls::TlsStream;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::passphrase::client::{
    AwaitingChallenge, AwaitingConfirmation, ChallengeStep, ConfirmationStep, RegistrationError,
};
use countersign_proto::enrolment::passphrase::{
    RegistrationChallenge, RegistrationRecord, RegistrationReply,
};
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::KnownSite;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::device::DeviceError;
use crate::device::site_keys;

/// How often a dialog whose connection broke is repeated.
const ATTEMPTS: usize = 4;
/// The time limit of connecting, and of each answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time before a dialog is repeated.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes read from the stream at a time.
const READ_SIZE: usize = 1_024;

/// Why the pass phrase is not set, or why that is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseTicketError {
    /// There is no connection to the site.
    #[error(transparent)]
    Connection(#[from] DeviceError),
    /// The dialog failed.
    #[error(transparent)]
    Dialog(#[from] RegistrationError),
    /// The pass phrase, or the site's response, cannot be used with OPAQUE.
    #[error(transparent)]
    Opaque(#[from] PassphraseError),
    /// The identity cannot be sealed.
    #[error("the identity cannot be sealed: {0}")]
    Identity(#[from] SealedIdentityError),
    /// Key stretching was interrupted because the runtime stops.
    #[error("the key stretching was interrupted")]
    Interrupted,
}

impl PassphraseTicketError {
    /// Whether the same dialog may succeed on another connection.
    const fn is_broken(&self) -> bool {
        matches!(self, Self::Dialog(RegistrationError::Broken))
    }
}

/// Sets the pass phrase of the person with this id; with the ticket of the first admin, creates the
/// admin with this name. The person gets a new identity, which the pass phrase unseals.
///
/// If the connection breaks after the site's challenge, the dialog is repeated with the same
/// identity, so that a lost reply does no harm.
///
/// # Errors
/// [`PassphraseTicketError`]. After `Dialog(Broken)` it is unknown whether the pass phrase was set:
/// log in with it to find out.
pub async fn set(
    ticket: &EnrolmentTicket,
    id: &AccountName,
    passphrase: &Passphrase,
) -> Result<RegistrationReply, PassphraseTicketError> {
    let identity = Identity::generate(&mut SystemEntropy);
    let mut attempts = 1;
    loop {
        match attempt(ticket, id, &identity, passphrase).await {
            Err(error) if error.is_broken() && attempts < ATTEMPTS => attempts += 1,
            // A site that restarts is unreachable for a moment after it broke the connection.
            Err(PassphraseTicketError::Connection(
                DeviceError::Unreachable { .. } | DeviceError::Timeout { .. },
            )) if attempts > 1 => {
                if attempts >= ATTEMPTS {
                    return Err(RegistrationError::Broken.into());
                }
                attempts += 1;
            }
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(
    ticket: &EnrolmentTicket,
    id: &AccountName,
    identity: &Identity,
    passphrase: &Passphrase,
) -> Result<RegistrationReply, PassphraseTicketError> {
    let (mut stream, site) = open(ticket).await?;
    let exporter = stream.enrolment_exporter();
    let exporter = exporter.map_err(|cause| DeviceError::Handshake {
        address: ticket.address(),
        cause,
    })?;
    let (registration, request) = ClientRegistration::start(passphrase, &mut SystemEntropy)?;
    let (waiting, line) =
        AwaitingChallenge::start(ticket, id.clone(), identity, request, &exporter, site.id())?;
    // The site may close at once; that is found when the answer is read.
    let _ = stream.write_all(line.expose()).await;
    let _ = stream.flush().await;
    let (challenge, waiting) = match challenge(&mut stream, waiting).await? {
        Answered::Challenge(challenge, waiting) => (challenge, waiting),
        Answered::Done(reply) => return Ok(reply),
    };
    let record = record(registration, passphrase, &challenge, identity).await?;
    let _ = stream.write_all(record.to_line().expose()).await;
    let _ = stream.flush().await;
    confirmation(&mut stream, waiting).await
}

async fn open(
    ticket: &EnrolmentTicket,
) -> Result<(TlsStream<TcpStream>, KnownSite), PassphraseTicketError> {
    let address = ticket.address();
    let connecting = site_keys::open_known(&address, *ticket.site());
    let connected = timeout(TIMEOUT, connecting).await;
    Ok(connected.unwrap_or(Err(DeviceError::Timeout { address }))?)
}

enum Answered {
    Challenge(RegistrationChallenge, AwaitingConfirmation),
    Done(RegistrationReply),
}

async fn challenge(
    stream: &mut TlsStream<TcpStream>,
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
    stream: &mut TlsStream<TcpStream>,
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
async fn read(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(READ_SIZE);
    let read = timeout(TIMEOUT, stream.read_buf(&mut bytes)).await;
    match read {
        Ok(Ok(_)) => bytes,
        _ => Vec::new(),
    }
}

/// Stretches the pass phrase and seals the identity, on a thread that may block.
async fn record(
    registration: ClientRegistration,
    passphrase: &Passphrase,
    challenge: &RegistrationChallenge,
    identity: &Identity,
) -> Result<RegistrationRecord, PassphraseTicketError> {
    let (passphrase, response) = (passphrase.clone(), challenge.response.clone());
    let server = challenge.site.0;
    let stretched = tokio::task::spawn_blocking(move || {
        let identifiers = Identifiers {
            client: None,
            server: Some(&server),
        };
        registration.finish(&passphrase, &response, identifiers, &mut SystemEntropy)
    });
    let stretched = stretched.await;
    let (record, export_key) = stretched.map_err(|_| PassphraseTicketError::Interrupted)??;
    let sealed = sealed_identity::seal(identity, &export_key, &mut SystemEntropy)?;
    Ok(RegistrationRecord {
        record: record.as_bytes().to_vec(),
        sealed_identity: sealed.to_vec(),
        certificate: identity.certificate().der().to_vec(),
    })
}

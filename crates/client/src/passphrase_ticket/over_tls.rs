//! Over TLS, at the device port.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::passphrase::RegistrationReply;
use countersign_proto::name::AccountName;
use tokio::time::timeout;

use super::dialog::Registering;
use super::{PassphraseTicketError, Repeats, TIMEOUT};
use crate::device::{DeviceError, site_keys};

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
    let registering = Registering {
        ticket,
        id,
        identity: &identity,
        passphrase,
    };
    let mut repeats = Repeats::default();
    loop {
        match attempt(&registering).await {
            Ok(reply) => return Ok(reply),
            Err(error) => repeats.after(error).await?,
        }
    }
}

async fn attempt(
    registering: &Registering<'_>,
) -> Result<RegistrationReply, PassphraseTicketError> {
    let ticket = registering.ticket;
    let address = ticket.address();
    let connected = timeout(TIMEOUT, site_keys::open_known(&address, *ticket.site())).await;
    let (stream, site) = connected.unwrap_or_else(|_| {
        Err(DeviceError::Timeout {
            address: address.clone(),
        })
    })?;
    let exporter = stream.enrolment_exporter();
    let exporter = exporter.map_err(|cause| DeviceError::Handshake { address, cause })?;
    registering.run(stream, &exporter, site.id()).await
}

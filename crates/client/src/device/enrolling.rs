//! The device's side of the enrolment dialog over its connection.

use countersign_crypto::device_key::DeviceIdentity;
use countersign_proto::device::DeviceName;
use countersign_proto::enrolment::client::{AwaitingReply, ReplyStep};
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentTicket};
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::KnownSite;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connecting::{DeviceError, TIMEOUT, in_time};
use super::site_keys;

/// Bytes read from the stream at a time.
const READ_SIZE: usize = 1_024;

/// The result of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The site's reply.
    pub reply: EnrolmentReply,
    /// The site. Store it for the connections of the device.
    pub site: KnownSite,
}

/// Registers the key of `identity` with a ticket, for the person with this id. Store the key
/// before: if the connection ends before the reply arrives, only the same key can repeat the
/// request.
///
/// # Errors
/// [`DeviceError`]; `Enrolment(Refused)` also if the connection ended before the reply.
pub async fn enrol(
    ticket: &EnrolmentTicket,
    id: AccountName,
    identity: &DeviceIdentity,
    name: DeviceName,
) -> Result<Enrolment, DeviceError> {
    let address = format!("{}:{}", ticket.host(), ticket.port());
    let enrolling = async {
        let (mut stream, site) = site_keys::open_known(&address, *ticket.site()).await?;
        let exporter = stream
            .enrolment_exporter()
            .map_err(|error| DeviceError::Handshake {
                address: address.clone(),
                cause: std::io::Error::other(error),
            })?;
        let (mut awaiting, line) =
            AwaitingReply::start(ticket, id, name, identity, &exporter, site.id())?;
        // The site may close at once; what follows from it is found when the reply is read.
        let _ = stream.write_all(line.expose()).await;
        let _ = stream.flush().await;
        loop {
            let mut bytes = [0; READ_SIZE];
            let read = stream.read(&mut bytes).await.unwrap_or_default();
            let Some(bytes @ [_, ..]) = bytes.get(..read) else {
                return Err(awaiting.closed().into());
            };
            match awaiting.receive(bytes)? {
                ReplyStep::More(more) => awaiting = more,
                ReplyStep::Enrolled(reply) => return Ok(Enrolment { reply, site }),
            }
        }
    };
    in_time(&address, TIMEOUT, enrolling).await
}

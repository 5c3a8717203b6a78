//! Setting a pass phrase with a ticket (`docs/protocol/device.md`, Pass phrase).
//!
//! A program with sockets uses `set`, which connects to the device port with TLS (feature `device`).
//! A program that reaches the site through something else, such as the WebSocket of a web page, uses
//! [`set_over`] with a sealed channel.
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

mod channel;
mod dialog;
#[cfg(all(feature = "device", not(target_arch = "wasm32")))]
mod over_tls;

use std::future::Future;
use std::io;
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::PassphraseError;
use countersign_crypto::sealed_identity::SealedIdentityError;
use countersign_crypto::secret::Passphrase;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::passphrase::RegistrationReply;
use countersign_proto::enrolment::passphrase::client::RegistrationError;
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::KnownSite;
use tokio::io::{AsyncRead, AsyncWrite};

use self::channel::Carrier;
use self::dialog::Registering;
#[cfg(all(feature = "device", not(target_arch = "wasm32")))]
use crate::device::DeviceError;
use crate::error::ConnectError;
use crate::platform;

#[cfg(all(feature = "device", not(target_arch = "wasm32")))]
pub use over_tls::set;

/// How often a dialog whose connection broke is repeated.
const ATTEMPTS: usize = 4;
/// The time limit of connecting, and of each answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time before a dialog is repeated.
const PAUSE: Duration = Duration::from_millis(500);

/// Why the pass phrase is not set, or why that is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseTicketError {
    /// There is no TLS connection to the site.
    #[cfg(all(feature = "device", not(target_arch = "wasm32")))]
    #[error(transparent)]
    Connection(#[from] DeviceError),
    /// There is no sealed channel to the site.
    #[error(transparent)]
    Channel(#[from] ConnectError),
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
    /// Whether the pass phrase may be set, and the same dialog may succeed on another connection.
    const fn is_broken(&self) -> bool {
        matches!(self, Self::Dialog(RegistrationError::Broken))
    }

    /// Whether no answer of the site arrived. That is also how it refuses.
    const fn is_silence(&self) -> bool {
        match self {
            #[cfg(all(feature = "device", not(target_arch = "wasm32")))]
            Self::Connection(error) => matches!(
                error,
                DeviceError::Unreachable { .. }
                    | DeviceError::Timeout { .. }
                    | DeviceError::Handshake { .. }
            ),
            Self::Channel(error) => !matches!(error, ConnectError::Login(_)),
            Self::Dialog(error) => matches!(error, RegistrationError::Refused),
            _ => false,
        }
    }
}

/// Sets the pass phrase of the person with this id over a sealed channel; with the ticket of the
/// first admin, creates the admin with this name. The person gets a new identity, which the pass
/// phrase unseals.
///
/// `dial` opens a connection to the site: the binary messages of a WebSocket with the subprotocol
/// [`CHANNEL_SUBPROTOCOL`](countersign_proto::enrolment::channel::CHANNEL_SUBPROTOCOL), joined.
/// `address` is its address, for messages; those in the ticket are not used. `known` is what is
/// known of the site already, if anything is. If the connection breaks after the site's challenge,
/// the dialog is repeated with the same identity, so that a lost reply does no harm.
///
/// # Errors
/// [`PassphraseTicketError`]. After `Dialog(Broken)` it is unknown whether the pass phrase was set:
/// log in with it to find out.
pub async fn set_over<S, F>(
    dial: impl Fn() -> F,
    address: &str,
    known: Option<KnownSite>,
    ticket: &EnrolmentTicket,
    id: &AccountName,
    passphrase: &Passphrase,
) -> Result<RegistrationReply, PassphraseTicketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = io::Result<S>>,
{
    let identity = Identity::generate(&mut SystemEntropy);
    let registering = Registering {
        ticket,
        id,
        identity: &identity,
        passphrase,
    };
    let carrier = Carrier { dial, address };
    let mut repeats = Repeats::default();
    loop {
        let opening = carrier.open_known(*ticket.site(), known);
        let attempt = async {
            let opened = platform::timeout(TIMEOUT, opening).await;
            let (stream, site) = opened.unwrap_or_else(|_| Err(carrier.timeout()))?;
            let exporter = stream.enrolment_exporter();
            registering.run(stream, &exporter, site.id()).await
        };
        match attempt.await {
            Ok(reply) => return Ok(reply),
            Err(error) => repeats.after(error).await?,
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl crate::Connector {
    /// [`set_over`] the WebSocket of this connector. The site is the one of the ticket; if this
    /// connector knows a site, it must be that one.
    ///
    /// # Errors
    /// As [`set_over`].
    pub async fn set_passphrase_with_ticket(
        &self,
        ticket: &EnrolmentTicket,
        id: &AccountName,
        passphrase: &Passphrase,
    ) -> Result<RegistrationReply, PassphraseTicketError> {
        let dialer = self.dialer();
        let dial = || dialer.connect_to_register();
        let known = self.known_site();
        set_over(dial, dialer.address(), known, ticket, id, passphrase).await
    }
}

/// Repeats a dialog whose connection broke.
struct Repeats {
    attempts: usize,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { attempts: 1 }
    }
}

impl Repeats {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The failure of the last attempt, if there is no next one.
    async fn after(&mut self, error: PassphraseTicketError) -> Result<(), PassphraseTicketError> {
        // After a broken attempt, silence is no refusal: the site may restart, or its reply was lost once more.
        let may_be_set = error.is_broken() || (self.attempts > 1 && error.is_silence());
        match (may_be_set, self.attempts < ATTEMPTS) {
            (true, true) => {}
            (true, false) => return Err(RegistrationError::Broken.into()),
            (false, _) => return Err(error),
        }
        self.attempts += 1;
        platform::sleep(PAUSE).await;
        Ok(())
    }
}

//! What an edition of the broker's dialog does in its own way on the consumer's side.

use bytes::Bytes;
use countersign_crypto::party::PartyPublic;
use http::{HeaderMap, StatusCode, Uri};

use super::credentials::Expires;
use super::request::Outgoing;
use super::transport::Transport;
use super::{ConsumerError, Shared, Target};
use crate::edition::Edition;
use crate::origin::{Origin, WrongAddress};

/// Why a provider rejected a request that it has not done.
pub enum Rejection {
    /// It does not know the ticket, or the ticket expired.
    Ticket,
    /// By the site's time the request is not of now.
    Time,
}

/// The consumer's part of an edition.
pub trait ConsumerEdition: Edition {
    /// Its state machine in `proto`: ids and keys of application and site.
    type Parties: Send + Sync;
    /// What it shares with a provider.
    type Credentials: Expires + Send + Sync;
    /// A ticket that was not presented yet.
    type Granted: Send;
    /// A ticket that was presented and not acknowledged yet.
    type Presenting: Send;
    /// Why no consumer can be built.
    type BuildError: From<WrongAddress>;

    /// The parties, and where the site answers.
    fn parties(application: Self::Application, site: Self::Site) -> (Self::Parties, Uri);

    /// The id of this application.
    fn id(parties: &Self::Parties) -> &str;

    /// Whether anything can be requested with these keys and settings.
    fn check(parties: &Self::Parties) -> Result<(), Self::BuildError>;

    /// The keys with which the site signs its time; `None` in an edition whose site does not tell it.
    fn time_keys(parties: &Self::Parties) -> Option<&[PartyPublic]>;

    /// Gets a ticket from the site.
    fn request_ticket<T: Transport>(
        consumer: &Shared<Self>,
        parties: &Self::Parties,
        target: &Target<Self>,
        transport: &mut T,
    ) -> impl Future<Output = Result<Self::Granted, ConsumerError>> + Send;

    /// The JSON body that presents the ticket; `now` in milliseconds since 1970.
    fn present(
        granted: Self::Granted,
        now: u64,
    ) -> Result<(Self::Presenting, String), ConsumerError>;

    /// Reads the provider's response to a presentation.
    fn acknowledged(
        presenting: Self::Presenting,
        response: (StatusCode, Bytes),
    ) -> Result<Self::Credentials, ConsumerError>;

    /// The fields that sign a request; `now` in milliseconds since 1970.
    fn sign(
        credentials: &Self::Credentials,
        origin: &Origin,
        request: &Outgoing,
        now: u64,
    ) -> Result<HeaderMap, ConsumerError>;

    /// What the status and fields of a response say of credentials and time.
    fn rejection(status: StatusCode, fields: &HeaderMap) -> Option<Rejection>;
}

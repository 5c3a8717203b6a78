//! The edition-specific part of a consumer.

use bytes::Bytes;
use countersign_crypto::party::PartyPublic;
use http::{HeaderMap, StatusCode, Uri};

use super::credentials::Expires;
use super::request::Outgoing;
use super::transport::Transport;
use super::{ConsumerError, SharedConsumer, Target};
use crate::edition::Edition;
use crate::origin::{Origin, WrongAddress};

/// Why a provider rejected a request, if sending it again may help.
pub enum RetryReason {
    /// The ticket is unknown or expired.
    Ticket,
    /// The time of the request differs too much from the site's time.
    Time,
}

/// The edition-specific part of a consumer.
pub trait ConsumerEdition: Edition {
    /// The state machine of `proto`: ids and keys of application and site.
    type Parties: Send + Sync;
    /// The credentials that it shares with a provider.
    type Credentials: Expires + Send + Sync;
    /// A ticket before its presentation.
    type Granted: Send;
    /// A ticket between presentation and acknowledgement.
    type Presenting: Send;
    /// Why a consumer cannot be built.
    type BuildError: From<WrongAddress>;

    /// Splits application and site into the parties and the site's address.
    fn parties(application: Self::Application, site: Self::Site) -> (Self::Parties, Uri);

    /// This application's id.
    fn id(parties: &Self::Parties) -> &str;

    /// Checks that a ticket can be requested with these keys and settings.
    fn check(parties: &Self::Parties) -> Result<(), Self::BuildError>;

    /// Whether the application with this id belongs to another site, which has its own clock.
    fn is_foreign(_id: &str) -> bool {
        false
    }

    /// The keys with which the site signs its time; `None` if the edition has no such request.
    fn time_keys(parties: &Self::Parties) -> Option<&[PartyPublic]>;

    /// Requests a ticket from the site.
    fn request_ticket<T: Transport>(
        consumer: &SharedConsumer<Self>,
        parties: &Self::Parties,
        target: &Target<Self>,
        transport: &mut T,
    ) -> impl Future<Output = Result<Self::Granted, ConsumerError>> + Send;

    /// The JSON body of the presentation; `now` in milliseconds since 1970.
    fn present(
        granted: Self::Granted,
        now: u64,
    ) -> Result<(Self::Presenting, String), ConsumerError>;

    /// Verifies the provider's response to a presentation.
    fn acknowledged(
        presenting: Self::Presenting,
        response: (StatusCode, Bytes),
    ) -> Result<Self::Credentials, ConsumerError>;

    /// The headers that sign a request; `now` in milliseconds since 1970.
    fn sign(
        credentials: &Self::Credentials,
        origin: &Origin,
        request: &Outgoing,
        now: u64,
    ) -> Result<HeaderMap, ConsumerError>;

    /// Derives from status and headers of a response whether credentials or time were rejected.
    fn rejection(status: StatusCode, fields: &HeaderMap) -> Option<RetryReason>;
}

//! The dialog with the site and a provider: a ticket is got, where it has to be with another cipher or hash than
//! the first one, and presented.

use bytes::Bytes;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v1::SealedMessage;
use countersign_proto::broker::v1::consumer::{
    Answered, Consumer as Parties, ConsumerError as Trouble, Granted,
};
use countersign_proto::broker::v1::hawk;
use countersign_proto::broker::v1::master::Credentials;
use countersign_proto::broker::v2::Refusal;
use http::{Method, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Shared, Target};
use crate::consumer::carrier::Carrier;
use crate::consumer::exchange::exchange;
use crate::v1::LONGEST_MESSAGE;
use crate::{By, ConsumerError};

impl Shared {
    /// Gets a ticket and presents it.
    pub(super) async fn obtain(
        &self,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<Credentials, ConsumerError> {
        // One set of keys for the whole dialog, whatever is changed meanwhile.
        let parties = self.parties();
        let granted = self.ask(&parties, target, carrier).await?;
        let presented = granted.present((self.clock)(), &mut SystemEntropy);
        let (presenting, presentation) =
            presented.map_err(|trouble| told(By::Site, StatusCode::OK, &trouble))?;
        let call = (Method::POST, target.tickets.clone());
        let (status, answer) = self
            .exchange(By::Provider, call, presentation.into(), carrier)
            .await?;
        let acknowledged = presenting.acknowledged(status.as_u16(), &answer);
        acknowledged.map_err(|trouble| told(By::Provider, status, &trouble))
    }

    async fn ask(
        &self,
        parties: &Parties,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<Box<Granted>, ConsumerError> {
        let asked = parties.ask(&target.id, (self.clock)(), &mut SystemEntropy);
        let (mut asked, mut request) = asked.map_err(|_| ConsumerError::CannotAsk)?;
        loop {
            let call = (Method::GET, self.question(&request)?);
            let (status, answer) = self.exchange(By::Site, call, Bytes::new(), carrier).await?;
            let now = (self.clock)();
            let answered =
                parties.answered(asked, status.as_u16(), &answer, now, &mut SystemEntropy);
            match answered.map_err(|trouble| told(By::Site, status, &trouble))? {
                Answered::Granted(granted) => return signs(granted),
                Answered::Again(next, sealed) => (asked, request) = (*next, sealed),
            }
        }
    }

    /// Where a request goes, which is a part of the address.
    fn question(&self, request: &SealedMessage) -> Result<Uri, ConsumerError> {
        let request = serde_json::to_string(request).map_err(|_| ConsumerError::CannotAsk)?;
        let request = utf8_percent_encode(&request, NON_ALPHANUMERIC);
        let address = format!("/authenticate?authRequest={request}");
        self.site.at(&address).map_err(|_| ConsumerError::CannotAsk)
    }

    async fn exchange(
        &self,
        by: By,
        call: (Method, Uri),
        message: Bytes,
        carrier: &mut impl Carrier,
    ) -> Result<(StatusCode, Bytes), ConsumerError> {
        let limits = (LONGEST_MESSAGE, self.patience);
        exchange(by, call, message, limits, carrier).await
    }
}

/// Hawk has two hashes. A ticket for another one is not presented: nothing could be signed with it.
fn signs(granted: Box<Granted>) -> Result<Box<Granted>, ConsumerError> {
    let hash = granted.response().one_time_credentials.hash.parse();
    match hash.is_ok_and(hawk::knows) {
        true => Ok(granted),
        false => Err(told(By::Site, StatusCode::OK, &Trouble::NothingInCommon)),
    }
}

/// What went wrong, for the application.
fn told(by: By, status: StatusCode, trouble: &Trouble) -> ConsumerError {
    let status = status.as_u16();
    match trouble {
        Trouble::CannotAsk => ConsumerError::CannotAsk,
        Trouble::NotBelieved => ConsumerError::NotBelieved(by),
        Trouble::Stale => ConsumerError::Stale(by),
        Trouble::NothingInCommon | Trouble::Refused(_) => ConsumerError::Refused {
            by,
            status,
            refusal: match trouble {
                Trouble::NothingInCommon => Some(Refusal::NothingInCommon),
                _ => meant(status),
            },
        },
    }
}

/// What the statuses of Serveros mean.
fn meant(status: u16) -> Option<Refusal> {
    Some(match status {
        401 => Refusal::Clock,
        403 => Refusal::Replayed,
        409 | 490 => Refusal::NothingInCommon,
        422 => Refusal::NotAllowed,
        500 => Refusal::NotVerified,
        _ => return None,
    })
}

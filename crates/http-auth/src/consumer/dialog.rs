//! The dialog with the site and a provider: a ticket is requested and presented.

use bytes::Bytes;
use countersign_proto::broker::v2::Refusal;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};

use super::edition::ConsumerEdition;
use super::transport::{Failure, Transport};
use super::{By, ConsumerError, Shared, Target};
use crate::clock;
use crate::refusal;

impl<E: ConsumerEdition> Shared<E> {
    /// Gets a ticket and presents it; a second time when a clock was wrong and the site has told its own.
    pub(super) async fn obtain(
        &self,
        target: &Target<E>,
        transport: &mut impl Transport,
    ) -> Result<E::Credentials, ConsumerError> {
        match self.dialog(target, transport).await {
            Err(ConsumerError::Refused {
                refusal: Some(Refusal::Clock),
                ..
            }) if E::time_keys(&self.parties.get()).is_some() => {}
            outcome => return outcome,
        }
        self.ask_time(transport).await?;
        self.dialog(target, transport).await
    }

    async fn dialog(
        &self,
        target: &Target<E>,
        transport: &mut impl Transport,
    ) -> Result<E::Credentials, ConsumerError> {
        // One set of keys for the whole dialog, whatever is changed meanwhile.
        let parties = self.parties.get();
        let granted = E::request_ticket(self, &parties, target, transport).await?;
        let (presenting, presentation) = E::present(granted, self.clock.now())?;
        let to = (Method::POST, target.tickets.clone());
        let response = self
            .exchange(
                By::Provider,
                to,
                presentation.into(),
                E::MAX_MESSAGE,
                transport,
            )
            .await?;
        E::acknowledged(presenting, response)
    }

    /// Asks the site for its time, and goes by it.
    pub(super) async fn ask_time(
        &self,
        transport: &mut impl Transport,
    ) -> Result<(), ConsumerError> {
        let question = clock::question(&self.site);
        let (nonce, address) = question.map_err(|_| ConsumerError::CannotAsk)?;
        let to = (Method::GET, address);
        let longest = clock::MAX_ANSWER;
        let response = self
            .exchange(By::Site, to, Bytes::new(), longest, transport)
            .await?;
        let time = accepted(By::Site, response)?;
        let parties = self.parties.get();
        let keys = E::time_keys(&parties).unwrap_or_default();
        let told = self.clock.told(nonce, &time, keys);
        told.then_some(())
            .ok_or(ConsumerError::FailedVerification(By::Site))
    }

    /// Sends a message, and reads the response in time, `longest` bytes at most.
    pub(crate) async fn exchange(
        &self,
        by: By,
        (method, address): (Method, Uri),
        message: Bytes,
        longest: usize,
        transport: &mut impl Transport,
    ) -> Result<(StatusCode, Bytes), ConsumerError> {
        let mut request = Request::new(message);
        if method == Method::POST {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        (*request.method_mut(), *request.uri_mut()) = (method, address);
        let response = transport.exchange(request, longest);
        match tokio::time::timeout(self.timeout, response).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Failure::TooLong)) => Err(ConsumerError::FailedVerification(by)),
            Ok(Err(Failure::Unreachable(problem))) => {
                Err(ConsumerError::Unreachable { by, problem })
            }
            Err(_) => Err(ConsumerError::TooSlow(by)),
        }
    }
}

/// The content of a response with status 200; of others the refusal that they carry.
pub(crate) fn accepted(
    by: By,
    (status, content): (StatusCode, Bytes),
) -> Result<Bytes, ConsumerError> {
    match status {
        StatusCode::OK => Ok(content),
        _ => Err(ConsumerError::Refused {
            by,
            status: status.as_u16(),
            refusal: refusal::of_problem(&content),
        }),
    }
}

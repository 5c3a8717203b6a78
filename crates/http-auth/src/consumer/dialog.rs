//! The dialog with site and provider: requests a ticket and presents it.

use bytes::Bytes;
use countersign_proto::broker::v2::Refusal;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};

use super::edition::ConsumerEdition;
use super::transport::{Failure, Transport};
use super::{ConsumerError, Responder, SharedConsumer, Target};
use crate::clock;
use crate::refusal;

impl<E: ConsumerEdition> SharedConsumer<E> {
    /// Requests a ticket and presents it. If a clock was wrong, it gets the site's time and tries
    /// once more.
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
        // One set of keys for the whole dialog, even if keys are replaced meanwhile.
        let parties = self.parties.get();
        let granted = E::request_ticket(self, &parties, target, transport).await?;
        let (presenting, presentation) = E::present(granted, self.now(target))?;
        let to = (Method::POST, target.tickets.clone());
        let response = self
            .exchange(
                Responder::Provider,
                to,
                presentation.into(),
                E::MAX_MESSAGE,
                transport,
            )
            .await?;
        E::acknowledged(presenting, response)
    }

    /// Requests the site's time and sets the clock.
    pub(super) async fn ask_time(
        &self,
        transport: &mut impl Transport,
    ) -> Result<(), ConsumerError> {
        let request = clock::time_request(&self.site);
        let (nonce, address) = request.map_err(|_| ConsumerError::CannotRequest)?;
        let to = (Method::GET, address);
        let max_len = clock::MAX_CLOCK_RESPONSE;
        let response = self
            .exchange(Responder::Site, to, Bytes::new(), max_len, transport)
            .await?;
        let time = accepted(Responder::Site, response)?;
        let parties = self.parties.get();
        let keys = E::time_keys(&parties).unwrap_or_default();
        let verified = self.clock.set_from_response(nonce, &time, keys);
        verified
            .then_some(())
            .ok_or(ConsumerError::FailedVerification(Responder::Site))
    }

    /// Sends a message and reads the response, at most `max_len` bytes, within the timeout.
    pub(crate) async fn exchange(
        &self,
        responder: Responder,
        (method, address): (Method, Uri),
        message: Bytes,
        max_len: usize,
        transport: &mut impl Transport,
    ) -> Result<(StatusCode, Bytes), ConsumerError> {
        let mut request = Request::new(message);
        if method == Method::POST {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        (*request.method_mut(), *request.uri_mut()) = (method, address);
        let response = transport.exchange(request, max_len);
        match tokio::time::timeout(self.timeout, response).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Failure::TooLong)) => Err(ConsumerError::FailedVerification(responder)),
            Ok(Err(Failure::Unreachable(problem))) => {
                Err(ConsumerError::Unreachable { responder, problem })
            }
            Err(_) => Err(ConsumerError::Timeout(responder)),
        }
    }
}

/// The content of a response with status 200; otherwise an error with the refusal in the response.
pub(crate) fn accepted(
    responder: Responder,
    (status, content): (StatusCode, Bytes),
) -> Result<Bytes, ConsumerError> {
    match status {
        StatusCode::OK => Ok(content),
        _ => Err(ConsumerError::Refused {
            responder,
            status: status.as_u16(),
            refusal: refusal::from_problem(&content),
        }),
    }
}

//! A request of the application: credentials are found, it is signed and sent, and once more when the provider
//! says that it does not know the credentials, or that the time was wrong, and the request may be done twice
//! (RFC 9110, section 9.2.2).

use std::sync::Arc;

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::signature::{self, Request};
use countersign_proto::broker::v2::{Credentials, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

use super::caller::{Call, Caller};
use super::carrier::Carrier;
use super::credentials::Held;
use super::{Consumer, ConsumerError, Shared, Target};
use crate::origin::{self, Origin};
use crate::refusal;

/// How long a signature is good, in seconds: as long as it may be late.
const LASTS: u64 = signature::TOLERANCE;

impl Caller for Consumer {
    fn longest_content(&self) -> usize {
        self.shared.content
    }

    async fn call<C: Carrier>(&self, call: &Call, carrier: C) -> Result<C::Response, C::Error> {
        self.shared.call(call, carrier).await
    }
}

impl Shared {
    async fn call<C: Carrier>(&self, call: &Call, mut carrier: C) -> Result<C::Response, C::Error> {
        let target = self.target(&call.address)?;
        let carrier = &mut carrier;
        let mut again = true;
        loop {
            let now = || self.clock.now();
            let held = target.kept.get(now, self.obtain(target, carrier)).await?;
            let fields = self.sign(&held.credentials, target, call)?;
            let response = carrier.send(fields).await?;
            let refusal = refused(C::head(&response)).filter(|_| again);
            // Nobody vouches for a refusal: what must not be done twice is not sent twice, and what was sent is
            // not said to have not been.
            let worth_it = self.heed(refusal, &held, target, carrier).await;
            if !(worth_it.unwrap_or(false) && call.method.is_idempotent()) {
                return Ok(response);
            }
            again = false;
        }
    }

    fn target(&self, address: &Uri) -> Result<&Target, ConsumerError> {
        let origin = Origin::of(address).map_err(|_| ConsumerError::CannotSign)?;
        let target = self.targets.get(&origin);
        target.ok_or_else(|| ConsumerError::Unknown(origin.to_string()))
    }

    fn sign(
        &self,
        credentials: &Credentials,
        target: &Target,
        call: &Call,
    ) -> Result<HeaderMap, ConsumerError> {
        let request = Request {
            method: call.method.as_str(),
            authority: call.authority(&target.origin),
            target: &origin::target(&call.address),
            content: &call.content,
        };
        let nonce = Nonce(fresh(&mut SystemEntropy));
        let now = self.clock.now() / 1_000;
        let fields = signature::sign(credentials, &request, nonce, now, LASTS)
            .map_err(|_| ConsumerError::CannotSign)?;
        let named = [
            ("content-digest", fields.content_digest),
            ("signature-input", fields.signature_input),
            ("signature", fields.signature),
        ];
        let named = named.into_iter().map(|(name, value)| {
            let value = HeaderValue::try_from(value).map_err(|_| ConsumerError::CannotSign)?;
            Ok((HeaderName::from_static(name), value))
        });
        named.collect()
    }

    /// Whether the same request is worth sending again.
    async fn heed(
        &self,
        refusal: Option<Refusal>,
        held: &Arc<Held<Credentials>>,
        target: &Target,
        carrier: &mut impl Carrier,
    ) -> Result<bool, ConsumerError> {
        match refusal {
            Some(Refusal::NotVerified | Refusal::Expired) => {
                Ok(target.kept.give_up(held, self.clock.now()))
            }
            Some(Refusal::Clock) => self.ask_time(carrier).await.map(|()| true),
            _ => Ok(false),
        }
    }
}

/// What the provider's end of the dialog says in the challenge of a 401: such a request it has not done.
fn refused((status, fields): (StatusCode, &HeaderMap)) -> Option<Refusal> {
    let challenge = fields.get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let challenge = Some(challenge).filter(|_| status == StatusCode::UNAUTHORIZED);
    challenge.and_then(refusal::of_challenge)
}

//! A request of the application: credentials are found, it is signed and sent, and once more with others when
//! the answer is 401 and the request may be done twice (RFC 9110, section 9.2.2).

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_proto::broker::v1::hawk::{self, Signed};
use countersign_proto::broker::v1::master::Credentials;
use data_encoding::HEXLOWER;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Consumer, Shared, Target};
use crate::ConsumerError;
use crate::consumer::caller::{Call, Caller};
use crate::consumer::carrier::Carrier;
use crate::origin::{self, Origin};

/// Bytes of a nonce: as text it has no character that would have to be escaped.
const NONCE: usize = 12;

impl Caller for Consumer {
    fn longest_content(&self) -> usize {
        self.shared.content
    }

    async fn call<C: Carrier>(&self, call: &Call, mut carrier: C) -> Result<C::Response, C::Error> {
        let shared = &self.shared;
        let target = shared.target(call)?;
        let carrier = &mut carrier;
        let mut again = true;
        loop {
            let now = || (shared.clock)();
            let kept = &target.kept;
            let held = kept.get(now, shared.obtain(target, carrier)).await?;
            let fields = shared.sign(&held.credentials, call)?;
            let response = carrier.send(fields).await?;
            // A provider that has forgotten its tickets says no more than that.
            let refused = C::head(&response).0 == StatusCode::UNAUTHORIZED;
            let others = refused && again && kept.give_up(&held, now());
            // Nobody vouches for a refusal: what must not be done twice is not sent twice.
            if !(others && call.method.is_idempotent()) {
                return Ok(response);
            }
            again = false;
        }
    }
}

impl Shared {
    fn target(&self, call: &Call) -> Result<&Target, ConsumerError> {
        let origin = Origin::of(&call.address).map_err(|_| ConsumerError::CannotSign)?;
        let target = self.targets.get(&origin);
        target.ok_or_else(|| ConsumerError::Unknown(origin.to_string()))
    }

    fn sign(&self, credentials: &Credentials, call: &Call) -> Result<HeaderMap, ConsumerError> {
        let origin = Origin::of(&call.address).map_err(|_| ConsumerError::CannotSign)?;
        let authority: Authority = call
            .authority(&origin)
            .parse()
            .map_err(|_| ConsumerError::CannotSign)?;
        let port = authority.port_u16().or(origin.usual_port());
        let request = Signed {
            method: call.method.as_str(),
            target: &origin::target(&call.address),
            host: authority.host(),
            port: port.ok_or(ConsumerError::CannotSign)?,
        };
        let nonce = HEXLOWER.encode(&fresh::<NONCE>(&mut SystemEntropy));
        let once = ((self.clock)() / 1_000, nonce.as_str());
        let Credentials { id, key, hash, .. } = credentials;
        let value = hawk::sign(id, key, *hash, &request, once).ok();
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        let value = value.ok_or(ConsumerError::CannotSign)?;
        Ok([(header::AUTHORIZATION, value)].into_iter().collect())
    }
}

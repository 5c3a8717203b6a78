//! A request of the application: gets credentials, signs and sends it. It is sent once more if the
//! provider rejects the credentials or the time, and only if its method is idempotent (RFC 9110,
//! section 9.2.2).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

use super::credentials::Cached;
use super::edition::{ConsumerEdition, RetryReason};
use super::transport::Transport;
use super::{ConsumerError, SharedConsumer, Target};
use crate::origin::{Origin, normalized, with_path};

/// The signed parts of a request of the application.
pub struct Outgoing {
    pub(crate) method: Method,
    pub(crate) address: Uri,
    pub(crate) content: Bytes,
    /// The normalised `host` header, if the application sets one.
    host: Option<String>,
}

impl Outgoing {
    /// # Errors
    /// [`ConsumerError::CannotSign`] if `host` is invalid or repeated.
    pub(crate) fn new(
        method: Method,
        address: Uri,
        fields: &HeaderMap,
        content: Bytes,
    ) -> Result<Self, ConsumerError> {
        let cannot = ConsumerError::CannotSign;
        let address = with_path(address);
        let origin = Origin::of(&address).map_err(|_| cannot.clone())?;
        let mut hosts = fields.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(|host| host.parse().ok());
                let host = host.and_then(|host| normalized(&host, origin.default_port()));
                Some(host.ok_or(cannot)?)
            }
            _ => return Err(cannot),
        };
        Ok(Self {
            method,
            address,
            content,
            host,
        })
    }

    /// The authority that the provider receives.
    pub(crate) fn authority<'a>(&'a self, origin: &'a Origin) -> &'a str {
        self.host.as_deref().unwrap_or(origin.authority())
    }
}

impl<E: ConsumerEdition> SharedConsumer<E> {
    /// Signs the application's request and sends it over `transport`.
    pub(super) async fn send<T: Transport>(
        &self,
        request: &Outgoing,
        mut transport: T,
    ) -> Result<T::Response, T::Error> {
        let target = self.target(&request.address)?;
        let transport = &mut transport;
        let mut again = true;
        loop {
            let now = || self.now(target);
            let obtain = self.obtain(target, transport);
            let cached = target.credentials.get(now, obtain).await?;
            let fields = E::sign(&cached.credentials, &target.origin, request, now())?;
            let response = transport.send(fields).await?;
            let (status, fields) = T::head(&response);
            let rejection = E::rejection(status, fields).filter(|_| again);
            // A rejection is unauthenticated, so the provider may have executed the request: do not
            // repeat it unless it is idempotent, and return the response instead of an error.
            let retry = self
                .should_retry(rejection, &cached, target, transport)
                .await;
            if !(retry && request.method.is_idempotent()) {
                return Ok(response);
            }
            again = false;
        }
    }

    fn target(&self, address: &Uri) -> Result<&Target<E>, ConsumerError> {
        let origin = Origin::of(address).map_err(|_| ConsumerError::CannotSign)?;
        let target = self.targets.get(&origin);
        target.ok_or_else(|| ConsumerError::UnknownTarget(origin.to_string()))
    }

    /// Reacts to a rejection; returns whether the request should be sent again.
    async fn should_retry(
        &self,
        rejection: Option<RetryReason>,
        cached: &Arc<Cached<E::Credentials>>,
        target: &Target<E>,
        transport: &mut impl Transport,
    ) -> bool {
        match rejection {
            Some(RetryReason::Ticket) => target.credentials.invalidate(cached, self.now(target)),
            // A new ticket tells the time of another site.
            Some(RetryReason::Time) if target.clock.is_some() => {
                target.credentials.invalidate(cached, self.now(target))
            }
            Some(RetryReason::Time) => self.ask_time(transport).await.is_ok(),
            None => false,
        }
    }
}

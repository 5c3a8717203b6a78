//! A request of the application: credentials are found, it is signed and sent. It is sent once more if the provider does
//! not know the credentials or rejects the time, and if the method is idempotent (RFC 9110, section 9.2.2).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

use super::credentials::Held;
use super::edition::{ConsumerEdition, Rejection};
use super::transport::Transport;
use super::{ConsumerError, Shared, Target};
use crate::origin::{Origin, normalized, with_path};

/// What is signed of a request of the application.
pub struct Outgoing {
    pub(crate) method: Method,
    pub(crate) address: Uri,
    pub(crate) content: Bytes,
    /// The field `host`, where the application writes one of its own, as it is signed.
    host: Option<String>,
}

impl Outgoing {
    /// # Errors
    /// [`ConsumerError::CannotSign`] for a field `host` that is none, or several.
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
                let host = host.and_then(|host| normalized(&host, origin.usual_port()));
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

    /// The authority that the provider sees.
    pub(crate) fn authority<'a>(&'a self, origin: &'a Origin) -> &'a str {
        self.host.as_deref().unwrap_or(origin.authority())
    }
}

impl<E: ConsumerEdition> Shared<E> {
    /// Signs and sends the request that the transport carries.
    pub(super) async fn send<T: Transport>(
        &self,
        request: &Outgoing,
        mut transport: T,
    ) -> Result<T::Response, T::Error> {
        let target = self.target(&request.address)?;
        let transport = &mut transport;
        let mut again = true;
        loop {
            let now = || self.clock.now();
            let obtain = self.obtain(target, transport);
            let held = target.credentials.get(now, obtain).await?;
            let fields = E::sign(&held.credentials, &target.origin, request, now())?;
            let response = transport.send(fields).await?;
            let (status, fields) = T::head(&response);
            let rejection = E::rejection(status, fields).filter(|_| again);
            // A rejection is unauthenticated: a request that is not idempotent is not sent twice, and one that was
            // sent is not reported as unsent.
            let worth_it = self.heed(rejection, &held, target, transport).await;
            if !(worth_it && request.method.is_idempotent()) {
                return Ok(response);
            }
            again = false;
        }
    }

    fn target(&self, address: &Uri) -> Result<&Target<E>, ConsumerError> {
        let origin = Origin::of(address).map_err(|_| ConsumerError::CannotSign)?;
        let target = self.targets.get(&origin);
        target.ok_or_else(|| ConsumerError::Unknown(origin.to_string()))
    }

    /// Whether the same request is worth sending again.
    async fn heed(
        &self,
        rejection: Option<Rejection>,
        held: &Arc<Held<E::Credentials>>,
        target: &Target<E>,
        transport: &mut impl Transport,
    ) -> bool {
        match rejection {
            Some(Rejection::Ticket) => target.credentials.invalidate(held, self.clock.now()),
            Some(Rejection::Time) => self.ask_time(transport).await.is_ok(),
            None => false,
        }
    }
}

//! A presentation is taken, and a request is verified.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;

use super::edition::ProviderEdition;
use super::reply::{Rejection, Reply, acknowledged};
use super::tickets::{Once, OpenedTicket, TicketStoreError};
use super::{AuthenticatedApp, Shared};
use crate::content::{Content, Unread, read};

impl<E: ProviderEdition> Shared<E> {
    /// The request for the service; or the answer, where it does not reach the service.
    pub(super) async fn decide<B: Content>(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Result<Request<Full<Bytes>>, Response<Bytes>> {
        if request.uri().path() == self.settings.ticket_path {
            let taken = self.take(request).await;
            return Err(match taken {
                Ok(answer) => acknowledged::<E::Rejection>(answer),
                Err(reply) => reply.response(),
            });
        }
        self.admit(request).await.map_err(|reply| reply.response())
    }

    async fn take<B: Content>(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Result<String, Reply<E::Rejection>> {
        if request.method() != Method::POST {
            return Err(Reply::Method);
        }
        let (parts, body) = request.into_parts();
        let source = self.settings.source_of.as_ref().and_then(|of| of(&parts));
        let body = self.content(body, E::MAX_MESSAGE).await;
        // Its sender is unauthenticated: whatever is wrong, the answer is one.
        let body = body.map_err(|_| E::Rejection::UNREADABLE)?;
        E::take(self, body, source).await
    }

    /// Lets a request through that is signed, once, and tells the service which application signed it.
    async fn admit<B: Content>(
        &self,
        request: Request<B>,
    ) -> Result<Request<Full<Bytes>>, Reply<E::Rejection>> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<AuthenticatedApp>();
        let signature = match E::signature(&parts.headers)? {
            None if self.settings.anonymous => {
                let content = self.request_content(body).await?;
                return Ok(Request::from_parts(parts, Full::new(content)));
            }
            signature => signature.ok_or(E::Rejection::UNVERIFIED)?,
        };
        let tickets = &self.settings.tickets;
        let ticket = tickets.ticket(E::ticket(&signature)).await.map_err(busy)?;
        let ticket = ticket.ok_or(E::Rejection::UNVERIFIED)?;
        let verified = E::verify(self, signature, &ticket, &parts, body).await?;
        let application = &ticket.credentials.application;
        let came = tickets
            .request(verified.name, application, verified.until, verified.now)
            .await;
        once(came, E::Rejection::REPLAYED)?;
        parts.extensions.insert(AuthenticatedApp {
            id: ticket.credentials.application,
            auth_data: ticket.auth_data,
            expires: ticket.credentials.expires,
        });
        Ok(Request::from_parts(parts, Full::new(verified.content)))
    }

    /// Remembers a ticket that was verified: whether it came before.
    pub(crate) async fn keep(
        &self,
        ticket: OpenedTicket,
        now: u64,
        replayed: E::Rejection,
    ) -> Result<(), Reply<E::Rejection>> {
        once(self.settings.tickets.keep(ticket, now).await, replayed)
    }

    /// The content of a request for the service.
    pub(crate) async fn request_content<B: Content>(
        &self,
        body: B,
    ) -> Result<Bytes, Reply<E::Rejection>> {
        self.content(body, self.settings.max_content).await
    }

    async fn content<B: Content>(
        &self,
        body: B,
        longest: usize,
    ) -> Result<Bytes, Reply<E::Rejection>> {
        match tokio::time::timeout(self.settings.timeout, read(body, longest)).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(Unread::TooLong)) => Err(Reply::TooLong),
            Ok(Err(Unread::Broken(error))) => {
                tracing::debug!(%error, "content broke off");
                Err(Reply::TooSlow)
            }
            Err(_) => Err(Reply::TooSlow),
        }
    }
}

fn once<R>(answer: Result<Once, TicketStoreError>, replayed: R) -> Result<(), Reply<R>> {
    match answer.map_err(busy)? {
        Once::First => Ok(()),
        Once::Again => Err(replayed.into()),
        Once::Full => {
            tracing::warn!("no more tickets or requests can be remembered: raise the limits");
            Err(Reply::Busy)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
pub(crate) fn busy<R>(error: TicketStoreError) -> Reply<R> {
    tracing::error!(%error, "nothing is accepted");
    Reply::Busy
}

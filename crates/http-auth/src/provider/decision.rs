//! Handles presentations and verifies requests.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;

use super::edition::ProviderEdition;
use super::reply::{Rejection, Reply, acknowledged};
use super::tickets::{Insertion, OpenedTicket, TicketStoreError};
use super::{AuthenticatedApp, SharedProvider};
use crate::content::{Content, ReadError, read};

impl<E: ProviderEdition> SharedProvider<E> {
    /// Returns the request for the service, or the response if the service is not called.
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
        // The sender is unauthenticated, so all errors have the same response.
        let body = body.map_err(|_| E::Rejection::UNREADABLE)?;
        E::take(self, body, source).await
    }

    /// Passes on a request with a valid signature, once, with the application that signed it among
    /// its extensions.
    async fn admit<B: Content>(
        self: &Arc<Self>,
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
        let insertion = tickets
            .insert_request(verified.name, application, verified.until, verified.now)
            .await;
        require_new(insertion, E::Rejection::REPLAYED, E::Rejection::UNVERIFIED)?;
        parts.extensions.insert(AuthenticatedApp {
            id: ticket.credentials.application,
            auth_data: ticket.auth_data,
            expires: ticket.credentials.expires,
        });
        Ok(Request::from_parts(parts, Full::new(verified.content)))
    }

    /// Stores a verified ticket, which the site issued at `issued`.
    ///
    /// # Errors
    /// `replayed` if it was stored before, [`Rejection::UNREADABLE`] if it is void, [`Reply::Busy`]
    /// if it cannot be stored.
    pub(crate) async fn store_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
        replayed: E::Rejection,
    ) -> Result<(), Reply<E::Rejection>> {
        let tickets = &self.settings.tickets;
        let insertion = tickets.insert_ticket(ticket, issued, now).await;
        require_new(insertion, replayed, E::Rejection::UNREADABLE)
    }

    /// Reads the content of a request for the service.
    pub(crate) async fn request_content<B: Content>(
        &self,
        body: B,
    ) -> Result<Bytes, Reply<E::Rejection>> {
        self.content(body, self.settings.max_content).await
    }

    async fn content<B: Content>(
        &self,
        body: B,
        max_len: usize,
    ) -> Result<Bytes, Reply<E::Rejection>> {
        match tokio::time::timeout(self.settings.timeout, read(body, max_len)).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(ReadError::TooLong)) => Err(Reply::TooLong),
            Ok(Err(ReadError::Interrupted(error))) => {
                tracing::debug!(%error, "the content of a request was interrupted");
                Err(Reply::TooSlow)
            }
            Err(_) => Err(Reply::TooSlow),
        }
    }
}

fn require_new<R>(
    insertion: Result<Insertion, TicketStoreError>,
    replayed: R,
    void: R,
) -> Result<(), Reply<R>> {
    match insertion.map_err(busy)? {
        Insertion::New => Ok(()),
        Insertion::Replayed => Err(replayed.into()),
        Insertion::Void => Err(void.into()),
        Insertion::Full => {
            tracing::warn!("the ticket store is full and rejects requests: raise its limits");
            Err(Reply::Busy)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
pub(crate) fn busy<R>(error: TicketStoreError) -> Reply<R> {
    tracing::error!(%error, "the ticket store fails, so no ticket or request is accepted");
    Reply::Busy
}

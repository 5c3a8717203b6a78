//! The consumer as a `tower` layer around an HTTP client.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::edition::ConsumerEdition;
use super::request::Outgoing;
use super::transport::{Failure, Transport};
use super::{Consumer, ConsumerError};
use crate::content::{Content, ReadError, read};
use crate::{BoxError, V2};

/// An HTTP client whose requests a [`Consumer`] signs.
///
/// Its error is a [`ConsumerError`] if the request was not sent, otherwise that of the client.
#[derive(Debug)]
pub struct SigningClient<S, E: ConsumerEdition = V2> {
    consumer: Consumer<E>,
    client: S,
}

impl<S, E: ConsumerEdition> Layer<S> for Consumer<E> {
    type Service = SigningClient<S, E>;

    fn layer(&self, client: S) -> SigningClient<S, E> {
        let consumer = self.clone();
        SigningClient { consumer, client }
    }
}

impl<S: Clone, E: ConsumerEdition> Clone for SigningClient<S, E> {
    fn clone(&self) -> Self {
        Self {
            consumer: self.consumer.clone(),
            client: self.client.clone(),
        }
    }
}

impl<S, E, B, R> Service<Request<B>> for SigningClient<S, E>
where
    E: ConsumerEdition,
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Content + 'static,
    R: Content + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    /// Always ready: each request that is sent waits for the inner client.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { consumer, client } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let max_len = consumer.shared.max_content;
            let content = read(body, max_len).await.map_err(|unread| match unread {
                ReadError::TooLong => ConsumerError::TooLong(max_len),
                ReadError::Interrupted(error) => ConsumerError::Interrupted(error.to_string()),
            })?;
            let (method, address) = (parts.method.clone(), parts.uri.clone());
            let request = Outgoing::new(method, address, &parts.headers, content.clone())?;
            // Send exactly what is signed.
            parts.uri = request.address.clone();
            let transport = TowerTransport {
                client,
                parts,
                content,
            };
            consumer.shared.send(&request, transport).await
        })
    }
}

struct TowerTransport<S> {
    client: S,
    parts: Parts,
    content: Bytes,
}

impl<S> TowerTransport<S> {
    async fn run<R>(&mut self, request: Request<Bytes>) -> Result<Response<R>, BoxError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
    {
        poll_fn(|context| self.client.poll_ready(context))
            .await
            .map_err(Into::into)?;
        let response = self.client.call(request.map(Full::new));
        response.await.map_err(Into::into)
    }
}

impl<S, R> Transport for TowerTransport<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Send,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Content,
{
    type Response = Response<R>;
    type Error = BoxError;

    async fn exchange(
        &mut self,
        message: Request<Bytes>,
        max_len: usize,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let answer = self.run(message).await;
        let answer = answer.map_err(|error| Failure::of(&*error))?;
        let status = answer.status();
        match read(answer.into_body(), max_len).await {
            Ok(body) => Ok((status, body)),
            Err(unread) => Err(unread.into()),
        }
    }

    async fn send(&mut self, fields: HeaderMap) -> Result<Response<R>, BoxError> {
        let mut request = Request::from_parts(self.parts.clone(), self.content.clone());
        request.headers_mut().extend(fields);
        self.run(request).await
    }

    fn head(response: &Response<R>) -> (StatusCode, &HeaderMap) {
        (response.status(), response.headers())
    }
}

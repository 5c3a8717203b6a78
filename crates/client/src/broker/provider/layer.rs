//! A provider around any service of HTTP: of axum, of hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::Provider;
use super::reply::{Reply, acknowledged};
use crate::broker::BoxError;

/// A service whose requests are verified before it sees them: [`Provider`] as a layer makes it.
///
/// The content of each request is read whole before.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    provider: Provider,
    service: S,
}

impl<S> Layer<S> for Provider {
    type Service = Guarded<S>;

    fn layer(&self, service: S) -> Guarded<S> {
        let provider = self.clone();
        Guarded { provider, service }
    }
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.provider.shared.clone();
        // The one that was polled is the one that is ready.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        Box::pin(async move {
            if request.uri().path() == shared.ticket_path {
                let taken = shared.take(request).await;
                return Ok(taken.map_or_else(Reply::response, acknowledged));
            }
            match shared.admit(request).await {
                Ok(request) => service.call(request).await,
                Err(reply) => Ok(reply.response()),
            }
        })
    }
}

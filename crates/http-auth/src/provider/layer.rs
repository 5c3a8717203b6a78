//! A provider around any service of HTTP: of axum, of hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::Provider;
use super::guard::{Guard, Passage};
use super::reply::{Reply, acknowledged};
use crate::BoxError;

/// A service whose requests are verified before it sees them: a [`Provider`] of either edition as a layer makes it.
///
/// The content of each request is read whole before.
#[derive(Debug, Clone)]
pub struct Guarded<S, P = Provider> {
    provider: P,
    service: S,
}

impl<S> Layer<S> for Provider {
    type Service = Guarded<S>;

    fn layer(&self, service: S) -> Guarded<S> {
        Guarded::new(self.clone(), service)
    }
}

impl<S, P> Guarded<S, P> {
    pub(crate) fn new(provider: P, service: S) -> Self {
        Self { provider, service }
    }
}

impl Guard for Provider {
    const SCHEME: &'static str = "Countersign";

    async fn pass<B>(&self, request: Request<B>) -> Passage
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let shared = &self.shared;
        if request.uri().path() == shared.ticket_path {
            let taken = shared.take(request).await;
            return Passage::Answered(taken.map_or_else(Reply::response, acknowledged));
        }
        match shared.admit(request).await {
            Ok(request) => Passage::Through(request),
            Err(reply) => Passage::Answered(reply.response()),
        }
    }
}

/// Takes the challenges of that scheme out, of which the service itself has none to make.
fn without_challenge(fields: &mut HeaderMap, scheme: &str) {
    let ours = |value: &HeaderValue| {
        let scheme_of = |text: &str| text.split(' ').next().map(str::to_ascii_lowercase);
        value.to_str().ok().and_then(scheme_of) == Some(scheme.to_ascii_lowercase())
    };
    if !fields.get_all(WWW_AUTHENTICATE).iter().any(ours) {
        return;
    }
    let all: Vec<HeaderValue> = fields.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
    fields.remove(WWW_AUTHENTICATE);
    for value in all.into_iter().filter(|value| !ours(value)) {
        fields.append(WWW_AUTHENTICATE, value);
    }
}

impl<S, P, B, R> Service<Request<B>> for Guarded<S, P>
where
    P: Guard,
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
        let provider = self.provider.clone();
        // The one that was polled is the one that is ready.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        Box::pin(async move {
            match provider.pass(request).await {
                Passage::Through(request) => {
                    let mut answer = service.call(request).await?;
                    without_challenge(answer.headers_mut(), P::SCHEME);
                    Ok(answer)
                }
                Passage::Answered(answer) => Ok(answer.map(R::from)),
            }
        })
    }
}

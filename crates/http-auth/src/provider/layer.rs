//! The provider as a `tower` layer around an HTTP service of axum or hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::Provider;
use super::edition::ProviderEdition;
use crate::V2;
use crate::content::Content;

/// A service behind a [`Provider`], which verifies each request before it calls the service.
///
/// The provider reads the content of each request completely before that.
#[derive(Debug)]
pub struct VerifiedService<S, E: ProviderEdition = V2> {
    provider: Provider<E>,
    service: S,
}

impl<S, E: ProviderEdition> Layer<S> for Provider<E> {
    type Service = VerifiedService<S, E>;

    fn layer(&self, service: S) -> VerifiedService<S, E> {
        let provider = self.clone();
        VerifiedService { provider, service }
    }
}

impl<S: Clone, E: ProviderEdition> Clone for VerifiedService<S, E> {
    fn clone(&self) -> Self {
        Self {
            provider: self.provider.clone(),
            service: self.service.clone(),
        }
    }
}

/// Removes challenges of `scheme` from the service's response. Only the provider may send them: a
/// consumer would take one that the service forwards from elsewhere for the provider's own.
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

impl<S, E, B, R> Service<Request<B>> for VerifiedService<S, E>
where
    E: ProviderEdition,
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Content + 'static,
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
        // `poll_ready` was called on `self.service`, so that one is called and the clone stays.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        Box::pin(async move {
            match provider.shared.decide(request).await {
                Ok(request) => {
                    let mut answer = service.call(request).await?;
                    without_challenge(answer.headers_mut(), E::SCHEME);
                    Ok(answer)
                }
                Err(answer) => Ok(answer.map(R::from)),
            }
        })
    }
}

//! A provider around a service.

use http::Request;
use http_body::Body;
use tower_layer::Layer;

use super::Provider;
use super::reply::{Reply, acknowledged};
use crate::provider::guard::{Guard, Passage};
use crate::{BoxError, Guarded};

impl<S> Layer<S> for Provider {
    type Service = Guarded<S, Self>;

    fn layer(&self, service: S) -> Guarded<S, Self> {
        Guarded::new(self.clone(), service)
    }
}

impl Guard for Provider {
    const SCHEME: &'static str = "Hawk";

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

//! A consumer around an HTTP client.

use tower_layer::Layer;

use super::Consumer;
use crate::Calling;

impl<S> Layer<S> for Consumer {
    type Service = Calling<S, Self>;

    fn layer(&self, client: S) -> Calling<S, Self> {
        Calling::new(self.clone(), client)
    }
}

#[cfg(feature = "reqwest")]
mod middleware {
    use async_trait::async_trait;
    use http::Extensions;
    use reqwest_middleware::{ClientWithMiddleware, Error, Middleware, Next};

    use super::Consumer;
    use crate::consumer::middleware;

    impl Consumer {
        /// A client that signs each request. It follows no redirects: what is signed is for one address.
        ///
        /// A client with settings of its own takes the consumer as middleware.
        ///
        /// # Errors
        /// When TLS cannot be set up on this machine.
        pub fn client(&self) -> Result<ClientWithMiddleware, reqwest::Error> {
            middleware::client(self.clone())
        }
    }

    #[async_trait]
    impl Middleware for Consumer {
        async fn handle(
            &self,
            request: reqwest::Request,
            extensions: &mut Extensions,
            next: Next<'_>,
        ) -> Result<reqwest::Response, Error> {
            middleware::handle(self, request, extensions, next).await
        }
    }
}

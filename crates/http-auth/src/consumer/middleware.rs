//! The consumer as a reqwest middleware.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};

use super::edition::ConsumerEdition;
use super::request::Outgoing;
use super::transport::{Failure, Transport};
use super::{Consumer, ConsumerError};
use crate::content::read;

impl<E: ConsumerEdition> Consumer<E> {
    /// A reqwest client that signs each request. It follows no redirects, because a signature is
    /// for one address.
    ///
    /// To configure the client yourself, add the consumer to it as a middleware.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn client(&self) -> Result<ClientWithMiddleware, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(ClientBuilder::new(client).with(self.clone()).build())
    }
}

#[async_trait]
impl<E: ConsumerEdition> Middleware for Consumer<E> {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response, Error> {
        let content = match request.body() {
            None => Bytes::new(),
            Some(body) => {
                let whole = body.as_bytes().ok_or(ConsumerError::Streamed)?;
                Bytes::copy_from_slice(whole)
            }
        };
        let max_len = self.shared.max_content;
        if content.len() > max_len {
            return Err(ConsumerError::TooLong(max_len).into());
        }
        let address = request.url().as_str().parse();
        let address = address.map_err(|_| ConsumerError::CannotSign)?;
        let method = request.method().clone();
        let outgoing = Outgoing::new(method, address, request.headers(), content)?;
        let transport = ReqwestTransport {
            next,
            request,
            extensions,
        };
        self.shared.send(&outgoing, transport).await
    }
}

/// Returned only for requests that were not sent.
impl From<ConsumerError> for Error {
    fn from(error: ConsumerError) -> Self {
        Self::middleware(error)
    }
}

impl ConsumerError {
    /// The error that occurred before the request was sent; `None` if `error` comes from reqwest or
    /// another middleware.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Middleware(error) => error.downcast_ref(),
            Error::Reqwest(_) => None,
        }
    }
}

struct ReqwestTransport<'a> {
    next: Next<'a>,
    request: reqwest::Request,
    extensions: &'a mut Extensions,
}

impl Transport for ReqwestTransport<'_> {
    type Response = reqwest::Response;
    type Error = Error;

    async fn exchange(
        &mut self,
        message: Request<Bytes>,
        max_len: usize,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let failure = |error: &Error| Failure::of(error);
        let message = reqwest::Request::try_from(message);
        let message = message.map_err(|error| failure(&error.into()))?;
        // The extensions belong to the application's request.
        let mut extensions = Extensions::new();
        let answer = self.next.clone().run(message, &mut extensions).await;
        let answer = answer.map_err(|error| failure(&error))?;
        let status = answer.status();
        match read(reqwest::Body::from(answer), max_len).await {
            Ok(body) => Ok((status, body)),
            Err(unread) => Err(unread.into()),
        }
    }

    async fn send(&mut self, fields: HeaderMap) -> Result<reqwest::Response, Error> {
        let request = self.request.try_clone();
        let mut request = request.ok_or(ConsumerError::Streamed)?;
        request.headers_mut().extend(fields);
        self.next.clone().run(request, self.extensions).await
    }

    fn head(response: &reqwest::Response) -> (StatusCode, &HeaderMap) {
        (response.status(), response.headers())
    }
}

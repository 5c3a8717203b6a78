//! A consumer as middleware of reqwest.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};

use super::caller::{Call, Caller};
use super::carrier::{Carrier, Failure};
use super::{Consumer, ConsumerError};

impl Consumer {
    /// A client that signs each request. It follows no redirects: what is signed is for one address.
    ///
    /// A client with settings of its own takes the consumer as middleware.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn client(&self) -> Result<ClientWithMiddleware, reqwest::Error> {
        client(self.clone())
    }
}

/// A client that follows no redirects, with this middleware.
pub(crate) fn client(consumer: impl Middleware) -> Result<ClientWithMiddleware, reqwest::Error> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(ClientBuilder::new(client).with(consumer).build())
}

#[async_trait]
impl Middleware for Consumer {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response, Error> {
        handle(self, request, extensions, next).await
    }
}

/// Signs and sends a request of the application.
pub(crate) async fn handle(
    consumer: &impl Caller,
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
    let longest = consumer.longest_content();
    if content.len() > longest {
        return Err(ConsumerError::TooLong(longest).into());
    }
    let address = request.url().as_str().parse();
    let address = address.map_err(|_| ConsumerError::CannotSign)?;
    let call = Call::new(
        request.method().clone(),
        address,
        request.headers(),
        content,
    )?;
    let carrier = Through {
        next,
        request,
        extensions,
    };
    consumer.call(&call, carrier).await
}

/// Only what was not sent has one.
impl From<ConsumerError> for Error {
    fn from(error: ConsumerError) -> Self {
        Self::middleware(error)
    }
}

impl ConsumerError {
    /// What went wrong before a request was sent; `None` when the error is of reqwest or of other middleware.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Middleware(error) => error.downcast_ref(),
            Error::Reqwest(_) => None,
        }
    }
}

struct Through<'a> {
    next: Next<'a>,
    request: reqwest::Request,
    extensions: &'a mut Extensions,
}

impl Carrier for Through<'_> {
    type Response = reqwest::Response;
    type Error = Error;

    async fn exchange(
        &mut self,
        message: Request<Bytes>,
        longest: usize,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let failure = |error: &Error| Failure::of(error);
        let message = reqwest::Request::try_from(message);
        let message = message.map_err(|error| failure(&error.into()))?;
        // The extensions belong to the application's request.
        let mut extensions = Extensions::new();
        let answer = self.next.clone().run(message, &mut extensions).await;
        let mut answer = answer.map_err(|error| failure(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| failure(&error.into()))?
        {
            if body.len() + chunk.len() > longest {
                return Err(Failure::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), body.into()))
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

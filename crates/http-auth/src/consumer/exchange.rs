//! One message of the dialog, and its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};

use super::carrier::{Carrier, Failure};
use super::{By, ConsumerError};

/// Sends a message, and reads what is answered in time, `longest` bytes at most.
pub(crate) async fn exchange(
    by: By,
    (method, address): (Method, Uri),
    message: Bytes,
    (longest, patience): (usize, Duration),
    carrier: &mut impl Carrier,
) -> Result<(StatusCode, Bytes), ConsumerError> {
    let mut request = Request::new(message);
    if method == Method::POST {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    (*request.method_mut(), *request.uri_mut()) = (method, address);
    let exchange = carrier.exchange(request, longest);
    match tokio::time::timeout(patience, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::TooLong)) => Err(ConsumerError::NotBelieved(by)),
        Ok(Err(Failure::Unreachable(problem))) => Err(ConsumerError::Unreachable { by, problem }),
        Err(_) => Err(ConsumerError::TooSlow(by)),
    }
}

//! The ids of requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use countersign_crypto::entropy::{SystemEntropy, fresh};
use hyper::header::{HeaderName, HeaderValue};

use super::reply::Reply;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Random bytes for the next requests: to draw those of 64 takes not much longer than those of one.
static DRAWN: Mutex<Vec<[u8; 16]>> = Mutex::new(Vec::new());

/// Names one request in the log and in its response.
#[derive(Clone, Copy)]
pub(super) struct RequestId([u8; 16]);

impl RequestId {
    pub(super) fn new() -> Self {
        // A panic elsewhere leaves bytes that no request had.
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_empty() {
            let bytes = fresh::<1_024>(&mut SystemEntropy);
            drawn.extend(bytes.as_chunks::<16>().0);
        }
        Self(drawn.pop().unwrap_or_default())
    }

    /// Puts it into the response, once.
    pub(super) fn add_to(self, reply: &mut Reply) {
        let mut digits = [0; 32];
        data_encoding::HEXLOWER.encode_mut(&self.0, &mut digits);
        if let Ok(value) = HeaderValue::from_bytes(&digits) {
            reply.headers_mut().insert(REQUEST_ID, value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::problem::Problem;
    use super::*;

    /// The API adds the id to each response, and problems had it twice.
    #[test]
    fn a_response_has_its_id_once() {
        let id = RequestId::new();
        let mut reply = Problem::not_found().reply(id);
        id.add_to(&mut reply);
        let ids: Vec<_> = reply.headers().get_all(REQUEST_ID).iter().collect();
        assert_eq!(ids, [&id.to_string()]);
    }

    #[test]
    fn requests_have_different_ids() {
        let ids: HashSet<_> = (0..200).map(|_| RequestId::new().to_string()).collect();
        assert_eq!(ids.len(), 200);
    }
}

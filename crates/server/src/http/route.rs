//! Which request is which.

use std::sync::Arc;

use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::introduction::Introduction;
use countersign_proto::broker::v2::message::Nonce;
use hyper::body::Incoming;
use hyper::{Method, Request};
use serde::Serialize;

use super::reply::{self, Reply};
use super::{Peer, authenticate};
use crate::clock;
use crate::shared::Shared;

/// Methods of what is read without effect: HEAD is answered as GET, and its body is not sent.
const READ: &str = "GET, HEAD, OPTIONS";
/// A ticket is given once, with its body: HEAD would use the request up and give nothing.
const AUTHENTICATE: &str = "GET, POST, OPTIONS";
/// All of them, of the server as a whole (`OPTIONS *`).
const ALL: &str = "GET, HEAD, POST, OPTIONS";

/// What is served under a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resource {
    Authenticate,
    Clock,
    Introduction,
    Server,
}

impl Resource {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/authenticate" => Self::Authenticate,
            "/clock" => Self::Clock,
            "/.well-known/countersign" => Self::Introduction,
            "*" => Self::Server,
            _ => return None,
        })
    }

    /// The value of the field `allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Authenticate => AUTHENTICATE,
            Self::Clock | Self::Introduction => READ,
            Self::Server => ALL,
        }
    }
}

pub(super) async fn answer(request: Request<Incoming>, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    let Some(resource) = Resource::find(request.uri().path()) else {
        return reply::not_found();
    };
    let method = match request.method() {
        &Method::HEAD if resource != Resource::Authenticate => &Method::GET,
        method => method,
    };
    match (method, resource) {
        (&Method::OPTIONS, _) => reply::options(resource.methods()),
        (&Method::POST, Resource::Authenticate) => {
            authenticate::v2(request.into_body(), peer, shared).await
        }
        (&Method::GET, Resource::Authenticate) => {
            let asked = auth_request(request.uri().query());
            authenticate::v1(asked.unwrap_or_default(), peer, shared).await
        }
        (&Method::GET, Resource::Clock) => {
            let nonce = parameter(request.uri().query(), "nonce");
            tell_time(nonce.as_deref(), peer, shared).await
        }
        (&Method::GET, Resource::Introduction) => introduce(peer, shared).await,
        _ => reply::not_allowed(resource.methods()),
    }
}

/// The request for a ticket in a query. Some consumers send `+` as it is, and some encode forms, where it is a
/// blank (WHATWG URL, section 5.1): JSON has no `+` but within texts and numbers, so only one of both reads.
fn auth_request(query: Option<&str>) -> Option<String> {
    let plain = parameter(query, "authRequest")?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&plain) {
        Ok(_) => Some(plain),
        Err(_) => form_value(query?, "authRequest"),
    }
}

/// The value of a parameter of the query, decoded; a `+` is a `+`.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    form_value(&query?.replace('+', "%2B"), name)
}

/// The value of a field of a form, decoded; `None` also where that is not UTF-8, or has what stands for such bytes.
fn form_value(form: &str, name: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(form.as_bytes()).find(|(of, _)| of == name)?;
    (!value.contains(char::REPLACEMENT_CHARACTER)).then(|| value.into_owned())
}

/// The site's time for whoever asks with a nonce of their own.
async fn tell_time(nonce: Option<&str>, peer: &Peer, shared: &Arc<Shared>) -> Reply {
    let nonce = nonce.and_then(|text| {
        let quoted = serde_json::Value::from(text);
        serde_json::from_value::<Nonce>(quoted).ok()
    });
    let Some(nonce) = nonce else {
        return reply::not_found();
    };
    signed(peer, shared, |shared| {
        let opened = shared.site.opened()?;
        let now = u64::try_from(clock::now().millis()).unwrap_or_default();
        Some(Clock::issue(nonce, now, opened.broker.party()?))
    })
    .await
}

/// The site's id and keys.
async fn introduce(peer: &Peer, shared: &Arc<Shared>) -> Reply {
    signed(peer, shared, |shared| {
        let opened = shared.site.opened()?;
        let keys = [opened.broker.party()?.public().clone()];
        Some(Introduction::issue(opened.broker.id(), &keys, &opened.key))
    })
    .await
}

/// Says something that costs a signature, when it is the source's turn.
async fn signed<T: Serialize>(
    peer: &Peer,
    shared: &Arc<Shared>,
    say: impl FnOnce(&Shared) -> Option<T>,
) -> Reply {
    let Some(_turn) = shared.logins.turn(peer.network()).await else {
        return reply::busy();
    };
    let Some(said) = say(shared) else {
        return reply::sealed();
    };
    serde_json::to_string(&said).map_or_else(|_| reply::busy(), reply::granted)
}

#[cfg(test)]
mod tests {
    use super::{auth_request, parameter};

    /// JSON that is laid out over lines has blanks, which a consumer that encodes forms sends as `+`: it was no
    /// JSON here.
    #[test]
    fn a_request_that_is_encoded_as_a_form_may_have_blanks() {
        let laid_out = Some("authRequest=%7B+%22m%22+%3A+%22x%2By%22+%7D");
        assert_eq!(
            auth_request(laid_out).as_deref(),
            Some(r#"{ "m" : "x+y" }"#)
        );
        let plain = Some("authRequest=%7B%22m%22%3A%22x+y%22%7D");
        assert_eq!(auth_request(plain).as_deref(), Some(r#"{"m":"x+y"}"#));
        assert_eq!(auth_request(None), None);
    }

    #[test]
    fn a_parameter_is_decoded_and_a_plus_is_a_plus() {
        let query = Some("a=1&authRequest=%7B%22m%22%3A%22x%2By+z%22%7D&b=2");
        let asked = parameter(query, "authRequest");
        assert_eq!(asked.as_deref(), Some(r#"{"m":"x+y+z"}"#));
        assert_eq!(parameter(query, "c"), None);
        assert_eq!(parameter(None, "a"), None);
        assert_eq!(parameter(Some("a=%ff"), "a"), None);
    }
}

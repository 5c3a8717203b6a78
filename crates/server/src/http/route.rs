//! Routes HTTP requests.

use std::sync::Arc;

use countersign_core::engine::rest::{json_parameter, parameter};
use countersign_core::lockdown::Activity;
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::key_statement::KeyStatement;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::session::SESSION_PATH;
use hyper::{Method, Request};
use serde::Serialize;

use super::api::{self, Api};
use super::origin::is_of_a_page;
use super::reply::{self, Reply};
use super::request_body::RequestBody;
use super::{RequestOrigin, authenticate, console, upgrade};
use crate::clock;
use crate::runtime::shared::Shared;

/// The methods of a resource that is only read. HEAD is handled as GET, without its body.
const READ: &str = "GET, HEAD, OPTIONS";
/// The methods for ticket requests. HEAD is not allowed: it would use up the request without returning the
/// ticket.
const AUTHENTICATE: &str = "GET, POST, OPTIONS";
/// The methods of a resource that is a WebSocket.
const UPGRADE: &str = "GET, OPTIONS";
/// All methods, for `OPTIONS *`.
const ALL: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The resource of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resource {
    Authenticate,
    Clock,
    KeyStatement,
    Session,
    Server,
}

impl Resource {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/authenticate" => Self::Authenticate,
            "/clock" => Self::Clock,
            "/.well-known/countersign" => Self::KeyStatement,
            SESSION_PATH => Self::Session,
            "*" => Self::Server,
            _ => return None,
        })
    }

    /// The value of the field `allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Authenticate => AUTHENTICATE,
            Self::Clock | Self::KeyStatement => READ,
            Self::Session => UPGRADE,
            Self::Server => ALL,
        }
    }
}

pub(super) async fn answer(
    request: Request<RequestBody>,
    origin: &RequestOrigin,
    api: &Arc<Api>,
    shared: &Arc<Shared>,
) -> Reply {
    if api::has(request.uri().path()) {
        return api::answer(request, origin, api, shared).await;
    }
    if let Some(seconds) = origin.refused_for(shared) {
        return reply::source_refused(seconds);
    }
    if console::has(request.uri().path()) {
        return console::answer(&request, shared);
    }
    let Some(resource) = Resource::find(request.uri().path()) else {
        return console::from_the_root(&request, shared).unwrap_or_else(reply::not_found);
    };
    let method = match request.method() {
        &Method::HEAD if !matches!(resource, Resource::Authenticate | Resource::Session) => {
            &Method::GET
        }
        method => method,
    };
    match (method, resource) {
        (&Method::OPTIONS, _) => reply::options(resource.methods()),
        // Refused requests count against the source: any page could have its reader's address banned.
        (_, Resource::Authenticate) if is_of_a_page(request.headers()) => reply::sent_by_a_page(),
        (&Method::POST, Resource::Authenticate) => {
            Box::pin(authenticate::v2(request.into_body(), origin, shared)).await
        }
        (&Method::GET, Resource::Authenticate) => {
            let asked = json_parameter(request.uri().query(), "authRequest");
            // A body that is not read uses up what the connection may send, for all clients of a proxy.
            drop(request);
            Box::pin(authenticate::v1(asked.unwrap_or_default(), origin, shared)).await
        }
        (&Method::GET, Resource::Clock) => {
            let nonce = parameter(request.uri().query(), "nonce");
            drop(request);
            Box::pin(signed_time(nonce.as_deref(), origin, shared)).await
        }
        (&Method::GET, Resource::KeyStatement) => {
            drop(request);
            Box::pin(key_statement(origin, shared)).await
        }
        (&Method::GET, Resource::Session) => upgrade::answer(request, origin, shared),
        _ => reply::not_allowed(resource.methods()),
    }
}

/// The signed time of the site, for a request with a nonce.
async fn signed_time(nonce: Option<&str>, origin: &RequestOrigin, shared: &Arc<Shared>) -> Reply {
    let nonce = nonce.and_then(|text| {
        let quoted = serde_json::Value::from(text);
        serde_json::from_value::<Nonce>(quoted).ok()
    });
    let Some(nonce) = nonce else {
        return reply::not_found();
    };
    signed(origin, shared, |shared| {
        let opened = shared.site.unsealed_keys()?;
        let now = u64::try_from(clock::now().millis()).unwrap_or_default();
        Some(Clock::issue(nonce, now, opened.broker.signing_party()?))
    })
    .await
}

/// The signed id and keys of the site.
async fn key_statement(origin: &RequestOrigin, shared: &Arc<Shared>) -> Reply {
    signed(origin, shared, |shared| {
        let opened = shared.site.unsealed_keys()?;
        let (broker, events) = (&opened.broker, &opened.events);
        let keys = broker.parties();
        Some(KeyStatement::issue(broker.id(), &keys, &opened.key, events))
    })
    .await
}

/// Signs a reply when it is the turn of the client's network.
async fn signed<T: Serialize>(
    origin: &RequestOrigin,
    shared: &Arc<Shared>,
    sign: impl FnOnce(&Shared) -> Option<T>,
) -> Reply {
    if !shared.site.permits(Activity::Information) {
        return reply::lockdown();
    }
    let Some(_turn) = shared.logins.turn(origin.network()).await else {
        return reply::busy();
    };
    let Some(signed) = sign(shared) else {
        return reply::sealed();
    };
    serde_json::to_string(&signed).map_or_else(|_| reply::busy(), reply::granted)
}

//! The web console: static files that make a browser a client of the session protocol.
//!
//! ```text
//! GET /                    leads browsers to the page
//! GET /console/            the page
//! GET /console/NAME        a file that the page names, with a digest in its name
//! GET /console/site.json   the URI of the site, which pins its key, and the way to its WebSocket
//! ```
//!
//! [`ConsoleRelay`] serves the same three on the user's own machine, so that the files come from the
//! installed program and not from the site.

mod loopback;
mod registration;
mod relay;

use countersign_core::lockdown::Activity;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION, VARY};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;

pub use relay::{ConsoleRelay, RelayError, RelayedSite};

use super::body::ReplyBody;
use super::reply::{self, Reply};
use crate::console_files::ConsoleFiles;
use crate::runtime::shared::Shared;

/// Where the site serves the console.
const PATH: &str = "/console";
/// The methods of the files.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// The name of the file about the site.
const SITE: &str = "site.json";

/// What the page learns of its site before it connects.
#[derive(Serialize)]
struct ServedSite<'a> {
    uri: &'a str,
    /// The site's WebSocket, relative to the page.
    session: &'static str,
    /// Why no person can log in now.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<Closed>,
    /// The site is a temporary one of `countersign dev`, whose link logs in by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dev: bool,
    /// `countersign console` serves the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<Relayed<'a>>,
}

/// What `countersign console` tells its page.
#[derive(Serialize)]
struct Relayed<'a> {
    /// The base URL of the site's HTTP listener; without it the relay passes no registration on.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<&'a str>,
    /// What this device knows of the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<String>,
}

/// Why the site accepts no login of a person.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Closed {
    Sealed,
    Lockdown,
}

impl ServedSite<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The response to a browser that opens the site's address without a path: the way to the console, if the site
/// serves it. Other clients are told that the path does not exist, as everywhere.
pub(super) fn from_the_root<B>(request: &Request<B>, shared: &Shared) -> Option<Reply> {
    let is_read = matches!(request.method(), &Method::GET | &Method::HEAD);
    let accepted = request.headers().get_all(ACCEPT).iter();
    let is_browser = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    let is_built = shared.console().is_some_and(ConsoleFiles::is_built);
    if request.uri().path() != "/" || !is_read || !is_browser || !is_built {
        return None;
    }
    let mut reply = to_the_page();
    // Browsers keep a permanent one for ever, and the console can be switched off.
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let fields = reply.headers_mut();
    fields.insert(VARY, HeaderValue::from_static("accept"));
    Some(reply)
}

/// Whether the console has the path.
pub(super) fn has(path: &str) -> bool {
    below(path).is_some()
}

/// The path below that of the console.
fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Answers a request for a file of the console. It needs no authentication, no entropy, no database and no
/// public-key work.
pub(super) fn answer<B>(request: &Request<B>, shared: &Shared) -> Reply {
    let (Some(files), Some(path)) = (shared.console(), below(request.uri().path())) else {
        return reply::not_found();
    };
    match (request.method(), path.strip_prefix('/')) {
        (&Method::OPTIONS, _) => reply::options(METHODS),
        (&Method::GET | &Method::HEAD, None) => to_the_page(),
        (&Method::GET | &Method::HEAD, Some(SITE)) => site(files, shared),
        (&Method::GET | &Method::HEAD, Some(name)) => file(files, name, request.headers()),
        _ => reply::not_allowed(METHODS),
    }
}

fn file(files: &ConsoleFiles, name: &str, headers: &HeaderMap) -> Reply {
    let found = files.answer(name, headers);
    found.map_or_else(reply::not_found, |found| found.map(ReplyBody::from))
}

/// The names in the page are relative to `/console/`. The location is relative too, because a proxy may serve
/// the site below another path. It leads to the page from `/` as well.
fn to_the_page() -> Reply {
    let mut reply = reply::options("");
    *reply.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::from_static("console/");
    let fields = reply.headers_mut();
    fields.clear();
    fields.insert(LOCATION, location);
    reply
}

fn site(files: &ConsoleFiles, shared: &Shared) -> Reply {
    let closed = match () {
        () if shared.site.is_sealed() => Some(Closed::Sealed),
        () if !shared.site.permits(Activity::PersonLogin) => Some(Closed::Lockdown),
        () => None,
    };
    let Some(uri) = shared.site.endpoints().uri else {
        return reply::not_found();
    };
    let served = ServedSite {
        uri: &uri,
        session: "../session",
        closed,
        dev: files.is_for_dev(),
        relay: None,
    };
    files.site(served.text()).map(ReplyBody::from)
}

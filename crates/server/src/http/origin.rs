//! The origin of a request.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};

use countersign_core::access::Caller;
use countersign_core::throttle::{Abuse, Source};
use countersign_crypto::certificate::Thumbprint;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};

use super::connection::Connection;
use super::problem::AccountLimit;
use crate::admission::NoPlace;
use crate::clock;
use crate::proxies;
use crate::runtime::shared::Shared;

/// Fields that proxies add to requests: a request with one of them was forwarded.
static FORWARDED: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];
/// A browser sends one of these fields with each request of a page that could have an effect.
static PAGE: [HeaderName; 2] = [header::ORIGIN, HeaderName::from_static("sec-fetch-site")];

/// Whether a page in a browser sends the request. A browser marks an image or a link of a page, which it asks for
/// with GET, only where it trusts the transport.
pub(super) fn is_of_a_page(headers: &HeaderMap) -> bool {
    PAGE.iter().any(|field| headers.contains_key(field))
}

/// Whether a page in a browser may send the request. Browsers add the languages of the user to each request, and no
/// page can remove them.
fn may_be_of_a_page(method: &Method, headers: &HeaderMap) -> bool {
    let is_unmarked = matches!(*method, Method::GET | Method::HEAD);
    is_of_a_page(headers) || is_unmarked && headers.contains_key(header::ACCEPT_LANGUAGE)
}

/// Whether the client of a proxy has TLS; `None` if the proxy names no scheme.
fn is_forwarded_with_tls(headers: &HeaderMap) -> Option<bool> {
    let mut schemes = headers.get_all("x-forwarded-proto").iter().peekable();
    schemes.peek()?;
    Some(schemes.all(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https")))
}

/// The origin of a request: the other end of the connection, or the client that a trusted proxy names.
pub(super) struct RequestOrigin {
    /// The source that the request counts for; `None` if a trusted proxy names no client.
    pub(super) source: Option<Source>,
    /// What is wrong with the request brings no penalty upon the source, nor a line of the log by which a
    /// program may ban it: any page could do that to its reader.
    pub(super) is_unpunished: bool,
    pub(super) connection: Arc<Connection>,
    /// Counts the request as running on the connection, once it was verified.
    pub(super) running: OnceLock<Arc<()>>,
}

/// Counts a request whose client abandons it before it was checked: the work for it ends at any point where it
/// waits, and what refuses it is never reached.
#[derive(Default)]
pub(super) struct Unchecked<'a>(Option<Box<dyn FnOnce() + Send + 'a>>);

impl<'a> Unchecked<'a> {
    /// Calls `abandoned` if it is dropped before [`Unchecked::done`].
    pub(super) fn new(abandoned: impl FnOnce() + Send + 'a) -> Self {
        Self(Some(Box::new(abandoned)))
    }

    /// The request was checked, and counts as what was found.
    pub(super) fn done(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unchecked<'_> {
    fn drop(&mut self) {
        if let Some(abandoned) = self.0.take() {
            abandoned();
        }
    }
}

impl RequestOrigin {
    /// The origin of a request. A trusted proxy names the client if `http_forwarded` is set.
    pub(super) fn of<B>(
        request: &Request<B>,
        connection: &Arc<Connection>,
        shared: &Shared,
    ) -> Self {
        let address = connection.address.ip();
        let proxies = shared.proxies();
        let is_proxied = proxies.has(address);
        let forwarded = is_proxied.then(|| is_forwarded_with_tls(request.headers()));
        let has_tls = forwarded.flatten().unwrap_or(connection.has_tls);
        let source = match (is_proxied, proxies.trust_forwarded) {
            (false, _) => Some(address.into()),
            (true, false) => None,
            (true, true) => {
                let lines = request.headers().get_all(proxies::FIELD).iter().rev();
                proxies
                    .client(lines.map(HeaderValue::as_bytes))
                    .map(Source::from)
            }
        };
        Self {
            source,
            is_unpunished: !has_tls && may_be_of_a_page(request.method(), request.headers()),
            connection: connection.clone(),
            running: OnceLock::new(),
        }
    }

    /// The network whose turn at public-key work the request uses.
    pub(super) fn network(&self) -> Source {
        self.source.unwrap_or(self.proxy()).network()
    }

    /// The other end of the connection.
    pub(super) fn proxy(&self) -> Source {
        self.connection.address.ip().into()
    }

    /// A request of this caller was verified.
    ///
    /// # Errors
    /// [`AccountLimit::Connections`] or [`AccountLimit::CredentialConnections`] if the account or the
    /// credential has its share of connections.
    pub(super) fn authenticated_as(
        &self,
        caller: &Caller,
        shared: &Shared,
    ) -> Result<(), AccountLimit> {
        let grant = caller.grant.as_ref().filter(|_| !self.is_proxied(shared));
        if let Some(grant) = grant {
            let held = self.connection.held.lock();
            let mut held = held.unwrap_or_else(PoisonError::into_inner);
            if !held.as_ref().is_some_and(|held| held.is_of(grant)) {
                let moved = shared.http_connections.move_to(&mut held, grant);
                moved.map_err(|full| match full {
                    NoPlace::OfAccount => AccountLimit::Connections,
                    NoPlace::OfCredential => AccountLimit::CredentialConnections,
                })?;
            }
        }
        self.authenticated(shared);
        Ok(())
    }

    /// A request was verified.
    pub(super) fn authenticated(&self, shared: &Shared) {
        self.connection.is_used.store(true, Ordering::Relaxed);
        self.running.get_or_init(|| self.connection.running.clone());
        if !self.connection.authenticated.swap(true, Ordering::Relaxed) {
            // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
            let admitted = self.connection.admitted.lock();
            admitted
                .unwrap_or_else(PoisonError::into_inner)
                .authenticated();
        }
        if let Some(source) = self.source {
            shared
                .site
                .throttle()
                .penalties()
                .authenticated(source, clock::now());
        }
    }

    /// The key that the client proved in the handshake of its own connection.
    pub(super) fn device(&self) -> Option<Thumbprint> {
        self.connection.device
    }

    /// Whether a credential in the request may be read by no one on its way: the connection has TLS, the
    /// client is on this machine, or a trusted proxy forwards the request and does not name plain HTTP as
    /// its scheme.
    pub(super) fn is_protected(&self, headers: &HeaderMap, shared: &Shared) -> bool {
        match self.is_proxied(shared) {
            true => is_forwarded_with_tls(headers).unwrap_or(true),
            false => {
                let address = self.connection.address.ip().to_canonical();
                self.connection.has_tls || address.is_loopback()
            }
        }
    }

    /// The scheme of the request's URI. A trusted proxy terminates TLS; a program on this machine, which
    /// has the address of a proxy there, calls the site without TLS.
    pub(super) fn scheme(&self, headers: &HeaderMap, shared: &Shared) -> &'static str {
        let is_forwarded = self.is_proxied(shared) && !self.is_local(headers);
        match self.connection.has_tls || is_forwarded {
            true => "https",
            false => "http",
        }
    }

    /// Whether a client on this machine may have sent the request itself, although proxies on this
    /// machine are trusted: it has no field that proxies add.
    pub(super) fn is_local(&self, headers: &HeaderMap) -> bool {
        self.connection.address.ip().to_canonical().is_loopback()
            && !FORWARDED.iter().any(|field| headers.contains_key(field))
    }

    /// Whether a trusted proxy forwards the request.
    pub(super) fn is_proxied(&self, shared: &Shared) -> bool {
        shared.proxies().has(self.connection.address.ip())
    }

    /// The seconds until the penalty of the source ends; `None` if it has none. It is checked for each
    /// request, since a connection may outlive the check at its beginning.
    pub(super) fn refused_for(&self, shared: &Shared) -> Option<u64> {
        let (source, now) = (self.source?, clock::now());
        let penalties = shared.site.throttle().penalties();
        let until = penalties.refused_until(source, now)?;
        let left = until.millis().saturating_sub(now.millis());
        Some(u64::try_from(left).unwrap_or_default().div_ceil(1_000))
    }

    pub(super) fn punish(&self, abuse: Abuse, shared: &Shared) {
        if let Some(source) = self.source.filter(|_| !self.is_unpunished) {
            let mut penalties = shared.site.throttle().penalties();
            penalties.record_abuse(source, abuse, clock::now());
        }
    }
}

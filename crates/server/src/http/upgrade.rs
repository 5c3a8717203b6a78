//! Opens a WebSocket: `GET /session`, for a session (`docs/protocol/session.md`, Over a WebSocket) or a
//! registration (`docs/protocol/device.md`, Sealed channel).
//!
//! A page of another site gets none, although it could only do what any program can: no cookie and no
//! other credential of the browser comes with the request. But its login attempts would count for
//! the address of the person who looks at it, and come from inside the site's network.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once, PoisonError};

use countersign_core::throttle::Source;
use countersign_proto::enrolment::channel::CHANNEL_SUBPROTOCOL;
use countersign_proto::session::SESSION_SUBPROTOCOL;
use data_encoding::BASE64;
use hyper::header::{
    self, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
};
use hyper::http::uri::Authority;
use hyper::upgrade::{OnUpgrade, on};
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::{debug, warn};

use super::reply::{self, Reply};
use super::request_body::RequestBody;
use super::{Connection, RequestOrigin};
use crate::admission::Admitted;
use crate::connection::{self, WebSocketBytes};
use crate::device;
use crate::proxies::{self, Proxies};
use crate::runtime::shared::Shared;

/// A request to upgrade that was answered.
pub(super) struct Accepted {
    on: OnUpgrade,
    carries: Subprotocol,
    /// The client that a trusted proxy named.
    client: Option<IpAddr>,
    /// The place of the session, if it does not keep that of the connection.
    place: Option<Admitted>,
}

/// What a WebSocket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subprotocol {
    Session,
    /// A sealed channel, over which a pass phrase is set with a ticket.
    Registration,
}

impl Subprotocol {
    const ALL: [Self; 2] = [Self::Session, Self::Registration];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Session => SESSION_SUBPROTOCOL,
            Self::Registration => CHANNEL_SUBPROTOCOL,
        }
    }

    /// The first of ours that a request offers.
    fn offered(headers: &HeaderMap) -> Option<Self> {
        let is_offered =
            |one: &Self| lists(headers, SEC_WEBSOCKET_PROTOCOL, |name| name == one.name());
        Self::ALL.into_iter().find(is_offered)
    }
}

/// Why a request opens no WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no upgrade to version 13 of WebSocket with one of our subprotocols.
    NotUpgrade,
    /// A page of another origin sent it.
    Origin,
}

/// Answers the request (RFC 6455, section 4.2.2).
pub(super) fn answer(
    mut request: Request<RequestBody>,
    origin: &RequestOrigin,
    shared: &Shared,
) -> Reply {
    let key = match request.version() {
        Version::HTTP_11 => key(request.headers(), shared.origins()),
        _ => Err(Refused::NotUpgrade),
    };
    match key.map(|(key, carries)| (derive_accept_key(key.as_bytes()), carries)) {
        Ok((accept, carries)) => {
            let (connection, proxies) = (&origin.connection, shared.proxies());
            let client = client(request.headers(), connection.address, &proxies);
            // If all clients of a proxy counted as one, an attacker among them would close logins for
            // all; so a proxy has to name them.
            let is_proxied = origin.is_proxied(shared) && !origin.is_local(request.headers());
            if client.is_none() && is_proxied {
                warn_once();
                return reply::client_unknown();
            }
            let admitted = connection.admitted.lock();
            let place = admitted
                .unwrap_or_else(PoisonError::into_inner)
                .for_session(client.map(Source::from));
            let place = match place {
                Ok(place) => place,
                Err(reason) => {
                    debug!(peer = %connection.address, %reason, "a session was rejected");
                    return reply::busy();
                }
            };
            let accepted = Accepted {
                on: on(&mut request),
                carries,
                client,
                place,
            };
            let upgrade = connection.upgrade.lock();
            *upgrade.unwrap_or_else(PoisonError::into_inner) = Some(accepted);
            connection.upgraded.set();
            reply::web_socket(&accept, carries.name())
        }
        Err(refused) => refused.reply(),
    }
}

impl Refused {
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::NotUpgrade => reply::upgrade_required(),
            Self::Origin => reply::foreign_origin(),
        }
    }
}

/// Tells the operator once why sessions through the proxy are refused.
fn warn_once() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        warn!(
            "a session through a trusted proxy was refused, because the site does not know its client; \
             set listen.http_forwarded = true if the proxy sets x-forwarded-for"
        );
    });
}

/// The client that a trusted proxy names.
fn client(headers: &HeaderMap, connection: SocketAddr, proxies: &Proxies) -> Option<IpAddr> {
    let is_named = proxies.trust_forwarded && proxies.has(connection.ip());
    let lines = headers.get_all(proxies::FIELD).iter().rev();
    is_named
        .then(|| proxies.client(lines.map(HeaderValue::as_bytes)))
        .flatten()
}

/// Serves the session, or the registration, of a connection on which such a request was answered.
/// `ended` tells that the connection is evicted.
pub(super) async fn serve(
    connection: Connection,
    ended: Option<oneshot::Receiver<()>>,
    shared: Arc<Shared>,
) {
    let accepted = connection.upgrade.into_inner();
    let Some(accepted) = accepted.unwrap_or_else(PoisonError::into_inner) else {
        return;
    };
    // The limits of sessions apply from here on.
    drop(connection.held);
    let mut address = connection.address;
    let upgraded = match accepted.on.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            debug!(peer = %address, %error, "a connection did not become a WebSocket");
            return;
        }
    };
    if let Some(client) = accepted.client {
        address.set_ip(client);
    }
    let admitted = connection.admitted.into_inner();
    let mut admitted = admitted.unwrap_or_else(PoisonError::into_inner);
    match accepted.place {
        // The place of the connection is free from here on.
        Some(place) => admitted = place,
        None => admitted.return_ended(ended),
    }
    // The client sent its request.
    admitted.byte_received();
    let socket = WebSocketBytes::over(TokioIo::new(upgraded)).await;
    match accepted.carries {
        Subprotocol::Session => connection::serve(socket, address, admitted, shared).await,
        Subprotocol::Registration => {
            device::serve_sealed(socket, address, admitted, shared).await;
        }
    }
}

/// The key of a request to upgrade, and what it offers.
pub(super) fn key<'h>(
    headers: &'h HeaderMap,
    origins: &[String],
) -> Result<(&'h str, Subprotocol), Refused> {
    let is_upgrade = lists(headers, CONNECTION, |one| {
        one.eq_ignore_ascii_case("upgrade")
    }) && lists(headers, header::UPGRADE, |one| {
        one.eq_ignore_ascii_case("websocket")
    }) && only(headers, SEC_WEBSOCKET_VERSION) == Some("13");
    let key = only(headers, SEC_WEBSOCKET_KEY)
        .filter(|key| is_upgrade && is_key(key))
        .zip(Subprotocol::offered(headers))
        .ok_or(Refused::NotUpgrade)?;
    match may_come_from(headers, origins) {
        true => Ok(key),
        false => Err(Refused::Origin),
    }
}

/// Whether a text is the Base64 of 16 bytes.
fn is_key(text: &str) -> bool {
    let decoded = BASE64.decode(text.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

/// Whether no page sent the request, or one of the site itself or of a configured origin.
fn may_come_from(headers: &HeaderMap, origins: &[String]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let Some(origin) = only(headers, ORIGIN) else {
        return false;
    };
    let is_configured = origins.iter().any(|own| own.eq_ignore_ascii_case(origin));
    is_configured || only(headers, HOST).is_some_and(|host| is_own(origin, host))
}

/// Whether a page comes from the host of the request, which is named by its address or as this machine.
/// With another name it has to be configured: an attacker can make a name of his lead to this server.
fn is_own(origin: &str, host: &str) -> bool {
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        && host.parse::<Authority>().is_ok_and(|authority| {
            let host = authority.host();
            let address = host.trim_start_matches('[').trim_end_matches(']');
            address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
        })
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok())
}

/// The value of a field that occurs once and is a text.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let count = headers.get_all(&name).iter().count();
    texts(headers, name)
        .next()
        .filter(|_| count == 1)
        .map(str::trim)
}

/// Whether a list, which may have several fields, has such an element.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    let mut elements = texts(headers, name).flat_map(|value| value.split(','));
    elements.any(|element| wanted(element.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [(&str, &str); 6] = [
        ("host", "site.example"),
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("sec-websocket-protocol", "chat, countersign.session.1"),
    ];

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// Whether a request with these fields, and an origin, opens a WebSocket.
    fn from(host: &'static str, origin: &'static str, configured: &str) -> Result<(), Refused> {
        let mut fields = headers(&FIELDS);
        fields.insert(HOST, HeaderValue::from_static(host));
        fields.append(ORIGIN, HeaderValue::from_static(origin));
        key(&fields, &[configured.to_owned()]).map(drop)
    }

    // SES-88
    #[test]
    fn a_request_to_upgrade_needs_each_of_its_fields() {
        let complete = headers(&FIELDS);
        let both = ("AAAAAAAAAAAAAAAAAAAAAA==", Subprotocol::Session);
        assert_eq!(key(&complete, &[]), Ok(both));
        for missing in FIELDS.iter().skip(1) {
            let fields: Vec<_> = FIELDS
                .into_iter()
                .filter(|field| field != missing)
                .collect();
            let refused = key(&headers(&fields), &[]).map(drop);
            assert_eq!(refused, Err(Refused::NotUpgrade), "without {missing:?}");
        }
        for (name, value) in [
            ("sec-websocket-key", "AAAA"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-protocol", "countersign.device.1"),
            ("upgrade", "h2c"),
        ] {
            let mut fields = headers(&FIELDS);
            fields.insert(name, HeaderValue::from_static(value));
            let refused = key(&fields, &[]).map(drop);
            assert_eq!(refused, Err(Refused::NotUpgrade), "{name}: {value}");
        }
        let mut twice = headers(&FIELDS);
        twice.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(FIELDS[4].1));
        assert!(key(&twice, &[]).is_err());
    }

    // SES-89
    #[test]
    fn a_page_of_another_origin_opens_no_web_socket() {
        let own = "https://console.example";
        assert_eq!(from("site.example", own, own), Ok(()));
        assert_eq!(from("site.example", "https://CONSOLE.example", own), Ok(()));
        for (host, origin) in [
            ("127.0.0.1:4749", "http://127.0.0.1:4749"),
            ("[::1]:4749", "http://[::1]:4749"),
            ("localhost:4749", "http://localhost:4749"),
            ("192.0.2.1", "https://192.0.2.1"),
        ] {
            assert_eq!(from(host, origin, own), Ok(()), "{origin}");
        }
        for (host, origin) in [
            ("site.example", "https://evil.example"),
            ("site.example", "http://console.example"),
            ("site.example", "https://console.example:8443"),
            ("site.example", "null"),
            ("site.example", ""),
            ("127.0.0.1:4749", "http://127.0.0.1:4750"),
            ("127.0.0.1:4749", "http://localhost:4749"),
            // A name of the attacker that leads to this server.
            ("evil.example", "http://evil.example"),
            ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example"),
        ] {
            assert_eq!(from(host, origin, own), Err(Refused::Origin), "{origin}");
        }
        let mut two = headers(&FIELDS);
        two.append(ORIGIN, HeaderValue::from_static("https://console.example"));
        two.append(ORIGIN, HeaderValue::from_static("https://evil.example"));
        let refused = key(&two, &[own.to_owned()]).map(drop);
        assert_eq!(refused, Err(Refused::Origin));
    }
}

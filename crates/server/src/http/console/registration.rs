//! Registrations through `countersign console`: the sealed channel of a page goes to the HTTP listener of the
//! site, which alone takes it (`docs/protocol/device.md`, Sealed channel).

use std::io;
use std::time::Duration;

use countersign_core::public_url::PublicUrl;
use countersign_proto::enrolment::channel::CHANNEL_SUBPROTOCOL;
use reqwest::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Upgraded, Url};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How long the site may take to open a WebSocket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens WebSockets for registrations at the HTTP listener of a site.
pub(super) struct Registrations {
    url: Url,
    client: Client,
}

impl Registrations {
    /// At this base URL. Does not connect.
    ///
    /// # Errors
    /// It is no URL, or TLS cannot be set up.
    pub(super) fn at(base: &PublicUrl) -> io::Result<Self> {
        let url = Url::parse(&format!("{}/session", base.as_str())).map_err(io::Error::other)?;
        let client = Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            // The channel is sealed to the site key, which the page pins: it needs no certificate, and one of the
            // site key has no authority behind it.
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { url, client })
    }

    /// Opens a WebSocket with the key of a browser's request. What passes over it are the browser's own frames.
    ///
    /// # Errors
    /// The site cannot be reached, or did not open one.
    pub(super) async fn open(&self, key: &str) -> io::Result<Upgraded> {
        let request = self.client.get(self.url.clone()).headers(fields(key)?);
        let opened = timeout(OPEN_TIMEOUT, request.send()).await?;
        let response = opened.map_err(io::Error::other)?;
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        let accepts = accept.is_some_and(|accept| *accept == *derive_accept_key(key.as_bytes()));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepts {
            let status = response.status();
            return Err(io::Error::other(format!("the site answered {status}")));
        }
        response.upgrade().await.map_err(io::Error::other)
    }
}

/// Those of the request. There is no `Origin`, since no page sends it.
fn fields(key: &str) -> io::Result<HeaderMap> {
    let fixed = |(name, value): (HeaderName, &'static str)| (name, HeaderValue::from_static(value));
    let mut fields = HeaderMap::from_iter(
        [
            (CONNECTION, "upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_PROTOCOL, CHANNEL_SUBPROTOCOL),
        ]
        .map(fixed),
    );
    let key = HeaderValue::from_str(key).map_err(io::Error::other)?;
    fields.insert(SEC_WEBSOCKET_KEY, key);
    Ok(fields)
}

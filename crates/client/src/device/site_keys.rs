//! Which key a site proves in TLS, and how a client learns that the site has replaced it
//! (`docs/protocol/device.md`, Key events).
//!
//! ```text
//! TLS with the known key --proved---------------------------------> connected
//!       |                                                              ^
//!       '--another key--> TLS with any key: key events, verified,      |
//!                         the newest one has that key --> close, TLS with it
//! ```

use std::sync::Arc;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::sign::VerifyingKey;
use countersign_net::tls::{Connector, TlsStream};
use countersign_proto::site_identity::{
    KeyEventWalk, KeyEventsError, KeyEventsRequest, KnownSite, MAX_KEY_EVENTS_LINE, WalkStep,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connecting::{self, DeviceError};
use crate::known_site::SharedKnownSite;

/// How often a client connects again because the site replaced its key meanwhile.
const MAX_RETRIES: usize = 2;

/// What is known of a site: at first a pinned key, later its newest key event. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct SitePin {
    key: VerifyingKey,
    pub(crate) known: SharedKnownSite,
}

impl SitePin {
    pub(crate) fn new(key: VerifyingKey) -> Self {
        Self {
            key,
            known: SharedKnownSite::default(),
        }
    }

    /// The key that the site should prove.
    fn key(&self) -> VerifyingKey {
        let key = |known: KnownSite| known.keys().signing;
        self.known.get().map_or(self.key, key)
    }

    fn walk(&self) -> KeyEventWalk {
        let first = || KeyEventWalk::first_contact(self.key);
        self.known
            .get()
            .map_or_else(first, KeyEventWalk::from_known)
    }
}

/// Connects to the site, which proves the key of its newest key event.
pub(crate) async fn open(
    address: &str,
    site: &SitePin,
    identity: Option<Arc<DeviceIdentity>>,
) -> Result<TlsStream<TcpStream>, DeviceError> {
    let pinned = || Connector::new(site.key(), identity.clone());
    for _ in 0..MAX_RETRIES {
        match connecting::open(address, pinned()?).await {
            Err(DeviceError::WrongSite { .. }) => follow(address, site).await?,
            connected => return connected,
        }
    }
    connecting::open(address, pinned()?).await
}

/// Connects to the site that has or had this key, without a key of a device, and learns its key
/// events.
pub(crate) async fn open_known(
    address: &str,
    pin: VerifyingKey,
) -> Result<(TlsStream<TcpStream>, KnownSite), DeviceError> {
    let site = SitePin::new(pin);
    for _ in 0..=MAX_RETRIES {
        let mut stream = open(address, &site, None).await?;
        if let Some(known) = site.known.get() {
            return Ok((stream, known));
        }
        match page(&mut stream, address, site.walk()).await? {
            WalkStep::Done(known) if known.keys().signing == pin => return Ok((stream, known)),
            WalkStep::Done(known) => site.known.remember(known),
            WalkStep::More(_) => follow(address, &site).await?,
        }
    }
    Err(wrong_site(address))
}

/// Follows the site's key events to the newest one: a page for each connection. The server proves
/// the key of that event; before, it is not trusted and learns nothing.
async fn follow(address: &str, site: &SitePin) -> Result<(), DeviceError> {
    let mut walk = site.walk();
    loop {
        let mut stream = connecting::open(address, Connector::any_site()?).await?;
        let proved = stream
            .peer_key()
            .ok()
            .flatten()
            .and_then(|key| key.ed25519());
        walk = match page(&mut stream, address, walk).await? {
            WalkStep::More(more) => more,
            WalkStep::Done(known) if proved == Some(known.keys().signing) => {
                site.known.remember(known);
                return Ok(());
            }
            WalkStep::Done(_) => return Err(wrong_site(address)),
        };
    }
}

/// Requests a page of key events, and verifies it.
async fn page(
    stream: &mut TlsStream<TcpStream>,
    address: &str,
    walk: KeyEventWalk,
) -> Result<WalkStep, DeviceError> {
    let request = KeyEventsRequest(walk.wanted()).to_line();
    let handshake = |cause| DeviceError::Handshake {
        address: address.to_owned(),
        cause,
    };
    stream.write_all(&request).await.map_err(handshake)?;
    stream.flush().await.map_err(handshake)?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') && line.len() <= MAX_KEY_EVENTS_LINE {
        line.push(stream.read_u8().await.map_err(handshake)?);
    }
    let page = KeyEventsRequest::read_answer(&line);
    let step = page.and_then(|page| walk.receive(&page));
    step.map_err(|error| match error {
        KeyEventsError::UnknownPin => wrong_site(address),
        error => DeviceError::KeyEvents(error),
    })
}

fn wrong_site(address: &str) -> DeviceError {
    DeviceError::WrongSite {
        address: address.to_owned(),
    }
}

//! A sealed channel to a site without TLS (`docs/protocol/device.md`, Sealed channel): a program that
//! reaches the site through a WebSocket, such as a web page, sets a pass phrase over it.
//!
//! ```text
//! client                                                 site
//!   | --> X-Wing public key, of this connection only       |  client::AwaitingSiteKey, AwaitingClientKey
//!   |     encapsulated key, site key, signature        <-- |  ClientKey
//!   | <=> records: length, ciphertext                  <=> |  SealedChannel
//! ```
//!
//! The signature covers both ephemeral values, so the holder of the site key alone shares the secret
//! with the client. The client is anonymous. The lines in the records are those of
//! the device port; in their proofs, the channel's [`Exporter`](super::Exporter) takes the place of
//! that of TLS.

pub mod client;

mod records;
mod site;

use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::sealing::hybrid;
use countersign_crypto::secret::Secret;
use countersign_crypto::sign::VerifyingKey;

pub use records::{BadSealedRecord, MAX_SEALED_RECORD, SealedChannel};
pub use site::{AwaitingClientKey, BadClientKey, ClientKey, ClientKeyStep};

/// The subprotocol of the WebSocket that carries the channel.
pub const CHANNEL_SUBPROTOCOL: &str = "countersign.registration.1";
/// The length of the client's message: an X-Wing public key, in bytes.
pub const CLIENT_KEY_LENGTH: usize = hybrid::PUBLIC_KEY_LENGTH;
/// The length of the site's message in bytes: encapsulated key, site key, signature.
pub const SITE_KEY_LENGTH: usize = hybrid::ENCAPSULATED_LENGTH + 32 + 64;

/// What the site's signature is for, so that it is of no use elsewhere.
const PURPOSE: &[u8] = b"countersign sealed channel 1\0";

/// What the site signs. Each part has a fixed length.
fn signed(client: &[u8], encapsulated: &[u8], site: &VerifyingKey) -> Vec<u8> {
    [PURPOSE, client, encapsulated, &site.0].concat()
}

/// The keys of a channel.
struct ChannelKeys {
    from_client: Secret<32>,
    from_site: Secret<32>,
    exporter: Secret<32>,
}

impl ChannelKeys {
    /// Derives the keys from the shared secret and what the site signed.
    fn derive(shared: &Secret<32>, signed: &[u8]) -> Self {
        let (shared, transcript) = (shared.expose(), sha256(signed));
        Self {
            from_client: derive(shared, "sealed channel from client", &transcript),
            from_site: derive(shared, "sealed channel from site", &transcript),
            exporter: derive(shared, "sealed channel exporter", &transcript),
        }
    }
}

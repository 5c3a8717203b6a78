//! The site's side of opening a sealed channel.
//!
//! ```text
//! AwaitingClientKey --receive: part of the key--> AwaitingClientKey
//!       |-- receive: the whole key ---------> ClientKey: wait for a turn at public-key work, then answer
//!       '-- receive: not a key -------------> BadClientKey: close without an answer
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::sealing::SealingError;
use countersign_crypto::sealing::hybrid::{BadHybridPublic, HybridPublic};
use countersign_crypto::sign::SigningKey;

use super::records::{End, SealedChannel};
use super::{CLIENT_KEY_LENGTH, ChannelKeys, SITE_KEY_LENGTH, signed};

/// The client's key has not arrived completely.
#[derive(Debug, Default)]
pub struct AwaitingClientKey(Vec<u8>);

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum ClientKeyStep {
    /// The key is incomplete: read at most [`AwaitingClientKey::room`] bytes more.
    More(AwaitingClientKey),
    /// The key is complete.
    Key(ClientKey),
}

/// The client's key, whose form was checked.
#[derive(Debug)]
pub struct ClientKey(HybridPublic);

/// Why a channel is not opened. Close without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClientKey {
    /// It is not an X-Wing public key.
    #[error(transparent)]
    Key(#[from] BadHybridPublic),
    /// Its X25519 half is a point of small order.
    #[error("the client's key is a point of small order")]
    SmallOrder(#[from] SealingError),
}

impl AwaitingClientKey {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        CLIENT_KEY_LENGTH - self.0.len()
    }

    /// Takes bytes that arrived, of which those beyond [`Self::room`] do not count. No public-key
    /// work is done.
    ///
    /// # Errors
    /// [`BadClientKey`].
    pub fn receive(mut self, bytes: &[u8]) -> Result<ClientKeyStep, BadClientKey> {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.room()));
        self.0.extend_from_slice(bytes);
        match self.0.len() == CLIENT_KEY_LENGTH {
            true => Ok(ClientKeyStep::Key(ClientKey(HybridPublic::from_bytes(
                &self.0,
            )?))),
            false => Ok(ClientKeyStep::More(self)),
        }
    }
}

impl ClientKey {
    /// Opens the channel with the site's signing key. Returns the bytes to send. This is public-key
    /// work: an encapsulation and a signature.
    ///
    /// # Errors
    /// [`BadClientKey::SmallOrder`].
    pub fn answer(
        &self,
        site: &SigningKey,
        entropy: &mut dyn Entropy,
    ) -> Result<(SealedChannel, Vec<u8>), BadClientKey> {
        let (encapsulated, shared) = self.0.encapsulate(entropy)?;
        let public = site.verifying();
        let signed = signed(self.0.as_bytes(), &encapsulated, &public);
        let signature = site.sign(&signed);
        let answer = [&encapsulated[..], &public.0, &signature.0].concat();
        debug_assert_eq!(answer.len(), SITE_KEY_LENGTH);
        let keys = ChannelKeys::derive(&shared, &signed);
        Ok((SealedChannel::new(&keys, End::Site), answer))
    }
}

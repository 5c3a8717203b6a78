//! The client's side of opening a sealed channel.
//!
//! ```text
//! AwaitingSiteKey::start --> the key to send
//!       |-- receive: part of the answer --> AwaitingSiteKey
//!       `-- receive: the whole answer ----> SealedChannel and the key that the site proved
//! ```

use countersign_crypto::entropy::Entropy;
use countersign_crypto::sealing::SealingError;
use countersign_crypto::sealing::hybrid::{self, HybridKey};
use countersign_crypto::sign::{BadSignature, Signature, VerifyingKey};

use super::records::{End, SealedChannel};
use super::{ChannelKeys, SITE_KEY_LENGTH, signed};

/// The client's key was sent and the site has not answered completely.
#[derive(Debug)]
pub struct AwaitingSiteKey {
    key: HybridKey,
    answer: Vec<u8>,
}

/// The result of bytes that arrived.
#[derive(Debug)]
pub enum SiteKeyStep {
    /// The answer is incomplete: read at most [`AwaitingSiteKey::room`] bytes more.
    More(AwaitingSiteKey),
    /// The channel is open to the holder of this key. Compare it with the site's newest key event
    /// before you send a secret.
    Open(Box<SealedChannel>, VerifyingKey),
}

/// Why there is no channel. Nothing secret was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSiteKey {
    /// The encapsulated key is invalid.
    #[error("the server's answer has no valid key")]
    Encapsulated(#[from] SealingError),
    /// The signature is not by the key in the answer over this dialog.
    #[error("the server does not prove the site key that it sent")]
    Signature(#[from] BadSignature),
}

impl AwaitingSiteKey {
    /// Generates a key for one connection. Returns the bytes to send.
    #[must_use]
    pub fn start(entropy: &mut dyn Entropy) -> (Self, Vec<u8>) {
        let key = HybridKey::generate(entropy);
        let public = key.public().as_bytes().to_vec();
        let answer = Vec::with_capacity(SITE_KEY_LENGTH);
        (Self { key, answer }, public)
    }

    /// How many bytes may still be read: at least 1.
    #[must_use]
    pub fn room(&self) -> usize {
        SITE_KEY_LENGTH - self.answer.len()
    }

    /// Takes bytes that arrived, of which those beyond [`Self::room`] do not count.
    ///
    /// # Errors
    /// [`BadSiteKey`]; the connection must be closed.
    pub fn receive(mut self, bytes: &[u8]) -> Result<SiteKeyStep, BadSiteKey> {
        let (bytes, _) = bytes.split_at(bytes.len().min(self.room()));
        self.answer.extend_from_slice(bytes);
        let Ok(answer) = <[u8; SITE_KEY_LENGTH]>::try_from(self.answer.as_slice()) else {
            return Ok(SiteKeyStep::More(self));
        };
        let (encapsulated, rest) = answer.split_at(hybrid::ENCAPSULATED_LENGTH);
        let (mut site, mut signature) = ([0; 32], [0; 64]);
        let (first, last) = rest.split_at(site.len());
        site.copy_from_slice(first);
        signature.copy_from_slice(last);
        let site = VerifyingKey(site);
        let signed = signed(self.key.public().as_bytes(), encapsulated, &site);
        site.verify(&signed, &Signature(signature))?;
        let shared = self.key.decapsulate(encapsulated)?;
        let keys = ChannelKeys::derive(&shared, &signed);
        let channel = SealedChannel::new(&keys, End::Client);
        Ok(SiteKeyStep::Open(Box::new(channel), site))
    }
}

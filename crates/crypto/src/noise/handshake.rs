//! The two messages, from either end.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

use super::resolver::{Drawn, Latest, Resolver};
use super::static_keys::{StaticKeyCache, StaticKeySecret};
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::entropy::Entropy;
use crate::record::RecordCipher;
use crate::secret::Secret;

/// What Noise adds to a payload in either message: keys and tags, in bytes.
const OVERHEAD: usize = 32 + 48 + 16;

/// The handshake failed: the message is not for this key, or not from the one that it names. Which of
/// the two it was, nobody learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the handshake failed")]
pub struct HandshakeFailed;

impl From<snow::Error> for HandshakeFailed {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// What a finished handshake gives both ends.
pub struct HandshakeKeys {
    /// From the initiator, which is the client.
    pub client_to_server: Secret<32>,
    /// From the responder, which is the server.
    pub server_to_client: Secret<32>,
    /// Noise's handshake hash: names this handshake, is not secret.
    pub transcript: [u8; 32],
}

impl HandshakeKeys {
    fn of(state: &mut HandshakeState) -> Result<Self, HandshakeFailed> {
        let transcript = state
            .get_handshake_hash()
            .try_into()
            .map_err(|_| HandshakeFailed)?;
        let (mut first, mut second) = state.dangerously_get_raw_split();
        let keys = Self {
            client_to_server: Secret::from_bytes(first),
            server_to_client: Secret::from_bytes(second),
            transcript,
        };
        first.zeroize();
        second.zeroize();
        Ok(keys)
    }
}

/// The client's end, its first message sent.
pub struct Initiator {
    state: HandshakeState,
    met: Arc<StaticKeySecret>,
    known: Option<Arc<StaticKeyCache>>,
}

impl Initiator {
    /// Starts a handshake with the owner of `peer`; returns message 1, which hides `payload` and our
    /// public key from all but them.
    ///
    /// # Errors
    /// [`HandshakeFailed`] when `peer` is no key that can be agreed with.
    pub fn start(
        own: &AgreementKey,
        peer: &AgreementPublic,
        prologue: &[u8],
        cipher: RecordCipher,
        payload: &[u8],
        known: Option<&Arc<StaticKeyCache>>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), HandshakeFailed> {
        let drawn = Arc::new(Mutex::new(Some(Secret::generate(entropy))));
        let latest = Latest::default();
        let mut state = builder(own, cipher, known, drawn, latest.clone())
            .local_private_key(own.secret().expose())?
            .remote_public_key(&peer.0)?
            .prologue(prologue)?
            .build_initiator()?;
        let mut message = vec![0; payload.len() + OVERHEAD];
        let length = state.write_message(payload, &mut message)?;
        message.truncate(length);
        let met = static_secret(own, *peer, &latest)?;
        let known = known.cloned();
        Ok((Self { state, met, known }, message))
    }

    /// Reads message 2 with the psk that both ends have by now; returns its payload and the keys. That
    /// it opens proves the peer.
    ///
    /// # Errors
    /// [`HandshakeFailed`] when the peer has not proved its key.
    pub fn finish(
        mut self,
        psk: &Secret<32>,
        message: &[u8],
    ) -> Result<(Vec<u8>, HandshakeKeys), HandshakeFailed> {
        self.state.set_psk(2, psk.expose())?;
        let mut payload = vec![0; message.len()];
        let length = self.state.read_message(message, &mut payload)?;
        payload.truncate(length);
        if let Some(known) = &self.known {
            known.remember(&self.met);
        }
        Ok((payload, HandshakeKeys::of(&mut self.state)?))
    }
}

/// The server's end, message 1 read.
pub struct Responder {
    state: HandshakeState,
    met: Arc<StaticKeySecret>,
    drawn: Drawn,
}

impl Responder {
    /// Reads message 1; returns its payload and the public key that its sender has proved (though the
    /// message may be an old one, sent again).
    ///
    /// # Errors
    /// [`HandshakeFailed`] when it was not sealed to `own` or is damaged.
    pub fn read(
        own: &AgreementKey,
        prologue: &[u8],
        cipher: RecordCipher,
        message: &[u8],
        known: Option<&Arc<StaticKeyCache>>,
    ) -> Result<(Self, Vec<u8>, AgreementPublic), HandshakeFailed> {
        let drawn = Drawn::default();
        let latest = Latest::default();
        let mut state = builder(own, cipher, known, drawn.clone(), latest.clone())
            .local_private_key(own.secret().expose())?
            .prologue(prologue)?
            .build_responder()?;
        let mut payload = vec![0; message.len()];
        let length = state.read_message(message, &mut payload)?;
        payload.truncate(length);
        let peer = state
            .get_remote_static()
            .and_then(|key| key.try_into().ok());
        let peer = AgreementPublic(peer.ok_or(HandshakeFailed)?);
        let met = static_secret(own, peer, &latest)?;
        Ok((Self { state, met, drawn }, payload, peer))
    }

    /// What [`StaticKeyCache`] may remember for this peer's next handshakes, once the peer has proved that
    /// this one is no old one sent again, and is known.
    #[must_use]
    pub fn static_secret(&self) -> Arc<StaticKeySecret> {
        self.met.clone()
    }

    /// Writes message 2 with `payload`; returns it and the keys.
    ///
    /// # Errors
    /// [`HandshakeFailed`] when the peer's ephemeral key cannot be agreed with.
    pub fn finish(
        mut self,
        psk: &Secret<32>,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Vec<u8>, HandshakeKeys), HandshakeFailed> {
        *self.drawn.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Secret::generate(entropy));
        self.state.set_psk(2, psk.expose())?;
        let mut message = vec![0; payload.len() + OVERHEAD];
        let length = self.state.write_message(payload, &mut message)?;
        message.truncate(length);
        Ok((message, HandshakeKeys::of(&mut self.state)?))
    }
}

static AES_GCM: LazyLock<Option<NoiseParams>> =
    LazyLock::new(|| "Noise_IKpsk2_25519_AESGCM_SHA256".parse().ok());
static CHACHA_POLY: LazyLock<Option<NoiseParams>> =
    LazyLock::new(|| "Noise_IKpsk2_25519_ChaChaPoly_SHA256".parse().ok());

/// The two static keys and their secret, once message 1 is written or read.
fn static_secret(
    own: &AgreementKey,
    peer: AgreementPublic,
    latest: &Latest,
) -> Result<Arc<StaticKeySecret>, HandshakeFailed> {
    let secret = latest.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Arc::new(StaticKeySecret {
        own: *own.public(),
        peer,
        secret: secret.ok_or(HandshakeFailed)?,
    }))
}

fn builder<'a>(
    own: &AgreementKey,
    cipher: RecordCipher,
    known: Option<&Arc<StaticKeyCache>>,
    drawn: Drawn,
    latest: Latest,
) -> Builder<'a> {
    let params = match cipher {
        RecordCipher::Aes256Gcm | RecordCipher::Aes128Gcm => &*AES_GCM,
        RecordCipher::ChaCha20Poly1305 => &*CHACHA_POLY,
    };
    let Some(params) = params.clone() else {
        // Both names are fixed, and a test runs a handshake with each.
        std::process::abort();
    };
    let resolver = Resolver {
        own: own.clone(),
        known: known.cloned(),
        drawn,
        latest,
    };
    Builder::with_resolver(params, Box::new(resolver))
}

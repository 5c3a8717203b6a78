//! The two handshake messages, for initiator and responder.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

use super::resolver::{EphemeralSecret, LastStaticSecret, Resolver};
use super::static_keys::{StaticKeyCache, StaticKeySecret};
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::entropy::Entropy;
use crate::record::RecordCipher;
use crate::secret::Secret;

/// What Noise adds to a payload in either message at most: keys and tags, in bytes.
const OVERHEAD: usize = 32 + 48 + 16;

/// The handshake failed: the message was sealed to another key, or its sender does not have the key
/// that it names. The two cases are not distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the handshake failed")]
pub struct HandshakeError;

impl From<snow::Error> for HandshakeError {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// The keys after a completed handshake.
pub struct HandshakeKeys {
    /// For messages from the client, which is the initiator.
    pub client_to_server: Secret<32>,
    /// For messages from the server, which is the responder.
    pub server_to_client: Secret<32>,
    /// The handshake hash, which identifies this handshake. It is not secret.
    pub transcript: [u8; 32],
}

impl HandshakeKeys {
    fn of(state: &mut HandshakeState) -> Result<Self, HandshakeError> {
        let transcript = state
            .get_handshake_hash()
            .try_into()
            .map_err(|_| HandshakeError)?;
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

/// The client's state after message 1.
pub struct Initiator {
    state: HandshakeState,
    static_secret: Arc<StaticKeySecret>,
    cache: Option<Arc<StaticKeyCache>>,
}

impl Initiator {
    /// Starts a handshake with the owner of `peer`. Returns message 1, in which `payload` and our
    /// public key are encrypted to `peer`.
    ///
    /// # Errors
    /// [`HandshakeError`] if `peer` is a point of small order.
    pub fn start(
        own: &AgreementKey,
        peer: &AgreementPublic,
        prologue: &[u8],
        cipher: RecordCipher,
        payload: &[u8],
        cache: Option<&Arc<StaticKeyCache>>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let ephemeral_secret = Arc::new(Mutex::new(Some(Secret::generate(entropy))));
        let last_static = LastStaticSecret::default();
        let mut state = builder(own, cipher, cache, ephemeral_secret, last_static.clone())
            .local_private_key(own.secret().expose())?
            .remote_public_key(&peer.0)?
            .prologue(prologue)?
            .build_initiator()?;
        let mut message = vec![0; payload.len() + OVERHEAD];
        let length = state.write_message(payload, &mut message)?;
        message.truncate(length);
        let static_secret = static_secret(own, *peer, &last_static)?;
        let cache = cache.cloned();
        Ok((
            Self {
                state,
                static_secret,
                cache,
            },
            message,
        ))
    }

    /// Reads message 2 with the psk, and returns its payload and the keys. Success authenticates
    /// the peer.
    ///
    /// # Errors
    /// [`HandshakeError`] if the peer is not authenticated.
    pub fn finish(
        mut self,
        psk: &Secret<32>,
        message: &[u8],
    ) -> Result<(Vec<u8>, HandshakeKeys), HandshakeError> {
        self.state.set_psk(2, psk.expose())?;
        let mut payload = vec![0; message.len()];
        let length = self.state.read_message(message, &mut payload)?;
        payload.truncate(length);
        if let Some(cache) = &self.cache {
            cache.remember(&self.static_secret);
        }
        Ok((payload, HandshakeKeys::of(&mut self.state)?))
    }
}

/// The server's state after message 1.
pub struct Responder {
    state: HandshakeState,
    static_secret: Arc<StaticKeySecret>,
    ephemeral_secret: EphemeralSecret,
}

impl Responder {
    /// Reads message 1. Returns its payload and the sender's public key. The sender is
    /// authenticated, but the message may be a replay.
    ///
    /// # Errors
    /// [`HandshakeError`] if the message was not encrypted to `own` or is damaged.
    pub fn read(
        own: &AgreementKey,
        prologue: &[u8],
        cipher: RecordCipher,
        message: &[u8],
        cache: Option<&Arc<StaticKeyCache>>,
    ) -> Result<(Self, Vec<u8>, AgreementPublic), HandshakeError> {
        let ephemeral_secret = EphemeralSecret::default();
        let last_static = LastStaticSecret::default();
        let mut state = builder(
            own,
            cipher,
            cache,
            ephemeral_secret.clone(),
            last_static.clone(),
        )
        .local_private_key(own.secret().expose())?
        .prologue(prologue)?
        .build_responder()?;
        let mut payload = vec![0; message.len()];
        let length = state.read_message(message, &mut payload)?;
        payload.truncate(length);
        let peer = state
            .get_remote_static()
            .and_then(|key| key.try_into().ok());
        let peer = AgreementPublic(peer.ok_or(HandshakeError)?);
        let static_secret = static_secret(own, peer, &last_static)?;
        Ok((
            Self {
                state,
                static_secret,
                ephemeral_secret,
            },
            payload,
            peer,
        ))
    }

    /// The secret that [`StaticKeyCache`] may store for this peer's next handshakes, once it is
    /// known that this handshake is not a replay and that the peer has an account.
    #[must_use]
    pub fn static_secret(&self) -> Arc<StaticKeySecret> {
        self.static_secret.clone()
    }

    /// Writes message 2 with `payload`. Returns the message and the keys.
    ///
    /// # Errors
    /// [`HandshakeError`] if the peer's ephemeral key is a point of small order.
    pub fn finish(
        mut self,
        psk: &Secret<32>,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Vec<u8>, HandshakeKeys), HandshakeError> {
        *self
            .ephemeral_secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Secret::generate(entropy));
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

/// Takes the static-static secret after message 1.
fn static_secret(
    own: &AgreementKey,
    peer: AgreementPublic,
    last_static: &LastStaticSecret,
) -> Result<Arc<StaticKeySecret>, HandshakeError> {
    let secret = last_static
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    Ok(Arc::new(StaticKeySecret {
        own: *own.public(),
        peer,
        secret: secret.ok_or(HandshakeError)?,
    }))
}

fn builder<'a>(
    own: &AgreementKey,
    cipher: RecordCipher,
    cache: Option<&Arc<StaticKeyCache>>,
    ephemeral_secret: EphemeralSecret,
    last_static: LastStaticSecret,
) -> Builder<'a> {
    let params = match cipher {
        RecordCipher::Aes256Gcm | RecordCipher::Aes128Gcm => &*AES_GCM,
        RecordCipher::ChaCha20Poly1305 => &*CHACHA_POLY,
    };
    let Some(params) = params.clone() else {
        // Both names are constant, and tests use both.
        std::process::abort();
    };
    let resolver = Resolver {
        own: own.clone(),
        cache: cache.cloned(),
        ephemeral_secret,
        last_static,
    };
    Builder::with_resolver(params, Box::new(resolver))
}

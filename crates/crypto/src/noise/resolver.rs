//! Adapts the provider's primitives to `snow`.

use std::sync::{Arc, Mutex, PoisonError};

use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroize;

use super::static_keys::{Shared, StaticKeyCache};
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::provider::{AeadCipher, AeadKey, NONCE, Sha256State, hkdf_sha256};
use crate::secret::Secret;

/// The entropy for one handshake's ephemeral key. It is set when needed and taken once.
pub(super) type EphemeralSecret = Arc<Mutex<Option<Secret<32>>>>;

/// The last shared secret of our static key. After message 1 this is the static-static secret, for
/// initiator and responder. It is taken from here to avoid computing it again.
pub(super) type LastStaticSecret = Arc<Mutex<Option<Shared>>>;

/// Provides the primitives of one handshake.
pub(super) struct Resolver {
    pub(super) own: AgreementKey,
    pub(super) cache: Option<Arc<StaticKeyCache>>,
    pub(super) ephemeral_secret: EphemeralSecret,
    pub(super) last_static: LastStaticSecret,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SingleUseRng(self.ephemeral_secret.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| {
            let (own, cache) = (self.own.clone(), self.cache.clone());
            Box::new(X25519 {
                own,
                cache,
                last_static: self.last_static.clone(),
                ephemeral: None,
            }) as Box<dyn Dh>
        })
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        (*choice == HashChoice::SHA256).then(|| Box::new(Sha256(None)) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let chacha = *choice == CipherChoice::ChaChaPoly;
        Some(Box::new(Aead {
            chacha,
            key: Secret::from_bytes([0; 32]),
        }))
    }
}

/// A generator that returns the handshake's 32 bytes of entropy once.
struct SingleUseRng(EphemeralSecret);

impl Random for SingleUseRng {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let ephemeral_secret = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ephemeral_secret {
            Some(secret) if out.len() == 32 => {
                out.copy_from_slice(secret.expose());
                Ok(())
            }
            _ => Err(Error::Rng),
        }
    }
}

/// An X25519 key: our parsed static key, or an ephemeral key once one is generated.
struct X25519 {
    own: AgreementKey,
    cache: Option<Arc<StaticKeyCache>>,
    last_static: LastStaticSecret,
    ephemeral: Option<AgreementKey>,
}

impl X25519 {
    fn key(&self) -> &AgreementKey {
        self.ephemeral.as_ref().unwrap_or(&self.own)
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        // snow passes the static key as bytes; it is parsed already.
        let secret = Secret::<32>::try_from_slice(private);
        if secret.as_ref() != Some(self.own.secret()) {
            self.ephemeral = secret.map(AgreementKey::from_secret);
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut secret = [0; 32];
        rng.try_fill_bytes(&mut secret)?;
        self.ephemeral = Some(AgreementKey::from_secret(Secret::from_bytes(secret)));
        secret.zeroize();
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.key().public().0
    }

    fn privkey(&self) -> &[u8] {
        self.key().secret().expose()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // snow passes a buffer that is longer than the key.
        let public = public.first_chunk::<32>().ok_or(Error::Dh)?;
        let out = out.first_chunk_mut::<32>().ok_or(Error::Dh)?;
        let peer = AgreementPublic(*public);
        if let Some(ephemeral) = &self.ephemeral {
            let shared = ephemeral.agree(&peer).map_err(|_| Error::Dh)?;
            *out = *shared.expose();
            return Ok(());
        }
        let cache = self.cache.as_ref();
        let shared = match cache.and_then(|cache| cache.find(self.own.public(), public)) {
            Some(shared) => shared,
            None => Arc::new(self.own.agree(&peer).map_err(|_| Error::Dh)?),
        };
        *out = *shared.expose();
        *self
            .last_static
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(shared);
        Ok(())
    }
}

/// SHA-256 with a context that is created at the first input.
struct Sha256(Option<Sha256State>);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = None;
    }

    fn input(&mut self, data: &[u8]) {
        self.0.get_or_insert_with(Sha256State::new).update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        self.input(&[]);
        if let Some(context) = self.0.take() {
            fill(out, &context.finish());
        }
    }

    /// The HKDF of Noise (section 4.3) is that of RFC 5869 with empty info.
    fn hkdf(
        &mut self,
        chaining_key: &[u8],
        input: &[u8],
        outputs: usize,
        out1: &mut [u8],
        out2: &mut [u8],
        out3: &mut [u8],
    ) {
        let mut made = [0; 96];
        let made = made.get_mut(..32 * outputs).unwrap_or_default();
        if !hkdf_sha256(chaining_key, input, &[], made) {
            // HKDF fails only for long outputs, and Noise needs two or three keys.
            std::process::abort();
        }
        for (out, key) in [out1, out2, out3].into_iter().zip(made.chunks_exact(32)) {
            fill(out, key);
        }
        made.zeroize();
    }
}

fn fill(out: &mut [u8], bytes: &[u8]) {
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// A cipher that is set up at each use: most keys of a handshake are never used.
struct Aead {
    chacha: bool,
    key: Secret<32>,
}

impl Aead {
    fn ready(&self) -> AeadKey {
        let cipher = if self.chacha {
            AeadCipher::ChaCha20Poly1305
        } else {
            AeadCipher::Aes256Gcm
        };
        AeadKey::new(cipher, self.key.expose())
    }

    /// Noise, section 12: AES-GCM counts big-endian, ChaChaPoly little-endian.
    fn nonce(&self, number: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        if let Some(counter) = nonce.last_chunk_mut::<8>() {
            *counter = if self.chacha {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            };
        }
        nonce
    }
}

impl Cipher for Aead {
    fn name(&self) -> &'static str {
        if self.chacha { "ChaChaPoly" } else { "AESGCM" }
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.key = Secret::from_bytes(*key);
    }

    fn encrypt(&self, number: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let length = plaintext.len();
        let sealed = out.split_at_mut_checked(length).and_then(|(text, rest)| {
            text.copy_from_slice(plaintext);
            let tag = self.ready().seal(self.nonce(number), authtext, text)?;
            rest.get_mut(..16)?.copy_from_slice(&tag);
            Some(length + 16)
        });
        let Some(written) = sealed else {
            // snow provides enough room; only exhausted memory leads here. No plaintext may be
            // sent.
            std::process::abort();
        };
        written
    }

    fn decrypt(
        &self,
        number: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (text, tag) = ciphertext.split_last_chunk::<16>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        let opened = self
            .ready()
            .open_into(self.nonce(number), authtext, (text, tag), out);
        match opened {
            true => Ok(text.len()),
            false => Err(Error::Decrypt),
        }
    }
}

//! AWS-LC's primitives in the form that `snow` asks for.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroize;

use super::static_keys::{Shared, StaticKeyCache};
use crate::agreement::{AgreementKey, AgreementPublic};
use crate::secret::Secret;

/// The entropy of one handshake's ephemeral key: put in when it is needed, taken out once.
pub(super) type Drawn = Arc<Mutex<Option<Secret<32>>>>;

/// The secret that our static key was last part of. After message 1 that is the one shared with the
/// peer's static key, from either end; it is taken out then, so as not to be worked out again.
pub(super) type Latest = Arc<Mutex<Option<Shared>>>;

/// What one handshake gets its primitives from.
pub(super) struct Resolver {
    pub(super) own: AgreementKey,
    pub(super) known: Option<Arc<StaticKeyCache>>,
    pub(super) drawn: Drawn,
    pub(super) latest: Latest,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneDraw(self.drawn.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| {
            let (own, known) = (self.own.clone(), self.known.clone());
            Box::new(X25519 {
                own,
                known,
                latest: self.latest.clone(),
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

/// Gives out the 32 bytes that were drawn for this handshake, once.
struct OneDraw(Drawn);

impl Random for OneDraw {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match drawn {
            Some(secret) if out.len() == 32 => {
                out.copy_from_slice(secret.expose());
                Ok(())
            }
            _ => Err(Error::Rng),
        }
    }
}

/// One X25519 key: our static one, parsed long ago, until an ephemeral one is made.
struct X25519 {
    own: AgreementKey,
    known: Option<Arc<StaticKeyCache>>,
    latest: Latest,
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
        // The static key comes back as bytes; it is the one that is parsed already.
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
        // snow hands over a buffer that is longer than the key.
        let public = public.first_chunk::<32>().ok_or(Error::Dh)?;
        let out = out.first_chunk_mut::<32>().ok_or(Error::Dh)?;
        let peer = AgreementPublic(*public);
        if let Some(ephemeral) = &self.ephemeral {
            let shared = ephemeral.agree(&peer).map_err(|_| Error::Dh)?;
            *out = *shared.expose();
            return Ok(());
        }
        let known = self.known.as_ref();
        let shared = match known.and_then(|known| known.find(self.own.public(), public)) {
            Some(shared) => shared,
            None => Arc::new(self.own.agree(&peer).map_err(|_| Error::Dh)?),
        };
        *out = *shared.expose();
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(shared);
        Ok(())
    }
}

/// SHA-256; its context is made when there is something to take in.
struct Sha256(Option<digest::Context>);

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
        self.0
            .get_or_insert_with(|| digest::Context::new(&digest::SHA256))
            .update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        self.input(&[]);
        if let Some(context) = self.0.take() {
            fill(out, context.finish().as_ref());
        }
    }

    /// What Noise calls HKDF (section 4.3) is RFC 5869's with an empty info.
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
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, chaining_key)
            .extract(input)
            .expand(&[], Length(made.len()))
            .and_then(|okm| okm.fill(made));
        if filled.is_err() {
            // HKDF fails for lengths alone, and Noise asks for two or three outputs.
            std::process::abort();
        }
        for (out, key) in [out1, out2, out3].into_iter().zip(made.chunks_exact(32)) {
            fill(out, key);
        }
        made.zeroize();
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn fill(out: &mut [u8], bytes: &[u8]) {
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// A cipher that is set up when it first seals or opens: most keys of a handshake never do.
struct Aead {
    chacha: bool,
    key: Secret<32>,
}

impl Aead {
    fn ready(&self) -> Option<LessSafeKey> {
        let algorithm = if self.chacha {
            &CHACHA20_POLY1305
        } else {
            &AES_256_GCM
        };
        UnboundKey::new(algorithm, self.key.expose())
            .ok()
            .map(LessSafeKey::new)
    }

    /// Noise, section 12: AES-GCM counts big-endian, ChaChaPoly little-endian.
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = [0; 12];
        if let Some(counter) = nonce.last_chunk_mut::<8>() {
            *counter = if self.chacha {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            };
        }
        Nonce::assume_unique_for_key(nonce)
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
        let sealed =
            self.ready()
                .zip(out.split_at_mut_checked(length))
                .and_then(|(key, (text, rest))| {
                    text.copy_from_slice(plaintext);
                    let tag = key
                        .seal_in_place_separate_tag(self.nonce(number), Aad::from(authtext), text)
                        .ok()?;
                    rest.get_mut(..16)?.copy_from_slice(tag.as_ref());
                    Some(length + 16)
                });
        let Some(written) = sealed else {
            // snow checks the room; only exhausted memory leads here, and no plaintext may leave.
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
        self.ready()
            .ok_or(Error::Decrypt)?
            .open_separate_gather(self.nonce(number), Aad::from(authtext), text, tag, out)
            .map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}

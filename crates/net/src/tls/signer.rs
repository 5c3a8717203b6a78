//! Signs handshakes with keys that do not leave `countersign_crypto`.

use std::fmt;
use std::sync::Arc;

use countersign_crypto::device_key::DeviceAlgorithm;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use super::pinned::scheme;

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A key that signs handshakes.
#[derive(Clone)]
pub(super) struct HandshakeSigner {
    algorithm: DeviceAlgorithm,
    sign: Arc<Sign>,
}

impl HandshakeSigner {
    pub(super) fn new(
        algorithm: DeviceAlgorithm,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self {
            algorithm,
            sign: Arc::new(sign),
        }
    }
}

impl SigningKey for HandshakeSigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let offered = offered.contains(&scheme(self.algorithm));
        offered.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.algorithm {
            DeviceAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
            DeviceAlgorithm::EcdsaP256 => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok((self.sign)(message))
    }

    fn scheme(&self) -> SignatureScheme {
        scheme(self.algorithm)
    }
}

impl fmt::Debug for HandshakeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandshakeSigner({})", self.algorithm.name())
    }
}

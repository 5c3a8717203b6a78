//! Delivered keys: a certificate, and the private key encrypted with a pass phrase that the site
//! does not know. The site delivers it to any client that names the account, so an attacker can
//! guess the pass phrase offline.

use der::SecretDocument;
use der::asn1::OctetStringRef;
use der::pem::{self, LineEnding};
use pkcs8::EncryptedPrivateKeyInfoRef;

use super::{ENCRYPTED, KeyFileError, encryption, form};
use crate::certificate::Certificate;
use crate::entropy::Entropy;
use crate::identity::{Identity, IdentitySeed};
use crate::kdf::derive;
use crate::secret::{Passphrase, Secret};

/// Maximum length of a delivered certificate, and of a delivered encrypted key, in bytes.
pub const MAX_DELIVERED: usize = 1_000;

/// A certificate and its encrypted private key, in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct DeliveredKey {
    certificate: Certificate,
    encrypted_key: Vec<u8>,
}

impl DeliveredKey {
    /// Encrypts an identity's key with a pass phrase.
    #[must_use]
    pub fn new(identity: &Identity, passphrase: &Passphrase, entropy: &mut dyn Entropy) -> Self {
        let encrypted = form::encode(identity)
            .and_then(|plain| encryption::encrypt(&plain, passphrase, entropy));
        let Ok(encrypted) = encrypted else {
            // Every length and cost is fixed and valid; only exhausted memory leads here.
            std::process::abort();
        };
        Self {
            certificate: identity.certificate().clone(),
            encrypted_key: encrypted.as_bytes().to_vec(),
        }
    }

    /// Takes a certificate and the text of an encrypted key file.
    ///
    /// # Errors
    /// [`KeyFileError`] as [`super::read_identity`]; [`KeyFileError::NotEncrypted`] and
    /// [`KeyFileError::WeakEncryption`] if the key is not protected sufficiently.
    pub fn from_key_file(certificate: &Certificate, pem: &str) -> Result<Self, KeyFileError> {
        if pem.len() > super::MAX_KEY_FILE {
            return Err(KeyFileError::TooLong { length: pem.len() });
        }
        let block = crate::pem::find(pem, &[ENCRYPTED])?;
        if block.label != ENCRYPTED {
            return Err(KeyFileError::NotEncrypted);
        }
        Self::from_der(certificate.der(), &block.decode()?)
    }

    /// Parses the outputs of [`Self::certificate`] and [`Self::encrypted_key`].
    ///
    /// # Errors
    /// As [`Self::from_key_file`].
    pub fn from_der(certificate: &[u8], encrypted_key: &[u8]) -> Result<Self, KeyFileError> {
        for length in [certificate.len(), encrypted_key.len()] {
            if length > MAX_DELIVERED {
                return Err(KeyFileError::TooLong { length });
            }
        }
        let certificate = Certificate::from_der(certificate).map_err(|_| KeyFileError::Damaged)?;
        let document = SecretDocument::try_from(encrypted_key);
        encryption::check_strength(&document.map_err(|_| KeyFileError::Damaged)?)?;
        Ok(Self {
            certificate,
            encrypted_key: encrypted_key.to_vec(),
        })
    }

    /// Parses values that were checked before they were stored. It does only what a login needs, so
    /// that a login with a known name takes no longer than one with an unknown name.
    ///
    /// # Errors
    /// [`KeyFileError::Damaged`] if the certificate is invalid.
    pub fn from_stored(certificate: &[u8], encrypted_key: Vec<u8>) -> Result<Self, KeyFileError> {
        let certificate = Certificate::from_stored(certificate);
        Ok(Self {
            certificate: certificate.map_err(|_| KeyFileError::Damaged)?,
            encrypted_key,
        })
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The private key, as an `EncryptedPrivateKeyInfo` (RFC 5958, section 3) in DER.
    #[must_use]
    pub fn encrypted_key(&self) -> &[u8] {
        &self.encrypted_key
    }

    /// The private key in PEM, as [`super::write_identity`] writes it.
    #[must_use]
    pub fn encrypted_key_pem(&self) -> String {
        let Ok(pem) = pem::encode_string(ENCRYPTED, LineEnding::LF, &self.encrypted_key) else {
            // Short bytes can always be encoded; only exhausted memory leads here.
            std::process::abort();
        };
        pem
    }

    /// Certificate and encrypted key in PEM, in this order.
    #[must_use]
    pub fn to_pem(&self) -> String {
        [self.certificate.to_pem(), self.encrypted_key_pem()].concat()
    }

    /// Decrypts the key. This stretches the pass phrase: call it on a thread that may block.
    ///
    /// # Errors
    /// [`KeyFileError::WrongPassphrase`]; [`KeyFileError::SeedMismatch`] if the key does not belong
    /// to the certificate; other errors if the key is damaged.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Identity, KeyFileError> {
        let document = SecretDocument::try_from(&self.encrypted_key[..]);
        let document = document.map_err(|_| KeyFileError::Damaged)?;
        let identity = form::decode(&encryption::decrypt(&document, passphrase)?)?;
        if identity.certificate() == &self.certificate {
            Ok(identity)
        } else {
            Err(KeyFileError::SeedMismatch)
        }
    }

    /// The decoy that is delivered for a name without a key. It has the same form and lengths, is
    /// always the same for a name, and no pass phrase decrypts its key.
    #[must_use]
    pub fn decoy(secret: &Secret<32>, name: &[u8]) -> Self {
        let seed = derive(secret.expose(), "made up identity", name);
        let identity = Identity::from_seed(IdentitySeed(seed));
        let noise: Secret<512> = derive(secret.expose(), "made up key", name);
        let document = form::encode(&identity).and_then(|plain| {
            encryption::noise_in_key_form(plain.as_bytes().len(), noise.expose())
        });
        let Ok(document) = document else {
            std::process::abort();
        };
        Self {
            certificate: identity.certificate().clone(),
            encrypted_key: document.as_bytes().to_vec(),
        }
    }
}

impl std::fmt::Debug for DeliveredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeliveredKey({})", self.certificate.thumbprint())
    }
}

/// Encodes ciphertext and encryption scheme as a document.
pub(super) fn document(
    scheme: pkcs8::pkcs5::pbes2::Parameters,
    encrypted: &[u8],
) -> der::Result<SecretDocument> {
    SecretDocument::encode_msg(&EncryptedPrivateKeyInfoRef {
        encryption_algorithm: scheme.into(),
        encrypted_data: OctetStringRef::new(encrypted)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn passphrase(text: &str) -> Passphrase {
        text.to_owned().into()
    }

    #[test]
    fn a_delivered_key_opens_only_with_its_pass_phrase() {
        let identity = Identity::generate(&mut SystemEntropy);
        let key = DeliveredKey::new(&identity, &passphrase("right"), &mut SystemEntropy);
        let read = DeliveredKey::from_der(key.certificate().der(), key.encrypted_key()).unwrap();
        let opened = read.open(&passphrase("right")).unwrap();
        assert_eq!(opened.certificate(), identity.certificate());
        assert!(read.open(&passphrase("wrong")).is_err());
    }

    #[test]
    fn a_stored_key_is_read_back() {
        let identity = Identity::generate(&mut SystemEntropy);
        let key = DeliveredKey::new(&identity, &passphrase("right"), &mut SystemEntropy);
        let (certificate, encrypted) = (key.certificate().der(), key.encrypted_key().to_vec());
        let read = DeliveredKey::from_stored(certificate, encrypted.clone()).unwrap();
        assert_eq!(read, key);
        assert_eq!(
            read.certificate().agreement(),
            *identity.agreement().public()
        );
        let cut = DeliveredKey::from_stored(&certificate[1..], encrypted);
        assert_eq!(cut, Err(KeyFileError::Damaged));
    }

    /// At the limit and one over, when nothing is parsed.
    #[test]
    fn a_key_or_certificate_that_is_too_long_is_rejected() {
        let long = [0; MAX_DELIVERED + 1];
        for (certificate, key, refused) in [
            (&long[1..], &long[1..], KeyFileError::Damaged),
            (
                &long[..],
                &long[1..],
                KeyFileError::TooLong { length: 1_001 },
            ),
            (
                &long[1..],
                &long[..],
                KeyFileError::TooLong { length: 1_001 },
            ),
        ] {
            assert_eq!(DeliveredKey::from_der(certificate, key), Err(refused));
        }
    }

    #[test]
    fn a_key_that_does_not_belong_to_the_certificate_is_rejected() {
        let identity = Identity::generate(&mut SystemEntropy);
        let other = Identity::generate(&mut SystemEntropy);
        let key = DeliveredKey::new(&identity, &passphrase("right"), &mut SystemEntropy);
        let mixed = DeliveredKey::from_der(other.certificate().der(), key.encrypted_key()).unwrap();
        let opened = mixed.open(&passphrase("right"));
        assert_eq!(opened.err(), Some(KeyFileError::SeedMismatch));
    }

    #[test]
    fn a_decoy_has_the_same_form_as_a_delivered_key() {
        let secret = Secret::from_bytes([7; 32]);
        let decoy = DeliveredKey::decoy(&secret, b"unknown");
        assert_eq!(decoy, DeliveredKey::decoy(&secret, b"unknown"));
        assert_ne!(decoy, DeliveredKey::decoy(&secret, b"another"));
        let identity = Identity::generate(&mut SystemEntropy);
        let real = DeliveredKey::new(&identity, &passphrase("right"), &mut SystemEntropy);
        assert_eq!(decoy.encrypted_key().len(), real.encrypted_key().len());
        assert_eq!(
            decoy.certificate().der().len(),
            real.certificate().der().len()
        );
        let read = DeliveredKey::from_der(decoy.certificate().der(), decoy.encrypted_key());
        assert!(read.unwrap().open(&passphrase("right")).is_err());
    }

    #[test]
    fn an_unencrypted_key_is_rejected() {
        let identity = Identity::generate(&mut SystemEntropy);
        let plain = super::super::write_identity(&identity, None, &mut SystemEntropy);
        let refused = DeliveredKey::from_key_file(identity.certificate(), plain.expose());
        assert_eq!(refused, Err(KeyFileError::NotEncrypted));
    }
}

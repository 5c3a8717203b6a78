//! The parties: this application, and the site, which Serveros calls the master.

use countersign_crypto::rsa::{RsaKey, RsaKeyError, RsaPublicKey};
use countersign_crypto::secret::SecretText;
use http::Uri;

/// This application, as it is registered at the site for edition v1.
#[derive(Debug)]
pub struct V1Application {
    /// The application's id.
    pub id: String,
    /// The application's keys, the newest first. It signs with the newest and opens messages
    /// sealed to any.
    pub keys: Vec<RsaKey>,
}

/// The site that consumer and provider trust, as edition v1 knows it.
#[derive(Debug, Clone)]
pub struct V1Site {
    /// Its address, as in `https://site.example:4749`. Messages are signed and sealed even if the
    /// address is not `https`.
    pub url: Uri,
    /// Its public keys for edition v1, the newest first.
    pub keys: Vec<RsaPublicKey>,
}

impl V1Application {
    /// Reads an application's key from PEM: unencrypted PKCS #8 or PKCS #1, of 2,048 to 8,192 bits.
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(id: &str, key: &SecretText) -> Result<Self, RsaKeyError> {
        Ok(Self {
            id: id.to_owned(),
            keys: vec![RsaKey::from_pem(key)?],
        })
    }
}

impl V1Site {
    /// Reads the site's public key from PEM with the label `PUBLIC KEY` or `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(url: Uri, key: &str) -> Result<Self, RsaKeyError> {
        Ok(Self {
            url,
            keys: vec![RsaPublicKey::from_pem(key)?],
        })
    }
}

//! Who takes part: this application, and the site, which Serveros calls the master.

use countersign_crypto::rsa::{RsaKey, RsaKeyError, RsaPublicKey};
use countersign_crypto::secret::SecretText;
use http::Uri;

/// This application, as it is registered at the site.
#[derive(Debug)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// Its keys, the newest first: it signs with that, and opens what is sealed to any.
    pub keys: Vec<RsaKey>,
}

/// The site that both applications trust.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where it answers, as in `https://site.example:4749`. What is said there is signed and sealed, whether or
    /// not the address is `https`.
    pub url: Uri,
    /// Its public keys for this edition, the newest first.
    pub keys: Vec<RsaPublicKey>,
}

impl Application {
    /// The application whose key is in PEM: unencrypted PKCS #8 or PKCS #1, of 2,048 to 8,192 bits.
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

impl Site {
    /// The site whose public key is in PEM of `PUBLIC KEY` or `RSA PUBLIC KEY`.
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

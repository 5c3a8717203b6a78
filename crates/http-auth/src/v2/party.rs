//! Who takes part: this application, and the site.

use std::sync::Arc;

use countersign_crypto::key_file::{KeyFileError, read_identity};
use countersign_crypto::party::{BadPartyPublic, PartyKey, PartyPublic};
use countersign_crypto::secret::Passphrase;
use http::Uri;

/// This application, as it is registered at the site.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// Its keys, the newest first: it signs with that, and opens what is sealed to any.
    pub keys: Vec<PartyKey>,
}

/// The site that both applications trust.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its id.
    pub id: String,
    /// Where it answers, as in `https://site.example:4749`; with the path under which a proxy has it, as in
    /// `https://example.org/auth`. What is said there is signed, and sealed where it
    /// is secret, whether or not the address is `https`.
    pub url: Uri,
    /// Its public keys, the newest first.
    pub keys: Vec<PartyPublic>,
}

impl Application {
    /// The application whose key is in a key file, as `countersign key new` writes it.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn from_pem(
        id: &str,
        key: &str,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, KeyFileError> {
        let identity = read_identity(key, passphrase)?;
        Ok(Self {
            id: id.to_owned(),
            keys: vec![PartyKey::new(Arc::new(identity))],
        })
    }
}

impl Site {
    /// The site whose public keys are in PEM of `COUNTERSIGN PARTY KEY`.
    ///
    /// # Errors
    /// [`BadPartyPublic`].
    pub fn from_pem(id: &str, url: Uri, keys: &str) -> Result<Self, BadPartyPublic> {
        Ok(Self {
            id: id.to_owned(),
            url,
            keys: vec![PartyPublic::from_pem(keys)?],
        })
    }
}

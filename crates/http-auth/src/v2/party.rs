//! The parties: this application and the site.

use std::sync::Arc;

use countersign_crypto::key_file::{KeyFileError, read_identity};
use countersign_crypto::party::{BadPartyPublic, PartyKey, PartyPublic};
use countersign_crypto::secret::Passphrase;
use http::Uri;

/// This application, as it is registered at the site.
#[derive(Debug, Clone)]
pub struct Application {
    /// The application's id.
    pub id: String,
    /// The application's keys, the newest first. It signs with the newest and opens messages
    /// sealed to any.
    pub keys: Vec<PartyKey>,
}

/// The site that consumer and provider trust.
#[derive(Debug, Clone)]
pub struct Site {
    /// The site's id.
    pub id: String,
    /// Its address, as in `https://site.example:4749`, or with a proxy's path prefix, as in
    /// `https://example.org/auth`. Messages are signed, and secret ones sealed, even if the address
    /// is not `https`.
    pub url: Uri,
    /// Its public keys, the newest first.
    pub keys: Vec<PartyPublic>,
}

impl Application {
    /// Reads an application's key from a key file as `countersign key new` writes it.
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
    /// Reads the site's public keys, the newest first, from PEM with the label `COUNTERSIGN PARTY
    /// KEY`: the output of `countersign broker show`. Other blocks are left out.
    ///
    /// # Errors
    /// [`BadPartyPublic`].
    pub fn from_pem(id: &str, url: Uri, keys: &str) -> Result<Self, BadPartyPublic> {
        Ok(Self {
            id: id.to_owned(),
            url,
            keys: PartyPublic::all_from_pem(keys)?,
        })
    }
}

//! Who takes part: this application, and the site.

use countersign_crypto::party::{PartyKey, PartyPublic};
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
    /// Where it answers, as in `https://site.example:4749`. What is said there is signed, and sealed where it
    /// is secret, whether or not the address is `https`.
    pub url: Uri,
    /// Its public keys, the newest first.
    pub keys: Vec<PartyPublic>,
}

//! Requests a site's id and keys from the site itself. Only its URI has to be known.

use std::time::Duration;

use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::broker::v2::key_statement::{
    KeyStatement, MAX_LENGTH, VerifiedKeyStatement,
};
use countersign_proto::site_identity::KnownSite;
use http::Uri;

use super::Site;
use crate::content::{ReadError, read};
use crate::origin::WrongAddress;
use crate::site_address::SiteAddress;

/// Timeout of the site's response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a site's id and keys could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum KeyStatementError {
    /// The address is invalid.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// The site cannot be reached, or does not respond in time.
    #[error("the site cannot be reached: {0}")]
    Unreachable(String),
    /// The response is not a key statement: the site is sealed, or the server is not a site.
    #[error(
        "the site did not identify itself (HTTP status {0}): check the address, and that it is unsealed"
    )]
    Refused(u16),
    /// The statement is not signed with the pinned key.
    #[error(
        "the site did not prove possession of the expected key: an attacker may intercept the connection"
    )]
    FailedVerification,
}

impl Site {
    /// Requests id and keys from the site at `url` and verifies them with `key`, the public key in
    /// the site's URI.
    ///
    /// # Errors
    /// [`KeyStatementError`].
    pub async fn ask(url: Uri, key: &SitePublicKey) -> Result<Self, KeyStatementError> {
        let verified = Self::first_contact(url, key).await?;
        Ok(verified.site)
    }

    /// Like [`Self::ask`], and also returns what to store of the site's key events, for
    /// [`Self::ask_again`].
    ///
    /// # Errors
    /// [`KeyStatementError`].
    pub async fn first_contact(
        url: Uri,
        key: &SitePublicKey,
    ) -> Result<VerifiedSite, KeyStatementError> {
        let statement = key_statement(&url).await?;
        VerifiedSite::of(url, statement.verify(key))
    }

    /// Requests id and keys again and follows the site's key events from those that are known. A
    /// thief of a site key that was replaced cannot pose as the site then, as it can to a program
    /// that knows only the URI with that key. Store what is known afterwards.
    ///
    /// # Errors
    /// [`KeyStatementError`].
    pub async fn ask_again(url: Uri, known: &KnownSite) -> Result<VerifiedSite, KeyStatementError> {
        let statement = key_statement(&url).await?;
        VerifiedSite::of(url, statement.verify_again(known))
    }
}

/// A site, and what to store of its key events.
#[derive(Debug, Clone)]
pub struct VerifiedSite {
    /// Id, address and keys.
    pub site: Site,
    /// The site's newest key event.
    pub known: KnownSite,
}

impl VerifiedSite {
    fn of(url: Uri, verified: Option<VerifiedKeyStatement>) -> Result<Self, KeyStatementError> {
        let VerifiedKeyStatement { id, keys, site } =
            verified.ok_or(KeyStatementError::FailedVerification)?;
        Ok(Self {
            site: Site { id, url, keys },
            known: site,
        })
    }
}

async fn key_statement(url: &Uri) -> Result<KeyStatement, KeyStatementError> {
    let unreachable =
        |error: reqwest::Error| KeyStatementError::Unreachable(error.without_url().to_string());
    let address = SiteAddress::of(url)?.at("/.well-known/countersign")?;
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(unreachable)?;
    let answer = client
        .get(address.to_string())
        .send()
        .await
        .map_err(unreachable)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(KeyStatementError::Refused(answer.status().as_u16()));
    }
    let text = read(reqwest::Body::from(answer), MAX_LENGTH);
    let text = text.await.map_err(|unread| match unread {
        ReadError::TooLong => KeyStatementError::FailedVerification,
        ReadError::Interrupted(error) => KeyStatementError::Unreachable(error.to_string()),
    })?;
    serde_json::from_slice(&text).map_err(|_| KeyStatementError::FailedVerification)
}

//! Requests a site's id and keys from the site itself. Only its URI has to be known.

use std::time::Duration;

use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::broker::v2::introduction::{Introduction, MAX_LENGTH};
use http::Uri;

use super::Site;
use crate::content::{ReadError, read};
use crate::origin::WrongAddress;
use crate::site_address::SiteAddress;

/// Timeout of the site's response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a site's id and keys could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum IntroductionError {
    /// The address is invalid.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// The site cannot be reached, or does not respond in time.
    #[error("the site cannot be reached: {0}")]
    Unreachable(String),
    /// The response is not an introduction: the site is sealed, or the server is not a site.
    #[error(
        "the site did not identify itself (HTTP status {0}): check the address, and that it is unsealed"
    )]
    Refused(u16),
    /// The introduction is not signed with the pinned key.
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
    /// [`IntroductionError`].
    pub async fn ask(url: Uri, key: &SitePublicKey) -> Result<Self, IntroductionError> {
        let unreachable =
            |error: reqwest::Error| IntroductionError::Unreachable(error.without_url().to_string());
        let address = SiteAddress::of(&url)?.at("/.well-known/countersign")?;
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
            return Err(IntroductionError::Refused(answer.status().as_u16()));
        }
        let text = read(reqwest::Body::from(answer), MAX_LENGTH);
        let text = text.await.map_err(|unread| match unread {
            ReadError::TooLong => IntroductionError::FailedVerification,
            ReadError::Interrupted(error) => IntroductionError::Unreachable(error.to_string()),
        })?;
        let introduction: Option<Introduction> = serde_json::from_slice(&text).ok();
        let verified = introduction.and_then(|introduction| introduction.verify(key));
        let introduced = verified.ok_or(IntroductionError::FailedVerification)?;
        Ok(Self {
            id: introduced.id,
            url,
            keys: introduced.keys,
        })
    }
}

//! Asking a site for its id and keys: all that has to be known of it before is its URI.

use std::time::Duration;

use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::broker::v2::introduction::{Introduction, MAX_LENGTH};
use http::Uri;

use super::Site;
use crate::content::{Unread, read};
use crate::origin::WrongAddress;
use crate::site_address::SiteAddress;

/// How long a site has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a site is not known.
#[derive(Debug, thiserror::Error)]
pub enum IntroductionError {
    /// Nothing can be asked there.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// It cannot be reached, or does not answer in time.
    #[error("the site cannot be reached: {0}")]
    Unreachable(String),
    /// It answers something else: its key was not opened yet, or it is no site.
    #[error("the site does not say who it is ({0}): look at the address, and whether it is open")]
    Refused(u16),
    /// What it says is not signed with the key that was pinned.
    #[error("this is not the site of that key: somebody may be in between")]
    FailedVerification,
}

impl Site {
    /// The site that answers at `url`, if it has this key, which its URI names.
    ///
    /// # Errors
    /// [`IntroductionError`].
    pub async fn ask(url: Uri, key: &SitePublicKey) -> Result<Self, IntroductionError> {
        let unreachable =
            |error: reqwest::Error| IntroductionError::Unreachable(error.without_url().to_string());
        let address = SiteAddress::of(&url)?.at("/.well-known/countersign")?;
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
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
            Unread::TooLong => IntroductionError::FailedVerification,
            Unread::Broken(error) => IntroductionError::Unreachable(error.to_string()),
        })?;
        let told: Option<Introduction> = serde_json::from_slice(&text).ok();
        let believed = told.and_then(|told| told.verify(key));
        let introduced = believed.ok_or(IntroductionError::FailedVerification)?;
        Ok(Self {
            id: introduced.id,
            url,
            keys: introduced.keys,
        })
    }
}

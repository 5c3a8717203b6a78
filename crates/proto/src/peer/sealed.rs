//! The one line of a joining site: its request, sealed to the site that it joins.

use countersign_crypto::agreement::AgreementKey;
use countersign_crypto::entropy::Entropy;
use countersign_crypto::sealing::{self, SEALING_OVERHEAD, SealingError};
use countersign_crypto::secret::SecretBytes;
use countersign_crypto::site_key::SitePublicKey;
use serde::{Deserialize, Serialize};

use super::{BadJoin, JoinRequest, MAX_EVENTS_LINE};
use crate::enrolment::Exporter;
use crate::json;

/// The purpose of what is sealed.
const INFO: &[u8] = b"countersign peer join 1\0";
/// The most bytes that are sealed.
const MAX_SEALED: usize = MAX_EVENTS_LINE + SEALING_OVERHEAD;

/// The line `{"join":"…"}`. What it holds is unknown before it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedJoin {
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_SEALED, _>")]
    join: Vec<u8>,
}

/// Why a sealed line gives no request.
#[derive(Debug, thiserror::Error)]
pub enum BadSealedJoin {
    /// It was sealed to another key or for another connection.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// What was sealed is no request.
    #[error(transparent)]
    Join(#[from] BadJoin),
}

impl SealedJoin {
    pub(super) fn seal(
        text: &SecretBytes,
        to: &SitePublicKey,
        exporter: &Exporter,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, SealingError> {
        let join = sealing::seal(&to.agreement, &info(exporter), text.expose(), entropy)?;
        Ok(Self { join })
    }

    /// Opens it with the site's key. This costs one key agreement.
    ///
    /// # Errors
    /// [`BadSealedJoin`].
    pub fn open(
        &self,
        key: &AgreementKey,
        exporter: &Exporter,
    ) -> Result<JoinRequest, BadSealedJoin> {
        let text = sealing::open(key, &info(exporter), &self.join)?;
        Ok(JoinRequest::read(text.expose())?)
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// What is sealed for one connection opens on no other.
fn info(exporter: &Exporter) -> Vec<u8> {
    [INFO, &exporter.0].concat()
}

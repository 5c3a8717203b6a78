//! What a device asks with: one JSON line.

use countersign_crypto::certificate::Thumbprint;
#[cfg(not(target_arch = "wasm32"))]
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::device_key::{DeviceKey, MAX_DEVICE_SIGNATURE, MAX_SPKI};
use countersign_crypto::hash::sha256;
use countersign_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::line::secret_line;
use super::{BadProof, Exporter, ProvenKey, Token, TokenHash, proof_input};
use crate::device::DeviceName;
use crate::json;
use crate::name::{AccountName, BadName};

/// The longest line, in bytes with its line end. One of ours has some 400; the rest is room for
/// other spellings of the same JSON.
pub const MAX_REQUEST: usize = 8 * 1024;

/// A request to enrol a device. Its form was checked; its token, id and proof were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentRequest {
    form: Form,
    id: AccountName,
}

/// The line's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    token: Token,
    /// As it was written, since the proof covers it.
    id: String,
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_SPKI, _>")]
    key: Vec<u8>,
    device: DeviceName,
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_DEVICE_SIGNATURE, _>")]
    proof: Vec<u8>,
}

/// Why a line is no request. The site closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// More than [`MAX_REQUEST`] bytes.
    #[error("the request is too long")]
    TooLong,
    /// It is not JSON of the right members, or a member is not what it should be.
    #[error("the line is no request: {0}")]
    Json(#[from] serde_json::Error),
    /// The id is no name of an account.
    #[error("the id is no name: {0}")]
    Id(#[from] BadName),
}

impl EnrolmentRequest {
    /// A request with its proof, for one connection.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn new(
        token: Token,
        id: AccountName,
        device: DeviceName,
        identity: &DeviceIdentity,
        exporter: &Exporter,
    ) -> Self {
        let text = id.to_string();
        let key = identity.public().spki().to_vec();
        let proof = identity.sign(&proof_input(exporter, &token.hash(), &text, &key));
        let form = Form {
            token,
            id: text,
            key,
            device,
            proof,
        };
        Self { form, id }
    }

    /// Reads the line, with or without its line end. No public-key work is done.
    ///
    /// # Errors
    /// [`BadRequest`].
    pub fn read(line: &[u8]) -> Result<Self, BadRequest> {
        if line.len() > MAX_REQUEST {
            return Err(BadRequest::TooLong);
        }
        let form: Form = json::read(line)?;
        let id = form.id.parse()?;
        Ok(Self { form, id })
    }

    /// The line with its line end. It holds the token.
    #[must_use]
    pub fn to_line(&self) -> SecretBytes {
        secret_line(&self.form, MAX_REQUEST)
    }

    /// What the site looks the ticket up by.
    #[must_use]
    pub fn token_hash(&self) -> TokenHash {
        self.form.token.hash()
    }

    /// The person that the device says it belongs to.
    #[must_use]
    pub fn id(&self) -> &AccountName {
        &self.id
    }

    /// What the device calls itself.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.form.device
    }

    /// SHA-256 of the key as it was sent: that of its one form, if [`Self::verify`] accepts it. It
    /// tells a key other than the one of an earlier request without public-key work.
    #[must_use]
    pub fn claimed_thumbprint(&self) -> Thumbprint {
        Thumbprint(sha256(&self.form.key))
    }

    /// Checks the key, and that its owner made the proof for this connection, token and id. This
    /// costs public-key work: look the token up first.
    ///
    /// # Errors
    /// [`BadProof`].
    pub fn verify(&self, exporter: &Exporter) -> Result<ProvenKey, BadProof> {
        let Form { id, key, proof, .. } = &self.form;
        let input = proof_input(exporter, &self.token_hash(), id, key);
        let key = DeviceKey::from_spki(key)?;
        key.verify(&input, proof)?;
        Ok(ProvenKey::new(key))
    }
}

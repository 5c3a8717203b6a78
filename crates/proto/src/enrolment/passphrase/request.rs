//! The first line: a ticket's token, and OPAQUE's registration request.

use std::fmt;

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::device_key::{DeviceAlgorithm, DeviceKey, MAX_DEVICE_SIGNATURE, MAX_SPKI};
use countersign_crypto::hash::sha256;
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::SecretBytes;
use serde::{Deserialize, Serialize};

use super::super::line::secret_line;
use super::super::proof::passphrase_proof_input;
use super::super::{BadProof, BadRequest, Exporter, MAX_REQUEST, ProvenKey, Token, TokenHash};
use crate::json;
use crate::name::AccountName;

/// The greatest length of an OPAQUE registration request in bytes. One has 32; the rest is room for
/// other suites.
const MAX_OPAQUE_REQUEST: usize = 2_048;

/// A request to set a pass phrase. Its form was checked; its token, id and proof were not.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrationRequest {
    form: Form,
    id: AccountName,
}

/// The line's members.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    token: Token,
    /// As it was written, since the proof covers it.
    id: String,
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_SPKI, _>")]
    key: Vec<u8>,
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_OPAQUE_REQUEST, _>")]
    request: Vec<u8>,
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_DEVICE_SIGNATURE, _>")]
    proof: Vec<u8>,
}

impl RegistrationRequest {
    /// A request with its proof, for one connection. `identity` is the one that the pass phrase
    /// will unseal, and `request` is OPAQUE's registration request.
    ///
    /// # Errors
    /// [`BadProof::Key`] if the key of the identity is none, which cannot happen for an
    /// [`Identity`].
    pub fn new(
        token: Token,
        id: AccountName,
        identity: &Identity,
        request: Vec<u8>,
        exporter: &Exporter,
    ) -> Result<Self, BadProof> {
        let text = id.to_string();
        let key = DeviceKey::from_ed25519(&identity.certificate().signing())?;
        let key = key.spki().to_vec();
        let input = passphrase_proof_input(exporter, &token.hash(), &text, &key, &request);
        let proof = identity.sign(&input).0.to_vec();
        let form = Form {
            token,
            id: text,
            key,
            request,
            proof,
        };
        Ok(Self { form, id })
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

    /// The account whose pass phrase is to be set.
    #[must_use]
    pub fn id(&self) -> &AccountName {
        &self.id
    }

    /// OPAQUE's registration request.
    #[must_use]
    pub fn opaque_request(&self) -> &[u8] {
        &self.form.request
    }

    /// SHA-256 of the key as it was sent. It tells a key other than the one of an earlier request
    /// without public-key work.
    #[must_use]
    pub fn claimed_thumbprint(&self) -> Thumbprint {
        Thumbprint(sha256(&self.form.key))
    }

    /// Checks the key, and that its owner made the proof for this connection, token, id and
    /// request. This costs public-key work: look the token up first.
    ///
    /// # Errors
    /// [`BadProof`].
    pub fn verify(&self, exporter: &Exporter) -> Result<ProvenKey, BadProof> {
        let form = &self.form;
        let (id, key, request) = (&form.id, &form.key, &form.request);
        let input = passphrase_proof_input(exporter, &self.token_hash(), id, key, request);
        let key = DeviceKey::from_spki(key)?;
        if key.algorithm() != DeviceAlgorithm::Ed25519 {
            return Err(BadProof::NotEd25519);
        }
        key.verify(&input, &form.proof)?;
        Ok(ProvenKey::new(key))
    }
}

impl fmt::Debug for RegistrationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistrationRequest({})", self.id)
    }
}

//! The data about an application for providers, as the store holds it: sealed under the root secret.

use std::fmt;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::sha256;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::ApplicationId;
use crate::json::Json;
use crate::site_key::RootSecret;
use crate::text::Base64Url;

/// Sealed data about an application; `null` if there is none. It opens for this application only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthData(Option<Base64Url>);

impl AuthData {
    /// Data that was sealed before.
    #[must_use]
    pub const fn from_sealed(bytes: Vec<u8>) -> Self {
        Self(Some(Base64Url(bytes)))
    }

    pub(crate) fn seal(
        root: &RootSecret,
        id: &ApplicationId,
        data: &Json,
        entropy: &mut dyn Entropy,
    ) -> Self {
        if data.is_null() {
            return Self(None);
        }
        Self::from_sealed(Self::seal_text(root, id, data.as_str().as_bytes(), entropy))
    }

    /// Seals data as JSON text.
    pub(crate) fn seal_text(
        root: &RootSecret,
        id: &ApplicationId,
        json: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        root.seal(&label(id), json, entropy)
    }

    /// Opens the data; `None` if it was changed, or belongs to another application.
    pub(crate) fn open(&self, root: &RootSecret, id: &ApplicationId) -> Option<Json> {
        let Some(sealed) = &self.0 else {
            return Some(Json::default());
        };
        let text = root.open(&label(id), &sealed.0)?;
        serde_json::from_slice(text.expose()).ok()
    }

    /// Identifies the sealed data in the audit log, which must not contain it.
    pub(crate) fn digest(&self) -> Option<String> {
        let sealed = self.0.as_ref()?;
        Some(HEXLOWER.encode(&sha256(&sealed.0)))
    }
}

impl fmt::Debug for AuthData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthData(..)")
    }
}

fn label(id: &ApplicationId) -> String {
    format!("data about the application {id}")
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;

    #[test]
    fn sealed_data_opens_for_its_application_only() {
        let entropy = &mut SystemEntropy;
        let root = RootSecret::generate(entropy);
        let [billing, ledger] = ["billing", "ledger"].map(|id| id.parse().unwrap());
        let data: Json = serde_json::from_str(r#"{"a":1.10}"#).unwrap();
        let sealed = AuthData::seal(&root, &billing, &data, entropy);
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("1.10"));
        let read: AuthData = serde_json::from_str(&text).unwrap();
        assert_eq!(read.open(&root, &billing).unwrap().as_str(), data.as_str());
        assert!(read.open(&root, &ledger).is_none());
        assert!(
            read.open(&RootSecret::generate(entropy), &billing)
                .is_none()
        );
        let none = AuthData::seal(&root, &billing, &Json::default(), entropy);
        assert_eq!(serde_json::to_string(&none).unwrap(), "null");
        assert!(none.open(&root, &billing).unwrap().is_null());
    }
}

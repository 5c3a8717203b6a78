//! Signs requests, for clients that are services.

use countersign_crypto::hash::sha256;
use countersign_crypto::identity::Identity;
use data_encoding::BASE64;

use super::{DIGEST, RequestParts, RequestSignature, RequestSignatureError};

/// The label of the signature in both fields.
const LABEL: &str = "countersign";

/// Signs requests to one site with the key of a service.
///
/// ```
/// # use countersign_crypto::{entropy::SystemEntropy, identity::Identity};
/// # use countersign_proto::signed_request::{RequestParts, RequestSigner, content_digest};
/// # let (identity, site) = (Identity::generate(&mut SystemEntropy), "c2l0ZQ");
/// let signer = RequestSigner::new(&identity, site);
/// let body = br#"{"key":"queue"}"#;
/// let digest = content_digest(body);
/// let request = RequestParts {
///     method: "POST",
///     scheme: "https",
///     authority: "site.example",
///     path: "/api/v1/alarms/over",
///     query: None,
///     content_digest: Some(&digest),
///     if_match: None,
///     idempotency_key: None,
/// };
/// let fields = signer.sign(&request, 1_772_366_400..1_772_366_460, "a new nonce")?;
/// // Send `content-digest` and these two.
/// assert!(fields.signature_input.contains("a new nonce"));
/// assert!(fields.signature.starts_with("countersign=:"));
/// # Ok::<(), countersign_proto::signed_request::RequestSignatureError>(())
/// ```
#[derive(Clone, Copy)]
pub struct RequestSigner<'a> {
    identity: &'a Identity,
    site: &'a str,
}

/// The values of the fields that carry a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFields {
    /// `signature-input`.
    pub signature_input: String,
    /// `signature`.
    pub signature: String,
}

impl<'a> RequestSigner<'a> {
    /// A signer with the key that the service logs in with, for the site with this id.
    #[must_use]
    pub const fn new(identity: &'a Identity, site: &'a str) -> Self {
        Self { identity, site }
    }

    /// Signs a request. `valid` is from the time of creation to the expiry, in seconds since 1970; the
    /// nonce is new for each request. The signature covers everything that `request` has.
    ///
    /// # Errors
    /// [`RequestSignatureError::Fields`] if the nonce, or a part of the request, cannot be signed.
    pub fn sign(
        &self,
        request: &RequestParts<'_>,
        valid: std::ops::Range<u64>,
        nonce: &str,
    ) -> Result<SignatureFields, RequestSignatureError> {
        let digest = (DIGEST, request.content_digest);
        let given = [digest].into_iter().chain(request.fields());
        let given = given.filter_map(|(name, value)| value.map(|_| name));
        let covered = ["@method", "@authority", "@target-uri"]
            .into_iter()
            .chain(given)
            .map(|name| format!("\"{name}\""));
        let input = format!(
            "{LABEL}=({});created={};expires={};nonce=\"{nonce}\";keyid=\"{}\";tag=\"{}\"",
            covered.collect::<Vec<_>>().join(" "),
            valid.start,
            valid.end,
            self.identity.certificate().thumbprint(),
            self.site
        );
        // It is read as the site reads it, so that what is signed is what the site verifies.
        let read = RequestSignature::read(&input, &field(&[0; 64]), self.site)?;
        let base = read.base(request).ok_or(RequestSignatureError::Fields)?;
        Ok(SignatureFields {
            signature_input: format!("{LABEL}={}", read.parameters),
            signature: field(&self.identity.sign(base.as_bytes()).0),
        })
    }
}

/// The value of the field `content-digest` for this content (RFC 9530, `sha-256`).
#[must_use]
pub fn content_digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&sha256(content)))
}

fn field(signature: &[u8]) -> String {
    format!("{LABEL}=:{}:", BASE64.encode(signature))
}

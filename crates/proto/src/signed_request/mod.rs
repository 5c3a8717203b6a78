//! Requests over HTTP that a service signs with its own key: HTTP message signatures (RFC 9421) with
//! Ed25519.
//!
//! ```text
//! content-digest: sha-256=:…:
//! signature-input: any=("@method" "@authority" "@target-uri" "content-digest")
//!     ;created=…;expires=…;nonce="…";keyid="<thumbprint>";tag="<site id>"
//! signature: any=:…:
//! ```
//!
//! The signature must cover method, authority, the whole target, the digest of the content if there
//! is content, and the fields that change what the request does ([`RequestParts`] has each). The
//! tag is the id of the site, so that a request to one site is none to another at which the service
//! has the same key. Nothing of the request is trusted before the signature is verified; the
//! content is compared with its digest after that. [`RequestSigner`] makes such signatures.

mod fields;
mod signer;

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::sign::{Signature, Verifier};

use self::fields::Input;
use crate::broker::v2::signature::is_digest_of;
pub use signer::{RequestSigner, SignatureFields, content_digest};

/// The maximum age of a signature, in seconds.
pub const MAX_AGE: u64 = 60;
/// How far ahead of the site's time a signature may be dated, in seconds. A site that starts waits for
/// so long: what an earlier process accepted is older than the signatures that it accepts.
pub const AHEAD: u64 = 1;
/// The maximum lifetime of a signature, in seconds. The site remembers its nonce this long.
pub const MAX_LIFETIME: u64 = 300;
/// The maximum number of components that a signature covers.
const MAX_COMPONENTS: usize = 16;
/// The maximum length of a nonce, in bytes.
const MAX_NONCE: usize = 128;
/// The algorithm, if it is named (RFC 9421, section 6.2.2).
const ALGORITHM: &str = "ed25519";
/// The room for a signature base: more than most requests need.
const BASE: usize = 512;
const DIGEST: &str = "content-digest";
const IF_MATCH: &str = "if-match";
const KEY: &str = "idempotency-key";

/// The parts of a request that a signature can cover.
pub struct RequestParts<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// The scheme with which the client sent it, `http` or `https`.
    pub scheme: &'a str,
    /// The host, with its port unless that is the default of the scheme.
    pub authority: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent, without `?`; `None` without one.
    pub query: Option<&'a str>,
    /// The digest of the content as sent (RFC 9530).
    pub content_digest: Option<&'a str>,
    /// The field `if-match` as sent.
    pub if_match: Option<&'a str>,
    /// The field `idempotency-key` as sent.
    pub idempotency_key: Option<&'a str>,
}

impl RequestParts<'_> {
    /// The fields that a signature must cover if the request has them: without one of them, or with
    /// another value, the request would have another effect.
    fn fields(&self) -> [(&'static str, Option<&str>); 2] {
        [(IF_MATCH, self.if_match), (KEY, self.idempotency_key)]
    }
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestSignatureError {
    /// A field is malformed or too long, or a component or parameter is missing.
    #[error("the fields of the signature are malformed, or it covers too little")]
    Fields,
    /// The signature is of another request, or was made with another key.
    #[error("the signature does not match the request")]
    NotVerified,
    /// The creation time is out of range, or the lifetime is too long.
    #[error("the signature's creation time or lifetime is out of range; compare the clocks")]
    Clock,
}

/// A signature that was read and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSignature {
    components: Vec<String>,
    thumbprint: Thumbprint,
    nonce: String,
    created: u64,
    expires: u64,
    /// The value of `@signature-params`, as signed.
    parameters: String,
    signature: Signature,
}

impl RequestSignature {
    /// Reads the signature whose tag is `tag` from the fields `signature-input` and `signature`.
    ///
    /// # Errors
    /// [`RequestSignatureError::Fields`].
    pub fn read(input: &str, signature: &str, tag: &str) -> Result<Self, RequestSignatureError> {
        let wrong = RequestSignatureError::Fields;
        // A proxy may add signatures of its own, which have other tags.
        let input = Input::read(input, tag).ok_or(wrong)?;
        let signature = fields::signature(signature, input.label);
        let signature = signature.and_then(|bytes| bytes.try_into().ok());
        if input.text("alg").is_some_and(|name| name != ALGORITHM) {
            return Err(wrong);
        }
        let seconds = |name: &str| {
            let value = input.integer(name).ok_or(wrong)?;
            u64::try_from(value).map_err(|_| wrong)
        };
        let nonce = input.text("nonce");
        let nonce = nonce.filter(|nonce| (1..=MAX_NONCE).contains(&nonce.len()));
        let thumbprint = input.text("keyid").and_then(|id| id.parse().ok());
        Ok(Self {
            components: components(&input).ok_or(wrong)?,
            thumbprint: thumbprint.ok_or(wrong)?,
            nonce: nonce.ok_or(wrong)?.to_owned(),
            created: seconds("created")?,
            expires: seconds("expires")?,
            parameters: input.written(),
            signature: Signature(signature.ok_or(wrong)?),
        })
    }

    /// The thumbprint of the key that it claims to be made with; not verified.
    #[must_use]
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The nonce, which the site accepts once from the key.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The creation time, in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// Verifies that this request was signed recently with the key. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`RequestSignatureError::Fields`] if the request has a field that must be covered and is not,
    /// [`RequestSignatureError::NotVerified`], and [`RequestSignatureError::Clock`] once that was
    /// verified.
    pub fn verify(
        &self,
        key: &(impl Verifier + ?Sized),
        request: &RequestParts<'_>,
        now: u64,
    ) -> Result<(), RequestSignatureError> {
        let mut given = request.fields().into_iter();
        if given.any(|(name, value)| value.is_some() && !self.has(name)) {
            return Err(RequestSignatureError::Fields);
        }
        let base = self
            .base(request)
            .ok_or(RequestSignatureError::NotVerified)?;
        let verified = key.verify(base.as_bytes(), &self.signature);
        verified.map_err(|_| RequestSignatureError::NotVerified)?;
        let lasts = self.expires.checked_sub(self.created);
        let age = now.saturating_sub(self.created);
        let is_dated_well = age <= MAX_AGE && self.created.saturating_sub(now) <= AHEAD;
        let is_current = is_dated_well && now <= self.expires;
        match is_current && lasts.is_some_and(|lasts| lasts <= MAX_LIFETIME) {
            true => Ok(()),
            false => Err(RequestSignatureError::Clock),
        }
    }

    /// Whether it covers this content: the field `content-digest` of the request is of the content, and is
    /// signed. Content that is empty needs no digest.
    #[must_use]
    pub fn covers(&self, content_digest: Option<&str>, content: &[u8]) -> bool {
        match content_digest {
            Some(field) if self.has(DIGEST) => is_digest_of(field, content),
            Some(_) => false,
            None => content.is_empty(),
        }
    }

    fn has(&self, component: &str) -> bool {
        self.components.iter().any(|name| name == component)
    }

    /// The signature base (RFC 9421, section 2.5); `None` if the request lacks a component.
    fn base(&self, request: &RequestParts<'_>) -> Option<String> {
        let mut base = String::with_capacity(BASE);
        for name in &self.components {
            base.extend(["\"", name, "\": "]);
            let start = base.len();
            append_value(name, request, &mut base)?;
            // A line break would start another line of the base.
            let value = base.get(start..).unwrap_or_default();
            if value.contains(['\r', '\n']) {
                return None;
            }
            base.push('\n');
        }
        base.extend(["\"@signature-params\": ", &self.parameters]);
        Some(base)
    }
}

/// Appends the value of a component (RFC 9421, section 2.2).
fn append_value(name: &str, request: &RequestParts<'_>, to: &mut String) -> Option<()> {
    let lower_case = |text: &str| text.to_ascii_lowercase();
    let query = request.query.map_or(["", ""], |query| ["?", query]);
    match name {
        "@method" => to.push_str(request.method),
        "@authority" => to.push_str(&lower_case(request.authority)),
        "@scheme" => to.push_str(request.scheme),
        "@path" => to.push_str(request.path),
        "@query" => to.extend(["?", request.query.unwrap_or_default()]),
        "@request-target" => to.extend([request.path].into_iter().chain(query)),
        "@target-uri" => {
            to.extend([request.scheme, "://", &lower_case(request.authority)]);
            to.extend([request.path].into_iter().chain(query));
        }
        DIGEST => to.push_str(request.content_digest?),
        IF_MATCH => to.push_str(request.if_match?),
        KEY => to.push_str(request.idempotency_key?),
        _ => return None,
    }
    Some(())
}

/// The covered components, if they cover the method, the authority and the whole target.
fn components(input: &Input<'_>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in input.components() {
        if names.iter().any(|known| known == name) {
            return None;
        }
        names.push(name.to_owned());
    }
    let has = |name: &str| names.iter().any(|one| one == name);
    let target = has("@target-uri") || has("@request-target") || (has("@path") && has("@query"));
    let authority = has("@authority") || has("@target-uri");
    (has("@method") && authority && target).then_some(names)
}

#[cfg(test)]
mod tests;

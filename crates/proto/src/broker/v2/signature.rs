//! HTTP message signatures (RFC 9421) with the secret that two applications share: `hmac-sha256`
//! over method, authority, target and the digest of the content (RFC 9530), with creation time,
//! expiry and nonce.
//!
//! ```text
//! content-digest: sha-256=:…:
//! signature-input: countersign=("@method" "@authority" "@request-target" "content-digest")
//!     ;created=…;expires=…;nonce="…";keyid="…";alg="hmac-sha256";tag="countersign"
//! signature: countersign=:…:
//! ```
//!
//! The verifier accepts exactly these components, with the parameters in any order, and `sha-512`
//! as well as `sha-256`. A signature that covers fewer components protects less than its reader
//! expects.

use countersign_crypto::hash::{sha256, sha512};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use sfv::{
    BareItem, DictSerializer, Dictionary, InnerList, InnerListSerializer, Integer, KeyRef,
    ListEntry, Parser, StringRef,
};

use super::Credentials;
use super::message::{HASH, Nonce};

/// The signed components, in this order (RFC 9421, section 2.2).
const COMPONENTS: [&str; 4] = ["@method", "@authority", "@request-target", "content-digest"];
/// The label of our signature in both fields, and the value of `tag`.
const NAME: &str = "countersign";

/// The maximum difference between a request's time and the site's time, in seconds.
pub const TOLERANCE: u64 = 60;
/// The maximum lifetime of a signature, in seconds. The verifier remembers its nonce this long.
pub const MAX_LENGTH: u64 = 300;
/// The maximum length of a field's value, in bytes.
pub const FIELD: usize = 2_048;

/// The signed parts of an HTTP request.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The method as sent, for example `GET`.
    pub method: &'a str,
    /// The host, with its port unless that is the scheme's default (RFC 9421, section 2.2.3).
    pub authority: &'a str,
    /// Path and query as sent; at least `/`.
    pub target: &'a str,
    /// The content; empty if there is none.
    pub content: &'a [u8],
}

/// The values of a signed request's three fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// `content-digest`.
    pub content_digest: String,
    /// `signature-input`.
    pub signature_input: String,
    /// `signature`.
    pub signature: String,
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A field is missing, malformed or too long, or covers other components.
    #[error("the request's signature fields are missing or malformed")]
    Fields,
    /// The signature is of another request or was made with another secret.
    #[error("the signature does not match the request")]
    NotVerified,
    /// The creation time is too old or in the future, or the lifetime is too long.
    #[error("the signature's creation time or lifetime is out of range; compare the clocks")]
    Clock,
    /// The lifetime of the secret's ticket has ended.
    #[error("the ticket has expired; request a new one")]
    Expired,
}

/// A signature that was parsed and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedSignature {
    id: Nonce,
    nonce: String,
    created: u64,
    expires: u64,
    content_digest: String,
    /// The value of `@signature-params`, as signed.
    parameters: String,
    signature: Vec<u8>,
}

/// A verified signature. The caller must still check that its nonce was not seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The id of the secret.
    pub id: Nonce,
    /// The nonce. It identifies the request among those with this secret.
    pub nonce: String,
    /// When the nonce can be forgotten, in seconds since 1970 by the site's clock.
    pub expires: u64,
}

fn key(name: &'static str) -> Result<&'static KeyRef, SignatureError> {
    KeyRef::from_str(name).map_err(|_| SignatureError::Fields)
}

fn string(text: &str) -> Result<&StringRef, SignatureError> {
    StringRef::from_str(text).map_err(|_| SignatureError::Fields)
}

fn integer(seconds: u64) -> Result<Integer, SignatureError> {
    Integer::try_from(seconds).map_err(|_| SignatureError::Fields)
}

fn digest_of(content: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&sha256(content)))
}

/// Whether a field `content-digest` (RFC 9530) matches the content. Every digest with an algorithm
/// that is active in the registry must match, and there must be at least one. Digests with other
/// algorithms are ignored.
pub(crate) fn is_digest_of(field: &str, content: &[u8]) -> bool {
    let Some(digests) = (field.len() <= FIELD)
        .then(|| Parser::new(field).parse::<Dictionary>().ok())
        .flatten()
    else {
        return false;
    };
    let mut some = false;
    for (algorithm, digest) in &digests {
        let right = match algorithm.as_str() {
            "sha-256" => sha256(content).to_vec(),
            "sha-512" => sha512(content).to_vec(),
            _ => continue,
        };
        let value = match digest {
            ListEntry::Item(item) => item.bare_item.as_byte_sequence(),
            ListEntry::InnerList(_) => None,
        };
        if value != Some(right.as_slice()) {
            return false;
        }
        some = true;
    }
    some
}

/// The signature base of RFC 9421, section 2.5.
fn base(request: &HttpRequest<'_>, content_digest: &str, parameters: &str) -> String {
    let values = [
        request.method,
        &request.authority.to_ascii_lowercase(),
        request.target,
        content_digest,
    ];
    let mut base = String::new();
    for (component, value) in COMPONENTS.into_iter().zip(values) {
        base.push_str(&format!("\"{component}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    base
}

/// Rejects line breaks: they would start another line of the signature base.
fn is_plain(request: &HttpRequest<'_>) -> bool {
    let parts = [request.method, request.authority, request.target];
    let graphic =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    parts.iter().all(graphic)
}

/// Signs a request. `site_time` is in seconds since 1970, `lasts` in seconds, at most
/// [`MAX_LENGTH`].
///
/// # Errors
/// [`SignatureError::Fields`] if the parts cannot occur in an HTTP request.
pub fn sign(
    credentials: &Credentials,
    request: &HttpRequest<'_>,
    nonce: Nonce,
    site_time: u64,
    lasts: u64,
) -> Result<Fields, SignatureError> {
    if !is_plain(request) {
        return Err(SignatureError::Fields);
    }
    let mut input = DictSerializer::new();
    {
        let mut list = input.inner_list(key(NAME)?);
        components(&mut list)?;
        let (nonce, id) = (nonce.to_string(), credentials.id.to_string());
        list.finish()
            .parameter(key("created")?, integer(site_time)?)
            .parameter(key("expires")?, integer(site_time.saturating_add(lasts))?)
            .parameter(key("nonce")?, string(&nonce)?)
            .parameter(key("keyid")?, string(&id)?)
            .parameter(key("alg")?, string(HASH)?)
            .parameter(key("tag")?, string(NAME)?);
    }
    let signature_input = input.finish().ok_or(SignatureError::Fields)?;
    let content_digest = digest_of(request.content);
    let parameters = signature_input
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix('='))
        .ok_or(SignatureError::Fields)?;
    let base = base(request, &content_digest, parameters);
    let code = credentials.mac().authenticate(base.as_bytes());
    let mut signature = DictSerializer::new();
    signature.bare_item(key(NAME)?, code.as_slice());
    Ok(Fields {
        content_digest,
        signature: signature.finish().ok_or(SignatureError::Fields)?,
        signature_input,
    })
}

fn components(list: &mut InnerListSerializer<'_>) -> Result<(), SignatureError> {
    for component in COMPONENTS {
        list.bare_item(string(component)?);
    }
    Ok(())
}

/// Our member of a dictionary field, which may have other members.
fn member(field: &str) -> Result<ListEntry, SignatureError> {
    if field.len() > FIELD {
        return Err(SignatureError::Fields);
    }
    let mut members: Dictionary = Parser::new(field)
        .parse()
        .map_err(|_| SignatureError::Fields)?;
    members
        .swap_remove(key(NAME)?)
        .ok_or(SignatureError::Fields)
}

impl UnverifiedSignature {
    /// Parses the three fields.
    ///
    /// # Errors
    /// [`SignatureError::Fields`].
    pub fn read(fields: &Fields) -> Result<Self, SignatureError> {
        let wrong = SignatureError::Fields;
        let ListEntry::InnerList(input) = member(&fields.signature_input)? else {
            return Err(wrong);
        };
        let signature = match member(&fields.signature)? {
            ListEntry::Item(item) => item.bare_item.as_byte_sequence().map(<[u8]>::to_vec),
            ListEntry::InnerList(_) => None,
        };
        let covered = input.items.iter().map(|item| {
            let name = item.bare_item.as_string().map(StringRef::as_str);
            name.filter(|_| item.params.is_empty())
        });
        if !covered.eq(COMPONENTS.map(Some)) || input.params.len() != 6 {
            return Err(wrong);
        }
        let parameter = |name| input.params.get(name);
        let text = |name| {
            let value = parameter(name).and_then(BareItem::as_string);
            value.map(StringRef::as_str).ok_or(wrong)
        };
        let seconds = |name| {
            let value = parameter(name).and_then(BareItem::as_integer);
            let value = value.map(i64::from).ok_or(wrong)?;
            u64::try_from(value).map_err(|_| wrong)
        };
        if (text("alg")?, text("tag")?) != (HASH, NAME) {
            return Err(wrong);
        }
        let id = BASE64URL_NOPAD
            .decode(text("keyid")?.as_bytes())
            .map_err(|_| wrong)?;
        Ok(Self {
            id: Nonce(id.try_into().map_err(|_| wrong)?),
            nonce: text("nonce")?.to_owned(),
            created: seconds("created")?,
            expires: seconds("expires")?,
            content_digest: fields.content_digest.clone(),
            parameters: written(&input)?,
            signature: signature.ok_or(wrong)?,
        })
    }

    /// The id of the secret that the signature claims to use; not verified.
    #[must_use]
    pub fn id(&self) -> Nonce {
        self.id
    }

    /// Verifies that this request was signed recently with the secret. `site_time` is in seconds
    /// since 1970.
    ///
    /// # Errors
    /// [`SignatureError::NotVerified`]; once that was verified [`SignatureError::Clock`] and
    /// [`SignatureError::Expired`].
    pub fn verify(
        &self,
        credentials: &Credentials,
        request: &HttpRequest<'_>,
        site_time: u64,
    ) -> Result<VerifiedSignature, SignatureError> {
        let base = base(request, &self.content_digest, &self.parameters);
        let signed = credentials.mac().verify(base.as_bytes(), &self.signature);
        let same = signed.is_ok()
            && is_plain(request)
            && self.id == credentials.id
            && is_digest_of(&self.content_digest, request.content);
        if !same {
            return Err(SignatureError::NotVerified);
        }
        let lasts = self.expires.checked_sub(self.created);
        let of_now = self.created.abs_diff(site_time) <= TOLERANCE && site_time <= self.expires;
        if !of_now || lasts.is_none_or(|lasts| lasts > MAX_LENGTH) {
            return Err(SignatureError::Clock);
        }
        if site_time.saturating_mul(1_000) > credentials.expires {
            return Err(SignatureError::Expired);
        }
        Ok(VerifiedSignature {
            id: self.id,
            nonce: self.nonce.clone(),
            expires: self.expires,
        })
    }
}

/// The component list with its parameters, serialised strictly, in the order of the field.
pub(crate) fn written(input: &InnerList) -> Result<String, SignatureError> {
    let mut dictionary = DictSerializer::new();
    {
        let mut list = dictionary.inner_list(key(NAME)?);
        list.items(&input.items);
        list.finish().parameters(&input.params);
    }
    let written = dictionary.finish();
    let parameters = written
        .as_deref()
        .and_then(|written| written.strip_prefix(NAME))
        .and_then(|rest| rest.strip_prefix('='));
    parameters.map(str::to_owned).ok_or(SignatureError::Fields)
}

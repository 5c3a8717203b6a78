//! HTTP message signatures (RFC 9421) with the secret that two applications share: `hmac-sha256` over method,
//! authority, target and the digest of the content (RFC 9530), with a time, an end and a nonce.
//!
//! ```text
//! content-digest: sha-256=:…:
//! signature-input: countersign=("@method" "@authority" "@request-target" "content-digest")
//!     ;created=…;expires=…;nonce="…";keyid="…";alg="hmac-sha256";tag="countersign"
//! signature: countersign=:…:
//! ```
//!
//! Exactly that is accepted, the parameters in any order and `sha-512` as well as `sha-256`: a signature that covers less than all of it protects
//! less than its reader thinks.

use countersign_crypto::hash::{sha256, sha512};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use sfv::{
    BareItem, DictSerializer, Dictionary, InnerList, InnerListSerializer, Integer, KeyRef,
    ListEntry, Parser, StringRef,
};

use super::Credentials;
use super::message::{HASH, Nonce};

/// What is signed of a request, in this order (RFC 9421, section 2.2).
const COMPONENTS: [&str; 4] = ["@method", "@authority", "@request-target", "content-digest"];
/// The name of our member of the two fields, and the tag.
const NAME: &str = "countersign";

/// How far a request's time may be from the site's, in seconds.
pub const TOLERANCE: u64 = 60;
/// The longest a signature may say to be good for, in seconds: that long its nonce has to be remembered.
pub const MAX_LENGTH: u64 = 300;
/// The longest value of a field that is read, in bytes.
pub const FIELD: usize = 2_048;

/// A request, as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// As it is sent: `GET`.
    pub method: &'a str,
    /// The host that it is for, with its port unless that is the scheme's own (RFC 9421, section 2.2.3).
    pub authority: &'a str,
    /// As it is sent: path and query, of which the path is at least `/`.
    pub target: &'a str,
    /// Its content; empty for none.
    pub content: &'a [u8],
}

/// The values of the three fields of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// `content-digest`.
    pub content_digest: String,
    /// `signature-input`.
    pub signature_input: String,
    /// `signature`.
    pub signature: String,
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The fields are not what they should be.
    #[error("the signature's fields are not as they should be")]
    Fields,
    /// Not of this request, or not with this secret.
    #[error("the signature is not of this request")]
    NotVerified,
    /// Made too long ago, or in the future, or good for too long.
    #[error("the signature is not of now")]
    Clock,
    /// The secret's ticket is over.
    #[error("the ticket is over")]
    Expired,
}

/// A signature that was read, and is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedSignature {
    id: Nonce,
    nonce: String,
    created: u64,
    expires: u64,
    content_digest: String,
    /// The value of `@signature-params`, as it was signed.
    parameters: String,
    signature: Vec<u8>,
}

/// A request that somebody signed who has the secret. Whether it came before is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// Names the secret.
    pub id: Nonce,
    /// Names the request, of those of this secret: it is accepted once.
    pub nonce: String,
    /// Until when the nonce has to be remembered, in seconds since 1970 by the site's clock.
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

/// Whether a field `content-digest` (RFC 9530) is of this content: each digest in it of an algorithm that is active in
/// the registry has to be right, and there has to be one. Others are worth nothing, so they are passed over.
fn is_digest_of(field: &str, content: &[u8]) -> bool {
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
        let said = match digest {
            ListEntry::Item(item) => item.bare_item.as_byte_sequence(),
            ListEntry::InnerList(_) => None,
        };
        if said != Some(right.as_slice()) {
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

/// A line break in a part would be the next line of what is signed.
fn is_plain(request: &HttpRequest<'_>) -> bool {
    let parts = [request.method, request.authority, request.target];
    let graphic =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    parts.iter().all(graphic)
}

/// Signs a request; `site_time` in seconds since 1970, `lasts` in seconds, at most [`MAX_LENGTH`].
///
/// # Errors
/// [`SignatureError::Fields`] for a request that no HTTP message can be.
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

/// Our member of a field, which may have others.
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
    /// Reads the three fields.
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

    /// Names the secret that it says to be signed with.
    #[must_use]
    pub fn id(&self) -> Nonce {
        self.id
    }

    /// Verifies that whoever has the secret signed exactly this request, lately; `site_time` in seconds since
    /// 1970.
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

/// The list with its parameters, as it was signed: strictly written, in the order in which it came.
fn written(input: &InnerList) -> Result<String, SignatureError> {
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

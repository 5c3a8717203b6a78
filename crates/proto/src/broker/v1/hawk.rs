//! Hawk 1: HTTP request authentication with the shared secret of a ticket. The payload is covered
//! if the sender includes its hash.

use countersign_crypto::hash::sha256;
use countersign_crypto::mac::{MacHash, MacKey};
use countersign_crypto::rsa::RsaHash;
use countersign_crypto::secret::{Secret, SecretText};
use data_encoding::BASE64;

/// The maximum difference between two clocks, in seconds. This difference itself is accepted.
pub const TOLERANCE: u64 = 60;

/// The maximum length of a header, in bytes.
const MAX_LENGTH: usize = 4_096;

/// The signed parts of an HTTP request.
#[derive(Debug, Clone, Copy)]
pub struct HawkRequest<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The host without the port.
    pub host: &'a str,
    /// The port that the client connected to.
    pub port: u16,
}

/// The members of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The id of the secret.
    pub id: String,
    /// When the header was made, in seconds since 1970.
    pub ts: u64,
    /// A random value, used for this request only.
    pub nonce: String,
    /// The hash of the payload.
    pub hash: Option<String>,
    /// Application-specific data.
    pub ext: Option<String>,
    /// The application that the credentials were issued to.
    pub app: Option<String>,
    /// The application that delegated the credentials. It is signed only together with `app`.
    pub dlg: Option<String>,
    mac: Vec<u8>,
}

/// Why a header is not accepted. The texts are those of Hawk's own middleware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HawkError {
    /// There is no header, or it uses another scheme.
    #[error("Unauthorized")]
    None,
    /// The header is malformed.
    #[error("Bad header format")]
    Format,
    /// No ticket with this id was presented.
    #[error("No Credentials Found.")]
    Unknown,
    /// The ticket has expired.
    #[error("Credentials Expired")]
    Expired,
    /// The MAC is of another request or was made with another secret.
    #[error("Bad mac")]
    Mac,
    /// The time is too old or in the future.
    #[error("Stale timestamp")]
    Stale,
    /// The same header was used before.
    #[error("Invalid nonce")]
    Replayed,
    /// Hawk does not support the hash that the applications agreed on.
    #[error("Unknown algorithm")]
    Algorithm,
}

/// Whether Hawk supports this hash: Hawk 1 has two.
#[must_use]
pub fn supports(hash: RsaHash) -> bool {
    algorithm(hash).is_some()
}

fn algorithm(hash: RsaHash) -> Option<MacHash> {
    match hash {
        RsaHash::Sha256 => Some(MacHash::Sha256),
        RsaHash::Sha1 => Some(MacHash::Sha1),
        RsaHash::Sha384 | RsaHash::Sha512 => None,
    }
}

fn key(secret: &SecretText, hash: RsaHash) -> Result<MacKey, HawkError> {
    let hash = algorithm(hash).ok_or(HawkError::Algorithm)?;
    // The key is the text itself, not its decoded form.
    Ok(MacKey::new(hash, secret.expose().as_bytes()))
}

/// The block length of SHA-256, in bytes: the longest key that HMAC uses unchanged.
const BLOCK: usize = 64;

/// The key that HMAC-SHA256 derives from a secret longer than its block (RFC 2104, section 2), so
/// that a verifier can store less. `None` for a shorter secret; the secrets of tickets are longer.
#[must_use]
pub fn digest(secret: &SecretText) -> Option<Secret<32>> {
    let secret = secret.expose().as_bytes();
    (secret.len() > BLOCK).then(|| Secret::from_bytes(sha256(secret)))
}

/// The text that the MAC covers: time in seconds, nonce, and the other members.
fn normalized(
    (ts, nonce): (u64, &str),
    request: &HawkRequest<'_>,
    hash: Option<&str>,
    ext: Option<&str>,
) -> String {
    let (hash, ext) = (hash.unwrap_or_default(), ext.unwrap_or_default());
    let ext = ext.replace('\\', "\\\\").replace('\n', "\\n");
    format!(
        "hawk.1.header\n{ts}\n{nonce}\n{}\n{}\n{}\n{}\n{hash}\n{ext}\n",
        request.method.to_uppercase(),
        request.target,
        request.host.to_lowercase(),
        request.port,
    )
}

/// The value of the header `Authorization` for a request. `ts` is in seconds since 1970; `nonce` is
/// fresh and consists of letters and digits.
///
/// # Errors
/// [`HawkError::Algorithm`].
pub fn sign(
    id: &str,
    secret: &SecretText,
    hash: RsaHash,
    request: &HawkRequest<'_>,
    (ts, nonce): (u64, &str),
) -> Result<String, HawkError> {
    let text = normalized((ts, nonce), request, None, None);
    let mac = BASE64.encode(&key(secret, hash)?.authenticate(text.as_bytes()));
    Ok(format!(
        r#"Hawk id="{id}", ts="{ts}", nonce="{nonce}", mac="{mac}""#
    ))
}

impl Header {
    /// Parses the value of `Authorization`.
    ///
    /// # Errors
    /// [`HawkError::None`] for another scheme, [`HawkError::Format`].
    pub fn parse(value: &str) -> Result<Self, HawkError> {
        if value.len() > MAX_LENGTH {
            return Err(HawkError::Format);
        }
        let (scheme, mut rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("hawk") {
            return Err(HawkError::None);
        }
        let [mut id, mut ts, mut nonce, mut mac] = [const { None }; 4];
        let [mut hash, mut ext, mut app, mut dlg] = [const { None }; 4];
        loop {
            let (name, after) = rest.split_once("=\"").ok_or(HawkError::Format)?;
            let (value, after) = after.split_once('"').ok_or(HawkError::Format)?;
            let place = match name.trim() {
                "id" => &mut id,
                "ts" => &mut ts,
                "nonce" => &mut nonce,
                "hash" => &mut hash,
                "ext" => &mut ext,
                "app" => &mut app,
                "dlg" => &mut dlg,
                "mac" => &mut mac,
                _ => return Err(HawkError::Format),
            };
            let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
            if value.is_empty() || !value.bytes().all(plain) || place.is_some() {
                return Err(HawkError::Format);
            }
            *place = Some(value.to_owned());
            let after = after.trim_start();
            if after.is_empty() {
                break;
            }
            rest = after.strip_prefix(',').ok_or(HawkError::Format)?;
        }
        let (Some(id), Some(ts), Some(nonce), Some(mac)) = (id, ts, nonce, mac) else {
            return Err(HawkError::Format);
        };
        Ok(Self {
            id,
            ts: ts.parse().map_err(|_| HawkError::Format)?,
            nonce,
            hash,
            ext,
            app,
            dlg,
            mac: BASE64
                .decode(mac.as_bytes())
                .map_err(|_| HawkError::Format)?,
        })
    }

    /// Verifies that the header was recently made for this request with the secret. `now` is in
    /// seconds since 1970. The caller must still look the nonce up in a
    /// [`ReplayCache`](crate::replay::ReplayCache).
    ///
    /// # Errors
    /// [`HawkError::Mac`], [`HawkError::Stale`], [`HawkError::Algorithm`].
    pub fn verify(
        &self,
        secret: &SecretText,
        hash: RsaHash,
        request: &HawkRequest<'_>,
        now: u64,
    ) -> Result<(), HawkError> {
        self.verify_under(&key(secret, hash)?, request, now)
    }

    /// As [`Self::verify`], with the [`digest`] of a secret, under SHA-256.
    ///
    /// # Errors
    /// [`HawkError::Mac`], [`HawkError::Stale`].
    pub fn verify_by_digest(
        &self,
        digest: &Secret<32>,
        request: &HawkRequest<'_>,
        now: u64,
    ) -> Result<(), HawkError> {
        let key = MacKey::new(MacHash::Sha256, digest.expose());
        self.verify_under(&key, request, now)
    }

    fn verify_under(
        &self,
        key: &MacKey,
        request: &HawkRequest<'_>,
        now: u64,
    ) -> Result<(), HawkError> {
        let once = (self.ts, self.nonce.as_str());
        let mut text = normalized(once, request, self.hash.as_deref(), self.ext.as_deref());
        if let Some(app) = &self.app {
            let dlg = self.dlg.as_deref().unwrap_or_default();
            text.push_str(&format!("{app}\n{dlg}\n"));
        }
        key.verify(text.as_bytes(), &self.mac)
            .map_err(|_| HawkError::Mac)?;
        if self.ts.abs_diff(now) > TOLERANCE {
            return Err(HawkError::Stale);
        }
        Ok(())
    }

    /// Whether the payload matches the signed hash (SHA-256), or no hash was signed. `kind` is the
    /// value of `Content-Type`, or empty.
    #[must_use]
    pub fn covers(&self, kind: &str, payload: &[u8]) -> bool {
        let Some(hash) = &self.hash else {
            return true;
        };
        let kind = kind.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let text = [b"hawk.1.payload\n", kind.as_bytes(), b"\n", payload, b"\n"].concat();
        *hash == BASE64.encode(&sha256(&text))
    }
}

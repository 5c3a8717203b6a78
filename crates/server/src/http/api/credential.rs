//! Who sends a request: the credential in its head.
//!
//! ```text
//! authorization: Bearer cst_… ─▶ checksum ─▶ hash ─▶ grant of the token, if it is cached
//!                                ─▶ turn ─▶ grant of the token from the store
//! certificate of the client   ─▶ no page ─▶ grant of the device with its key, if it is cached
//!                                ─▶ turn ─▶ grant of the device from the store
//! signature, signature-input  ─▶ form ─▶ turn at public-key work ─▶ grant of the key ─▶ signature
//!                                ─▶ time ─▶ nonce is new; the content is compared when it was read
//! ```
//!
//! Every invalid credential gets the same response. Text that cannot be a token is refused without
//! a read of the store. A signature by an unknown key is verified with another key, and no signed
//! request is refused before the time for refusals: a key in use is cached and an unknown one is
//! read from the store, and the time must not tell which keys exist.

use std::sync::{Mutex, PoisonError};

use countersign_core::access::Caller;
use countersign_core::access_tokens::AccessTokenSecret;
use countersign_core::engine::Site;
use countersign_core::engine::rest::bearer;
use countersign_core::lockdown::Activity;
use countersign_core::throttle::Abuse;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::replay::{ReplayCache, ReplayError, ReplayLimits, ReplayWindow};
use countersign_proto::signed_request::{AHEAD, MAX_AGE, RequestParts, RequestSignature};
use hyper::header::{AUTHORIZATION, HOST, HeaderName, IF_MATCH};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use tokio::time::Instant;

use super::super::origin::{RequestOrigin, Unchecked, is_of_a_page};
use super::super::problem::{AccountLimit, GivenCredential, Problem};
use super::idempotency::IDEMPOTENCY_KEY;
use super::prepared_keys::PreparedKeys;
use super::request::single;
use crate::clock;
use crate::runtime::counting;
use crate::runtime::shared::{Shared, log_trouble};

/// Nonces that are remembered for a minute or two: 17,000 signed requests a second. An entry takes
/// less than 100 bytes.
const NONCES: ReplayLimits = ReplayLimits {
    entries: 1_048_576,
    entries_per_owner: 524_288,
};
/// A signature is accepted within this time of its creation, in milliseconds.
const WINDOW: ReplayWindow = ReplayWindow {
    past: MAX_AGE * 1_000,
    ahead: AHEAD * 1_000,
};

/// The fields of a signed request (RFC 9421, RFC 9530).
static SIGNATURE: HeaderName = HeaderName::from_static("signature");
static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The nonces of signed requests.
struct Nonces(Mutex<ReplayCache>);

impl Nonces {
    /// Accepts no signature that was created before now: an earlier process may have accepted it. The
    /// listener waits before it starts, so that those that were dated ahead are older too.
    fn starting_now() -> Self {
        Self::of(NONCES, milliseconds())
    }

    fn of(limits: ReplayLimits, start: u64) -> Self {
        Self(Mutex::new(ReplayCache::new(WINDOW, limits, start, start)))
    }

    /// Accepts the nonce of a signature once. `None` if it was accepted already, or is too old.
    fn insert(&self, signature: &RequestSignature) -> Option<Result<(), AccountLimit>> {
        let created = signature.created().saturating_mul(1_000);
        let nonce = signature.nonce().as_bytes();
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cache.insert(signature.thumbprint().0, nonce, created, milliseconds()) {
            Ok(()) => Some(Ok(())),
            Err(ReplayError::Full) => Some(Err(AccountLimit::Nonces)),
            Err(ReplayError::Replayed | ReplayError::Stale) => None,
        }
    }
}

/// What the listener keeps of verified signatures.
pub(super) struct Signatures {
    nonces: Nonces,
    pub(super) keys: PreparedKeys,
}

impl Signatures {
    /// As [`Nonces::starting_now`].
    pub(super) fn starting_now() -> Self {
        Self {
            nonces: Nonces::starting_now(),
            keys: PreparedKeys::default(),
        }
    }
}

fn milliseconds() -> u64 {
    u64::try_from(clock::now().millis()).unwrap_or_default()
}

/// Who sent a request.
pub(super) struct Sender {
    pub(super) caller: Caller,
    /// The signature, if the request is signed. Its content is not compared yet.
    signature: Option<RequestSignature>,
}

/// The sender whose credential a request has, unless its account has its share of connections.
pub(super) async fn sender(
    head: &Parts,
    origin: &RequestOrigin,
    signatures: &Signatures,
    shared: &Shared,
) -> Result<Sender, Problem> {
    // The check may have cost a turn and a read of the store.
    let mut unchecked = Unchecked::new(|| failed(origin, shared));
    let sender = verified(head, origin, signatures, shared).await;
    unchecked.done();
    let sender = sender?;
    let admitted = origin.authenticated_as(&sender.caller, shared);
    admitted.map_err(Problem::over)?;
    Ok(sender)
}

/// The sender whose credential a request has.
async fn verified(
    head: &Parts,
    origin: &RequestOrigin,
    signatures: &Signatures,
    shared: &Shared,
) -> Result<Sender, Problem> {
    let authorization = single(&head.headers, &AUTHORIZATION)?;
    let signature = single(&head.headers, &SIGNATURE)?;
    let input = single(&head.headers, &SIGNATURE_INPUT)?;
    if let Some(key) = origin.device() {
        // A browser presents the key of its person for every page, also when the page must not read
        // the response.
        if is_of_a_page(&head.headers) {
            return Err(Problem::sent_by_a_page());
        }
        return match (authorization, input, signature) {
            (None, None, None) => Box::pin(of_device(key, origin, shared)).await,
            _ => Err(Problem::bad_request(
                "the connection has the key of a device, and the request another credential",
                "authorization",
            )),
        };
    }
    match (authorization, input, signature) {
        (None, None, None) => Err(Problem::not_authenticated(GivenCredential::None)),
        (Some(given), None, None) => {
            let caller = of_token(given, origin, shared).await?;
            let signature = None;
            Ok(Sender { caller, signature })
        }
        (None, Some(input), Some(signature)) => {
            let tag = shared.site.id().to_string();
            let read = RequestSignature::read(input, signature, &tag);
            let signature =
                read.map_err(|_| refused(GivenCredential::Signature, origin, shared))?;
            let began = Instant::from_std(clock::monotonic());
            let sender = signed(head, signature, origin, signatures, shared).await;
            if sender.is_err() {
                tokio::time::sleep_until(began + shared.limits().refusal_time).await;
            }
            sender
        }
        (None, _, _) => Err(refused(GivenCredential::Signature, origin, shared)),
        (Some(_), _, _) => Err(Problem::bad_request(
            "the request has an access token and a signature",
            "authorization",
        )),
    }
}

impl Sender {
    /// Checks that a signature covers the content, now that it was read.
    pub(super) fn expect_content(
        &self,
        head: &Parts,
        content: &str,
        origin: &RequestOrigin,
        shared: &Shared,
    ) -> Result<(), Problem> {
        let Some(signature) = &self.signature else {
            return Ok(());
        };
        let digest = single(&head.headers, &CONTENT_DIGEST)?;
        match signature.covers(digest, content.as_bytes()) {
            true => Ok(()),
            false => Err(refused(GivenCredential::Signature, origin, shared)),
        }
    }

    /// Whether the request is signed.
    pub(super) const fn is_signed(&self) -> bool {
        self.signature.is_some()
    }
}

async fn of_token(given: &str, origin: &RequestOrigin, shared: &Shared) -> Result<Caller, Problem> {
    let token = bearer(given).and_then(|text| AccessTokenSecret::parse(text).ok());
    let Some(token) = token else {
        return Err(refused(GivenCredential::Token, origin, shared));
    };
    let cached = shared.site.cached_token_caller(&token, clock::now());
    let found = match cached {
        Some(caller) => Some(caller),
        None => Box::pin(stored_token_caller(&token, origin, shared)).await?,
    };
    match found {
        Some(caller) => Ok(caller),
        None => Err(refused(GivenCredential::Token, origin, shared)),
    }
}

/// A read of the store, which any client can cause: the networks take turns.
async fn stored_token_caller(
    token: &AccessTokenSecret,
    origin: &RequestOrigin,
    shared: &Shared,
) -> Result<Option<Caller>, Problem> {
    let turn = shared.logins.turn(origin.network()).await;
    let _turn = turn.ok_or_else(Problem::busy)?;
    let read = shared.site.token_caller(token, clock::now()).await;
    log_trouble(read).map_err(|_| Problem::busy())
}

/// The sender of a request on the connection of a device, whose handshake has shown that it has the
/// key.
async fn of_device(
    key: Thumbprint,
    origin: &RequestOrigin,
    shared: &Shared,
) -> Result<Sender, Problem> {
    // As a new connection of the device: a request needs no earlier one.
    if !shared.site.permits(Activity::DeviceConnection) {
        return Err(Problem::lockdown());
    }
    let found = match shared.site.cached_device_caller(key) {
        Some(caller) => Some(caller),
        None => {
            // A read of the store, as that of a token.
            let turn = shared.logins.turn(origin.network()).await;
            let _turn = turn.ok_or_else(Problem::busy)?;
            let read = shared.site.device_caller(key, origin.source).await;
            log_trouble(read).map_err(|_| Problem::busy())?
        }
    };
    match found {
        Some(caller) => {
            let connection = (origin.connection.address, origin.connection.opened);
            shared
                .site
                .device_requested(&caller, connection, clock::now());
            let signature = None;
            Ok(Sender { caller, signature })
        }
        None => Err(refused(GivenCredential::Device, origin, shared)),
    }
}

/// The sender of a signed request. The signature is verified before the body is read, with the
/// digest in the head.
async fn signed(
    head: &Parts,
    signature: RequestSignature,
    origin: &RequestOrigin,
    signatures: &Signatures,
    shared: &Shared,
) -> Result<Sender, Problem> {
    // The key of a service needs no earlier session: the request is its login.
    if !shared.site.permits(Activity::ServiceLogin) {
        return Err(Problem::lockdown());
    }
    let parts = parts(head, origin, shared)?;
    let turn = shared.logins.turn(origin.network()).await;
    let _turn = turn.ok_or_else(Problem::busy)?;
    let thumbprint = signature.thumbprint();
    let found = match shared.site.cached_key_grant(thumbprint) {
        Some(cached) => Some(cached),
        None => {
            let read = Box::pin(shared.site.key_grant(thumbprint)).await;
            log_trouble(read).map_err(|_| Problem::busy())?
        }
    };
    let decoy = shared.site.public_key().signing;
    let key = found.as_ref().map_or(&decoy, |(_, key)| key);
    let now = clock::now();
    let seconds = u64::try_from(now.millis() / 1_000).unwrap_or_default();
    let verified = match signatures.keys.get(key) {
        Some(prepared) => signature.verify(&*prepared, &parts, seconds),
        None => signature.verify(key, &parts, seconds),
    };
    let (Some((grant, key)), Ok(())) = (found, verified) else {
        return Err(refused(GivenCredential::Signature, origin, shared));
    };
    let inserted = signatures.nonces.insert(&signature);
    let inserted = inserted.ok_or_else(|| refused(GivenCredential::Signature, origin, shared))?;
    inserted.map_err(Problem::over)?;
    // A repeated request does not count.
    signatures.keys.verified(&key, now);
    Ok(Sender {
        caller: Site::key_caller(grant),
        signature: Some(signature),
    })
}

/// The parts of a request that a signature covers.
fn parts<'a>(
    head: &'a Parts,
    origin: &RequestOrigin,
    shared: &Shared,
) -> Result<RequestParts<'a>, Problem> {
    let named = head.uri.authority().map(Authority::as_str);
    let host = single(&head.headers, &HOST)?;
    let scheme = origin.scheme(&head.headers, shared);
    let authority = named.or(host).unwrap_or_default();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    Ok(RequestParts {
        method: head.method.as_str(),
        scheme,
        authority: authority.strip_suffix(default_port).unwrap_or(authority),
        path: head.uri.path(),
        query: head.uri.query(),
        content_digest: single(&head.headers, &CONTENT_DIGEST)?,
        if_match: single(&head.headers, &IF_MATCH)?,
        idempotency_key: single(&head.headers, &IDEMPOTENCY_KEY)?,
    })
}

/// Counts an invalid credential against its source.
fn refused(given: GivenCredential, origin: &RequestOrigin, shared: &Shared) -> Problem {
    failed(origin, shared);
    Problem::not_authenticated(given)
}

fn failed(origin: &RequestOrigin, shared: &Shared) {
    origin.punish(Abuse::NotAuthenticated, shared);
    match origin.source {
        Some(source) => counting::api_request_failed(shared, source, origin.is_unpunished),
        None => counting::proxied_request_failed(shared, origin.proxy()),
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::identity::{Identity, IdentitySeed};
    use countersign_crypto::secret::Secret;
    use countersign_proto::signed_request::RequestSigner;

    use super::*;

    /// A full cache was refused as too many requests at a time, which waiting for one of them does not help.
    #[test]
    fn the_limit_on_nonces_is_named() {
        let now = milliseconds();
        let limits = ReplayLimits {
            entries: 4,
            entries_per_owner: 2,
        };
        let nonces = Nonces::of(limits, now - 10_000);
        let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes([9; 32])));
        let signer = RequestSigner::new(&identity, "c2l0ZQ");
        let request = RequestParts {
            method: "GET",
            scheme: "http",
            authority: "site.example",
            path: "/api/v1/self",
            query: None,
            content_digest: None,
            if_match: None,
            idempotency_key: None,
        };
        let insert = |nonce| {
            let created = now / 1_000;
            let fields = signer.sign(&request, created..created + 60, nonce).unwrap();
            let (input, signature) = (&fields.signature_input, &fields.signature);
            nonces.insert(&RequestSignature::read(input, signature, "c2l0ZQ").unwrap())
        };
        assert_eq!(insert("1"), Some(Ok(())));
        assert_eq!(insert("1"), None, "it was used");
        assert_eq!(insert("2"), Some(Ok(())));
        assert_eq!(insert("3"), Some(Err(AccountLimit::Nonces)));
    }
}

//! The provider of edition v1. Its responses are those of Serveros.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::hash::sha256;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v1::V1Refusal;
use countersign_proto::broker::v1::hawk::{self, HawkError, HawkRequest, Header};
use countersign_proto::broker::v1::provider::{
    DecryptedTicket, V1Provider as Parties, V1UnverifiedPresentation,
};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::value::RawValue;

use super::{V1, V1Application, V1Site};
use crate::clock::LocalClock;
use crate::content::Content;
use crate::origin::{normalized, target};
use crate::provider::{
    OpenedTicket, OutcomeCache, Provider, ProviderBuilder, ProviderEdition, Rejection, Reply,
    RequestName, SharedProvider, Verified, authority,
};

/// The state of a provider of edition v1 other than tickets.
pub struct V1State {
    clock: LocalClock,
    /// When this provider started. Tickets accepted before that may be lost.
    started: u64,
    /// Outcomes of tickets that the site signed.
    outcomes: OutcomeCache<Outcome>,
    /// Refusals of all other tickets, in a cache of their own: an attacker can send any number of
    /// them and evict entries.
    refusals: OutcomeCache<V1Refusal>,
}

/// The outcome of a ticket that the site signed for this provider. When it is presented again, it
/// is refused without public-key work.
#[derive(Clone, Copy)]
enum Outcome {
    /// It was accepted. A ticket is accepted only once.
    Accepted { stale_from: u64 },
    /// It was too old or expired, or may have been accepted before a restart.
    Stale { from: u64 },
}

impl Outcome {
    /// The refusal of a repeated ticket; `None` if the ticket has to be processed again because the
    /// clock was set back.
    fn refusal(self, now: u64) -> Option<V1Refusal> {
        match self {
            Self::Accepted { stale_from } if now < stale_from => Some(V1Refusal::Nonces),
            Self::Stale { from } if now < from => None,
            Self::Accepted { .. } | Self::Stale { .. } => Some(V1Refusal::Stale { clock: now }),
        }
    }
}

/// Why edition v1 rejects a presentation or request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum V1Rejection {
    /// A presentation, with the refusal of the protocol.
    Presentation(V1Refusal),
    /// A request without a valid signature.
    Unauthorized,
    /// A request with a valid signature that is rejected for another reason.
    Signed(HawkError),
}

impl Rejection for V1Rejection {
    const ACCEPTED: &'static str = "application/json; charset=utf-8";
    const PROBLEM: &'static str = Self::ACCEPTED;
    const UNREADABLE: Self = Self::Presentation(V1Refusal::NotVerified);
    const UNVERIFIED: Self = Self::Unauthorized;
    const REPLAYED: Self = Self::Signed(HawkError::Replayed);

    fn status(&self) -> StatusCode {
        match self {
            Self::Presentation(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Unauthorized | Self::Signed(_) => StatusCode::UNAUTHORIZED,
        }
    }

    fn body(&self) -> String {
        match self {
            Self::Presentation(refusal) => refusal.body(),
            Self::Unauthorized => problem(self.status(), &HawkError::None.to_string()),
            Self::Signed(error) => problem(self.status(), &error.to_string()),
        }
    }

    fn challenge(&self) -> Option<String> {
        match self {
            Self::Presentation(_) => None,
            Self::Unauthorized => Some("Hawk".to_owned()),
            Self::Signed(error) => Some(format!("Hawk error=\"{error}\"")),
        }
    }

    /// Messages are sentences, as those of Serveros are.
    fn problem(status: StatusCode, _: &str, title: &str) -> String {
        let mut letters = title.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let sentence: String = first.into_iter().chain(letters).chain(['.']).collect();
        problem(status, &sentence)
    }
}

fn problem(status: StatusCode, message: &str) -> String {
    serde_json::json!({ "status": status.as_u16(), "message": message }).to_string()
}

impl From<V1Refusal> for Reply<V1Rejection> {
    fn from(refusal: V1Refusal) -> Self {
        Self::Rejected(V1Rejection::Presentation(refusal))
    }
}

impl Provider<V1> {
    /// Replaces this application's keys and the site's, each list with the newest first. Tickets
    /// that were sealed to or signed with a removed key are not accepted.
    pub fn set_keys(&self, keys: Vec<RsaKey>, site: Vec<RsaPublicKey>) {
        self.shared.parties.change(|parties| {
            Arc::new(Parties {
                id: parties.id.clone(),
                keys,
                site_keys: site,
                ciphers: parties.ciphers.clone(),
                hashes: parties.hashes.clone(),
            })
        });
        // With other keys a ticket that was refused may be valid.
        self.shared.state.refusals.clear();
    }
}

impl ProviderBuilder<V1> {
    /// Accepted ciphers, the preferred one first: all of [`Cipher::ALL`] by default.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.parties.ciphers = ciphers.to_vec();
        self
    }

    /// Builds the provider. In this edition a provider never connects to the site.
    #[must_use]
    pub fn build(self) -> Provider<V1> {
        let clock = self.clock.clone();
        self.with(V1State {
            started: clock(),
            clock,
            outcomes: OutcomeCache::new(),
            refusals: OutcomeCache::new(),
        })
    }
}

impl SharedProvider<V1> {
    /// Does all public-key work on a ticket, in the queue.
    async fn open(
        &self,
        unverified: V1UnverifiedPresentation,
        digest: [u8; 32],
        source: Option<IpAddr>,
    ) -> Result<DecryptedTicket, Reply<V1Rejection>> {
        let parties = self.parties.get();
        let opened = self
            .work
            .run(source, move || parties.open(unverified))
            .await;
        opened.ok_or(Reply::Busy)?.map_err(|refusal| {
            self.state.refusals.insert(digest, refusal.clone());
            refusal.into()
        })
    }

    /// Whether a ticket was issued before this provider started, so that it may have been accepted
    /// before and lost. In v1 the secret is in the ticket itself: if the ticket were accepted
    /// again, all requests signed with it could be replayed. A request signed with a ticket that
    /// was first accepted after the start cannot be a replay from before, whatever its timestamp.
    /// Some sites issue timestamps in whole seconds, so these are compared as seconds.
    fn predates_start(&self, made: u64) -> bool {
        let started = match made % 1_000 {
            0 => self.state.started - self.state.started % 1_000,
            _ => self.state.started,
        };
        made < started && !self.settings.tickets.survives_restart()
    }

    /// Verifies that a request was signed for this provider. If the authority has no port, the
    /// consumer signed the default port of the scheme, which is unknown behind a proxy, so both are
    /// tried.
    fn verify_signature(
        &self,
        signed: &Header,
        secret: &Secret<32>,
        parts: &Parts,
        now: u64,
    ) -> Result<(), V1Rejection> {
        let setting = self.settings.authority.as_deref();
        let authority = setting.map_or_else(|| authority(parts), |setting| setting.parse().ok());
        // Only host and port are signed, so the authority may contain nothing else.
        let plain = authority.filter(|authority| normalized(authority, None).is_some());
        let authority = plain.ok_or(V1Rejection::Unauthorized)?;
        let target = format!("{}{}", self.settings.path_prefix, target(&parts.uri));
        let port = authority.port_u16();
        let ports = port.map_or([Some(443), Some(80)], |port| [Some(port), None]);
        let verified = |port| {
            let request = HawkRequest {
                method: parts.method.as_str(),
                target: &target,
                host: authority.host(),
                port,
            };
            signed.verify_by_digest(secret, &request, now)
        };
        let mut tried = ports.into_iter().flatten().map(verified);
        match tried.find(|verified| *verified != Err(HawkError::Mac)) {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(V1Rejection::Signed(error)),
            None => Err(V1Rejection::Unauthorized),
        }
    }
}

impl ProviderEdition for V1 {
    type Parties = Parties;
    type Parts = ();
    type State = V1State;
    type Rejection = V1Rejection;
    type Signature = Header;
    const SCHEME: &'static str = "Hawk";

    fn parties(application: V1Application, site: V1Site) -> (Parties, ()) {
        let parties = Parties {
            id: application.id,
            keys: application.keys,
            site_keys: site.keys,
            ciphers: Cipher::ALL.to_vec(),
            hashes: vec![RsaHash::Sha256],
        };
        (parties, ())
    }

    fn id(parties: &Parties) -> &str {
        &parties.id
    }

    async fn take(
        provider: &Arc<SharedProvider<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> Result<String, Reply<V1Rejection>> {
        let state = &provider.state;
        let unverified = V1UnverifiedPresentation::read(&body)?;
        let (digest, now) = (unverified.digest(), (state.clock)());
        let outcomes = state.outcomes.get(&digest);
        let outcomes = outcomes.and_then(|outcome| outcome.refusal(now));
        if let Some(refusal) = outcomes.or_else(|| state.refusals.get(&digest)) {
            return Err(refusal.into());
        }
        let opened = provider.open(unverified, digest, source).await?;
        let stale_from = opened.stale_from();
        if now >= stale_from {
            let outcome = Outcome::Stale { from: stale_from };
            state.outcomes.insert(digest, outcome);
        }
        let presented = provider.parties.get().verify_id_object(opened, now)?;
        if provider.predates_start(presented.issued_at()) {
            state.outcomes.insert(digest, Outcome::Stale { from: 0 });
            return Err(V1Refusal::Stale { clock: now }.into());
        }
        let issued = presented.issued_at();
        let accepted = presented.acknowledge();
        let credentials = accepted.credentials;
        let ticket = OpenedTicket {
            credentials: Credentials {
                application: credentials.application,
                id: ticket_id(&credentials.id),
                secret: hawk::digest(&credentials.key).ok_or(V1Refusal::NotVerified)?,
                expires: credentials.expires,
            },
            auth_data: accepted.auth_data.map_or_else(null_auth_data, Arc::from),
        };
        let replayed = V1Rejection::Presentation(V1Refusal::Nonces);
        let stored = provider.store_ticket(ticket, issued, now, replayed).await;
        if stored != Err(Reply::Busy) {
            let outcome = Outcome::Accepted { stale_from };
            state.outcomes.insert(digest, outcome);
        }
        stored.map(|()| accepted.answer)
    }

    fn signature(headers: &HeaderMap) -> Result<Option<Header>, V1Rejection> {
        match header_of(headers) {
            Err(HawkError::None) => Ok(None),
            header => header.map(Some).map_err(|_| V1Rejection::Unauthorized),
        }
    }

    fn ticket(signature: &Header) -> Nonce {
        ticket_id(&signature.id)
    }

    async fn verify<B: Content>(
        provider: &Arc<SharedProvider<Self>>,
        signature: Header,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> Result<Verified, Reply<V1Rejection>> {
        let credentials = &ticket.credentials;
        let now = (provider.state.clock)();
        provider.verify_signature(&signature, &credentials.secret, parts, now / 1_000)?;
        if !is_upper(&parts.method) {
            return Err(V1Rejection::Unauthorized.into());
        }
        // Content of unauthenticated clients is not read, so the signature over the rest comes
        // first.
        let content = provider.request_content(body).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        if !signature.covers(kind.unwrap_or_default(), &content) {
            return Err(V1Rejection::Unauthorized.into());
        }
        if now > credentials.expires {
            return Err(V1Rejection::Signed(HawkError::Expired).into());
        }
        // Nonces of Serveros are short and may repeat, so the timestamp is part of the name.
        let nonce = format!("{} {}", signature.ts, signature.nonce);
        Ok(Verified {
            content,
            name: RequestName::new(credentials.id, &nonce),
            until: (signature.ts.saturating_add(hawk::TOLERANCE + 1)).saturating_mul(1_000),
            now,
        })
    }
}

/// Parses the `authorization` header, which may occur once.
fn header_of(headers: &HeaderMap) -> Result<Header, HawkError> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Err(HawkError::None),
        (Some(line), None) => Header::parse(line.to_str().map_err(|_| HawkError::Format)?),
        _ => Err(HawkError::Format),
    }
}

/// The id under which a ticket is stored. Ids of edition v1 are texts of any length.
fn ticket_id(id: &str) -> Nonce {
    // A digest is longer than 16 bytes, so the default is never used.
    Nonce(*sha256(id.as_bytes()).first_chunk().unwrap_or(&[0; 16]))
}

/// The data of an application for which the site has registered none.
fn null_auth_data() -> Arc<RawValue> {
    Arc::from(RawValue::NULL.to_owned())
}

/// Hawk signs methods in upper case, so a signature would also match a lower-case method.
fn is_upper(method: &Method) -> bool {
    !method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
}

//! The provider's part of edition v1: what it answers is what Serveros answers.

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

use super::{Application, Site, V1};
use crate::clock::OwnClock;
use crate::content::Content;
use crate::origin::{normalized, target};
use crate::provider::{
    OpenedTicket, Provider, ProviderBuilder, ProviderEdition, Rejection, Reply, RequestName, Seen,
    Shared, Verified, authority,
};

/// What a provider of edition v1 remembers beside tickets.
pub struct State {
    clock: OwnClock,
    /// When this began: what was accepted before may be forgotten.
    started: u64,
    /// What became of tickets of the site's.
    decided: Seen<Outcome>,
    /// What others were refused with, apart from these: an attacker can make up any number.
    refused: Seen<V1Refusal>,
}

/// What became of a ticket of the site's for this provider. The same one is refused without public-key work.
#[derive(Clone, Copy)]
enum Outcome {
    /// It was accepted, which it is once.
    Accepted { stale_from: u64 },
    /// It was too old, or over, or accepted before a restart perhaps.
    Stale { from: u64 },
}

impl Outcome {
    /// What a ticket gets that comes again; `None` where it has to be looked at anew, after a clock was set back.
    fn refusal(self, now: u64) -> Option<V1Refusal> {
        match self {
            Self::Accepted { stale_from } if now < stale_from => Some(V1Refusal::Nonces),
            Self::Stale { from } if now < from => None,
            Self::Accepted { .. } | Self::Stale { .. } => Some(V1Refusal::Stale { clock: now }),
        }
    }
}

/// How this edition rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// A presentation, as the protocol refuses.
    Presentation(V1Refusal),
    /// A request whose signature is not verified.
    Unauthorized,
    /// A request that was signed with its ticket, and is rejected all the same.
    Signed(HawkError),
}

impl Rejection for Rejected {
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

    /// In sentences, as the others of Serveros.
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

impl From<V1Refusal> for Reply<Rejected> {
    fn from(refusal: V1Refusal) -> Self {
        Self::Rejected(Rejected::Presentation(refusal))
    }
}

impl Provider<V1> {
    /// Goes on with other keys of its own and of the site, the newest first. Tickets that were sealed to or signed
    /// with a key that is not among them are not accepted.
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
        // Other keys open other tickets.
        self.shared.state.refused.forget();
    }
}

impl ProviderBuilder<V1> {
    /// Ciphers that it accepts, the best first: all of [`Cipher::ALL`] by default.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.parties.ciphers = ciphers.to_vec();
        self
    }

    /// The provider, which never asks the site for anything.
    #[must_use]
    pub fn build(self) -> Provider<V1> {
        let clock = self.clock.clone();
        self.with(State {
            started: clock(),
            clock,
            decided: Seen::new(),
            refused: Seen::new(),
        })
    }
}

impl Shared<V1> {
    /// Does all the public-key work on a ticket, when its turn comes.
    async fn open(
        &self,
        read: V1UnverifiedPresentation,
        digest: [u8; 32],
        source: Option<IpAddr>,
    ) -> Result<DecryptedTicket, Reply<Rejected>> {
        let parties = self.parties.get();
        let opened = self.work.run(source, move || parties.open(read)).await;
        opened.ok_or(Reply::Busy)?.map_err(|refusal| {
            self.state.refused.hold(digest, refusal.clone());
            refusal.into()
        })
    }

    /// Whether a ticket was made before this began, and may have been accepted and forgotten. In v1 it would be
    /// worth as much again, with all requests under it: a ticket has one secret however often it is accepted. A
    /// request under a ticket that was first accepted here was not answered before, whenever its sender's clock says
    /// that it was signed. Some sites know whole seconds alone.
    fn is_of_before(&self, made: u64) -> bool {
        let started = match made % 1_000 {
            0 => self.state.started - self.state.started % 1_000,
            _ => self.state.started,
        };
        made < started && !self.settings.tickets.outlives_a_restart()
    }

    /// Whether it was signed for here. Who calls a host without a port has signed that of the scheme, which is
    /// not known behind a proxy.
    fn verify_signature(
        &self,
        signed: &Header,
        secret: &Secret<32>,
        parts: &Parts,
        now: u64,
    ) -> Result<(), Rejected> {
        let setting = self.settings.authority.as_deref();
        let authority = setting.map_or_else(|| authority(parts), |setting| setting.parse().ok());
        // Its host and port alone are signed: it says nothing else.
        let plain = authority.filter(|authority| normalized(authority, None).is_some());
        let authority = plain.ok_or(Rejected::Unauthorized)?;
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
            Some(Err(error)) => Err(Rejected::Signed(error)),
            None => Err(Rejected::Unauthorized),
        }
    }
}

impl ProviderEdition for V1 {
    type Parties = Parties;
    type Parts = ();
    type State = State;
    type Rejection = Rejected;
    type Signature = Header;
    const SCHEME: &'static str = "Hawk";

    fn parties(application: Application, site: Site) -> (Parties, ()) {
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
        provider: &Arc<Shared<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> Result<String, Reply<Rejected>> {
        let state = &provider.state;
        let read = V1UnverifiedPresentation::read(&body)?;
        let (digest, now) = (read.digest(), (state.clock)());
        let decided = state.decided.outcome(&digest);
        let decided = decided.and_then(|outcome| outcome.refusal(now));
        if let Some(refusal) = decided.or_else(|| state.refused.outcome(&digest)) {
            return Err(refusal.into());
        }
        let opened = provider.open(read, digest, source).await?;
        let stale_from = opened.stale_from();
        if now >= stale_from {
            let outcome = Outcome::Stale { from: stale_from };
            state.decided.hold(digest, outcome);
        }
        let presented = provider.parties.get().verify_id_object(opened, now)?;
        if provider.is_of_before(presented.issued_at()) {
            state.decided.hold(digest, Outcome::Stale { from: 0 });
            return Err(V1Refusal::Stale { clock: now }.into());
        }
        let accepted = presented.acknowledge();
        let credentials = accepted.credentials;
        let ticket = OpenedTicket {
            credentials: Credentials {
                application: credentials.application,
                id: named(&credentials.id),
                secret: hawk::digest(&credentials.key).ok_or(V1Refusal::NotVerified)?,
                expires: credentials.expires,
            },
            auth_data: accepted.auth_data.map_or_else(nothing, Arc::from),
        };
        let replayed = Rejected::Presentation(V1Refusal::Nonces);
        let kept = provider.keep(ticket, now, replayed).await;
        if kept != Err(Reply::Busy) {
            let outcome = Outcome::Accepted { stale_from };
            state.decided.hold(digest, outcome);
        }
        kept.map(|()| accepted.answer)
    }

    fn signature(headers: &HeaderMap) -> Result<Option<Header>, Rejected> {
        match header_of(headers) {
            Err(HawkError::None) => Ok(None),
            header => header.map(Some).map_err(|_| Rejected::Unauthorized),
        }
    }

    fn ticket(signature: &Header) -> Nonce {
        named(&signature.id)
    }

    async fn verify<B: Content>(
        provider: &Shared<Self>,
        signature: Header,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> Result<Verified, Reply<Rejected>> {
        let credentials = &ticket.credentials;
        let now = (provider.state.clock)();
        provider.verify_signature(&signature, &credentials.secret, parts, now / 1_000)?;
        if !is_upper(&parts.method) {
            return Err(Rejected::Unauthorized.into());
        }
        // The content is read after the signature over everything else is verified.
        let content = provider.request_content(body).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        if !signature.covers(kind.unwrap_or_default(), &content) {
            return Err(Rejected::Unauthorized.into());
        }
        if now > credentials.expires {
            return Err(Rejected::Signed(HawkError::Expired).into());
        }
        // Nonces of Serveros are short: another second makes another request of the same nonce.
        let nonce = format!("{} {}", signature.ts, signature.nonce);
        Ok(Verified {
            content,
            name: RequestName::new(credentials.id, &nonce),
            until: (signature.ts.saturating_add(hawk::TOLERANCE + 1)).saturating_mul(1_000),
            now,
        })
    }
}

/// The one header of a request.
fn header_of(headers: &HeaderMap) -> Result<Header, HawkError> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Err(HawkError::None),
        (Some(line), None) => Header::parse(line.to_str().map_err(|_| HawkError::Format)?),
        _ => Err(HawkError::Format),
    }
}

/// What a ticket is remembered by: ids of this edition are texts of any length.
fn named(id: &str) -> Nonce {
    // A digest is longer than that.
    Nonce(*sha256(id.as_bytes()).first_chunk().unwrap_or(&[0; 16]))
}

/// What is told of an application that the site knows nothing of.
fn nothing() -> Arc<RawValue> {
    Arc::from(RawValue::NULL.to_owned())
}

/// Hawk signs methods in capitals, so that it is the same for one that is not.
fn is_upper(method: &Method) -> bool {
    !method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
}

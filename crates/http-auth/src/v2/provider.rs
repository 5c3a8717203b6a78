//! The provider of edition v2.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::hash::sha256;
use countersign_crypto::party::{PartyKey, PartyPublic};
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::provider::{
    Accepted, Provider as Parties, UnverifiedPresentation,
};
use countersign_proto::broker::v2::signature::{
    Fields, HttpRequest, SignatureError, UnverifiedSignature,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};

use super::ticket_keys::TicketKeys;
use super::time::SiteTime;
use super::void_tickets::VoidTickets;
use super::{Application, Site, V2};
use crate::clock::SiteClock;
use crate::content::Content;
use crate::origin::{WrongAddress, target};
use crate::provider::{
    OpenedTicket, OutcomeCache, Provider, ProviderBuilder, ProviderEdition, Reply, RequestName,
    SharedProvider, Verified, authorities, busy,
};
use crate::session::SiteSession;
use crate::site_address::SiteAddress;

const CONTENT_DIGEST: &str = "content-digest";
const SIGNATURE_INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";

/// Why a provider cannot be built, or does not know the site's time or ticket keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The site's address is invalid.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// TLS cannot be set up on this machine.
    #[error("the HTTP client for the site cannot be set up: {0}")]
    Client(String),
    /// The site did not return its time.
    #[error("the site did not return its time: {0}")]
    NoTime(String),
    /// The site returned no keys for tickets of the symmetric path.
    #[error("the site returned no ticket keys: {0}")]
    NoTicketKeys(String),
    /// The time in the response is not signed by the site.
    #[error("the site's time failed verification: check its address and its public keys")]
    FailedVerification,
}

/// The state of a provider of edition v2 other than tickets.
pub struct V2State {
    pub(super) time: Arc<SiteTime>,
    pub(super) ticket_keys: TicketKeys,
    pub(super) void: VoidTickets,
    /// Refusals of signed presentations.
    refusals: OutcomeCache<Refusal>,
}

/// The site's address, and the session with it.
pub struct SiteParts {
    url: Uri,
    session: Option<Arc<dyn SiteSession>>,
}

impl Provider<V2> {
    /// Requests the site's time now. Otherwise the first request to the provider does so. In both
    /// cases the provider repeats it every ten minutes.
    ///
    /// # Errors
    /// [`ProviderError::NoTime`] and [`ProviderError::FailedVerification`]. The provider still
    /// works, with the clock of this machine.
    pub async fn ask_time(&self) -> Result<(), ProviderError> {
        let parties = self.shared.parties.get();
        self.shared.state.time.ask(&parties.site_keys).await
    }

    /// Replaces this application's keys, the newest first. Signed tickets that were sealed to a
    /// removed key are not accepted. Tickets of the symmetric path are accepted once the site has
    /// returned their keys again.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.shared.change(|parties| Parties {
            keys,
            ticket_keys: Vec::new(),
            ..parties.clone()
        });
    }

    /// Replaces the site's keys, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.shared.change(|parties| Parties {
            site_keys: keys,
            ticket_keys: Vec::new(),
            ..parties.clone()
        });
    }

    /// Requests ticket keys from the site now. Otherwise the first ticket of the symmetric path
    /// does so. In both cases the provider renews them before they expire.
    ///
    /// # Errors
    /// [`ProviderError::NoTicketKeys`], also if there is no session.
    pub async fn ask_ticket_keys(&self) -> Result<(), ProviderError> {
        let session = self.shared.state.ticket_keys.session.get();
        let none = || ProviderError::NoTicketKeys("there is no session with the site".to_owned());
        let session = session.ok_or_else(none)?;
        self.shared.ask_ticket_keys(&*session).await
    }

    /// Replaces the session over which ticket keys are requested, for example when it has ended.
    pub fn set_session(&self, session: Option<Arc<dyn SiteSession>>) {
        self.shared.state.ticket_keys.session.change(|_| session);
        self.shared.follow_events();
    }
}

impl ProviderBuilder<V2> {
    /// Requests the keys for tickets of the symmetric path over this session. Its account is the
    /// service that is registered for this application at the site. Without a session such tickets
    /// are rejected. Over the session the provider also learns at once which tickets the site has
    /// declared void, because an application was locked or deleted or is in lockdown. Without it,
    /// such a ticket is accepted until it expires.
    #[must_use]
    pub fn ticket_keys_from(mut self, session: Arc<dyn SiteSession>) -> Self {
        self.parts.session = Some(session);
        self
    }

    /// Builds the provider. It does not connect to the site yet.
    ///
    /// # Errors
    /// [`ProviderError::Address`], [`ProviderError::Client`].
    pub fn build(mut self) -> Result<Provider<V2>, ProviderError> {
        let site = SiteAddress::of(&self.parts.url)?;
        let state = V2State {
            time: Arc::new(SiteTime::new(SiteClock::new(self.clock.clone()), site)?),
            ticket_keys: TicketKeys::new(self.parts.session.take()),
            void: VoidTickets::default(),
            refusals: OutcomeCache::new(),
        };
        let provider = self.with(state);
        provider.shared.follow_events();
        Ok(provider)
    }
}

impl SharedProvider<V2> {
    pub(super) fn change(&self, change: impl FnOnce(&Parties) -> Parties) {
        self.parties.change(|parties| Arc::new(change(parties)));
        // With other keys a presentation that was refused may be valid.
        self.state.refusals.clear();
    }

    /// The site's time, in milliseconds since 1970.
    pub(super) async fn now(&self) -> u64 {
        let now = self.state.time.now(&self.parties.get().site_keys).await;
        if self.state.time.take_confirmation() {
            self.lower_marks().await;
        }
        now
    }

    /// Accepts a ticket that the site signed. All checks that need no public-key work come first:
    /// the ticket's plaintext header, and the outcome of the same presentation before.
    async fn accept_signed(
        &self,
        read: UnverifiedPresentation,
        digest: [u8; 32],
        source: Option<IpAddr>,
        now: u64,
    ) -> Result<Accepted, Reply<Refusal>> {
        let header = read.header().ok_or(Refusal::NotVerified)?;
        if now > header.expires {
            return Err(Refusal::Expired.into());
        }
        self.reject_accepted(header.id).await?;
        if let Some(refusal) = self.state.refusals.get(&digest) {
            return Err(refusal.into());
        }
        let parties = self.parties.get();
        let verify = move || {
            let presented = parties.verify(&read, now)?;
            presented.acknowledge(now, &mut SystemEntropy)
        };
        let remember = |refusal| {
            self.state.refusals.insert(digest, refusal);
            self.refused(refusal.into())
        };
        let accepted = self.work.run(source, verify).await.ok_or(Reply::Busy)?;
        let accepted = accepted.map_err(remember)?;
        let consumer = &accepted.credentials.application;
        let is_void = self.reject_void(consumer, accepted.issued).await;
        is_void.map_err(|reply| match reply {
            Reply::Rejected(refusal) => remember(refusal),
            reply => reply,
        })?;
        Ok(accepted)
    }

    /// Rejects a ticket that was accepted before, before any public-key work.
    async fn reject_accepted(&self, id: Nonce) -> Result<(), Reply<Refusal>> {
        match self.settings.tickets.ticket(id).await.map_err(busy)? {
            Some(_) => Err(Refusal::Replayed.into()),
            None => Ok(()),
        }
    }

    /// If a sender with a valid signature has another time, the site's time is requested again
    /// soon.
    pub(super) fn refused(&self, reply: Reply<Refusal>) -> Reply<Refusal> {
        if reply == Reply::Rejected(Refusal::Clock) {
            self.state.time.mark_uncertain();
        }
        reply
    }
}

impl ProviderEdition for V2 {
    type Parties = Parties;
    type Parts = SiteParts;
    type State = V2State;
    type Rejection = Refusal;
    type Signature = UnverifiedSignature;
    const SCHEME: &'static str = "Countersign";

    fn parties(application: Application, site: Site) -> (Parties, SiteParts) {
        let parties = Parties {
            id: application.id,
            keys: application.keys,
            site: site.id,
            site_keys: site.keys,
            ticket_keys: Vec::new(),
        };
        let (url, session) = (site.url, None);
        (parties, SiteParts { url, session })
    }

    fn id(parties: &Parties) -> &str {
        &parties.id
    }

    async fn take(
        provider: &Arc<SharedProvider<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> Result<String, Reply<Refusal>> {
        provider.follow_events();
        let read = UnverifiedPresentation::read(&body)?;
        let now = provider.now().await;
        let accepted = match read.is_signed() {
            true => {
                let digest = sha256(&body);
                provider.accept_signed(read, digest, source, now).await?
            }
            false => {
                let presented = provider.accept_symmetric(&read, now).await?;
                provider.reject_accepted(presented.id()).await?;
                let (consumer, issued) = (presented.requester(), presented.issued());
                provider.reject_void(consumer, issued).await?;
                let acknowledge = move || presented.acknowledge(now, &mut SystemEntropy);
                let accepted = provider.work.run(source, acknowledge).await;
                accepted.ok_or(Reply::Busy)??
            }
        };
        let ticket = OpenedTicket {
            credentials: accepted.credentials,
            auth_data: Arc::from(accepted.auth_data),
        };
        let (issued, replayed) = (accepted.issued, Refusal::Replayed);
        let stored = provider.store_ticket(ticket, issued, now, replayed);
        stored.await.map(|()| accepted.answer)
    }

    fn signature(headers: &HeaderMap) -> Result<Option<UnverifiedSignature>, Refusal> {
        if !headers.contains_key(SIGNATURE) && !headers.contains_key(SIGNATURE_INPUT) {
            return Ok(None);
        }
        let signed = UnverifiedSignature::read(&fields(headers)?);
        signed.map(Some).map_err(|_| Refusal::NotVerified)
    }

    fn ticket(signature: &UnverifiedSignature) -> Nonce {
        signature.id()
    }

    async fn verify<B: Content>(
        provider: &Arc<SharedProvider<Self>>,
        signature: UnverifiedSignature,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> Result<Verified, Reply<Refusal>> {
        provider.follow_events();
        let content = provider.request_content(body).await?;
        let now = provider.now().await;
        let settings = &provider.settings;
        // The ticket may have become void while the content arrived. In this order: a mark that is
        // written in between has changed the ticket.
        provider.reject_unwritten(&ticket.credentials.application)?;
        let ticket = settings.tickets.ticket(signature.id()).await;
        let ticket = ticket.map_err(busy)?.ok_or(Refusal::NotVerified)?;
        let verify = |authority: String| {
            let request = HttpRequest {
                method: parts.method.as_str(),
                authority: &authority,
                target: &format!("{}{}", settings.path_prefix, target(&parts.uri)),
                content: &content,
            };
            signature.verify(&ticket.credentials, &request, now / 1_000)
        };
        let not_verified = Err(SignatureError::NotVerified);
        let authorities = authorities(settings.authority.as_deref(), parts).into_iter();
        let verified = authorities
            .map(verify)
            .find(|verified| *verified != not_verified)
            .unwrap_or(not_verified);
        let verified = verified.map_err(|error| provider.refused(error.into()))?;
        Ok(Verified {
            name: RequestName::new(verified.id, &verified.nonce),
            until: verified.expires.saturating_mul(1_000),
            content,
            now,
        })
    }
}

/// Joins repeated headers of one name (RFC 9110, section 5.3).
fn fields(headers: &HeaderMap) -> Result<Fields, Refusal> {
    let field = |name| {
        let lines = headers.get_all(name).iter();
        let lines: Result<Vec<&str>, _> = lines.map(HeaderValue::to_str).collect();
        let lines = lines.map_err(|_| Refusal::NotVerified)?;
        Ok(lines.join(", "))
    };
    Ok(Fields {
        content_digest: field(CONTENT_DIGEST)?,
        signature_input: field(SIGNATURE_INPUT)?,
        signature: field(SIGNATURE)?,
    })
}

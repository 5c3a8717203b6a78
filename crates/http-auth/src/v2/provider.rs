//! The provider's part of edition v2.

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
use super::{Application, Site, V2};
use crate::clock::SiteClock;
use crate::content::Content;
use crate::origin::{WrongAddress, target};
use crate::provider::{
    OpenedTicket, Provider, ProviderBuilder, ProviderEdition, Reply, RequestName, Seen, Shared,
    Verified, authorities, busy,
};
use crate::session::SiteSession;
use crate::site_address::SiteAddress;

const CONTENT_DIGEST: &str = "content-digest";
const SIGNATURE_INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";

/// Why there is no provider, or it does not know the site's time or ticket keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The site's address is none.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// TLS cannot be set up on this machine.
    #[error("the site cannot be asked from here: {0}")]
    Client(String),
    /// The site did not tell the time.
    #[error("the site does not tell its time: {0}")]
    NoTime(String),
    /// The site gave no keys for tickets of the symmetric path.
    #[error("the site gives no ticket keys: {0}")]
    NoTicketKeys(String),
    /// The time that was told is not signed by the site.
    #[error("the time told is not the site's: compare its address and its public keys")]
    FailedVerification,
}

/// What a provider of edition v2 remembers beside tickets.
pub struct State {
    pub(super) time: Arc<SiteTime>,
    pub(super) ticket_keys: TicketKeys,
    /// What signed presentations were refused with.
    refused: Seen<Refusal>,
}

/// Where the site answers, and the session with it.
pub struct OfSite {
    url: Uri,
    session: Option<Arc<dyn SiteSession>>,
}

impl Provider<V2> {
    /// Asks the site for its time now. Without that it is asked with the first request, and now and then
    /// afterwards in any case.
    ///
    /// # Errors
    /// [`ProviderError::NoTime`] and [`ProviderError::FailedVerification`]. The provider works nevertheless, by the
    /// clock of this machine.
    pub async fn ask_time(&self) -> Result<(), ProviderError> {
        let parties = self.shared.parties.get();
        self.shared.state.time.ask(&parties.site_keys).await
    }

    /// Goes on with other keys of its own, the newest first. Tickets that were sealed to a key that is not among
    /// them are not accepted; those of the symmetric path are, once the site has told their keys anew.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.shared.change(|parties| Parties {
            keys,
            ticket_keys: Vec::new(),
            ..parties.clone()
        });
    }

    /// Goes on with other keys of the site, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.shared.change(|parties| Parties {
            site_keys: keys,
            ticket_keys: Vec::new(),
            ..parties.clone()
        });
    }

    /// Asks the site for ticket keys now. Without that it is asked with the first ticket of the symmetric path, and
    /// before they expire in any case.
    ///
    /// # Errors
    /// [`ProviderError::NoTicketKeys`], also when there is no session.
    pub async fn ask_ticket_keys(&self) -> Result<(), ProviderError> {
        let session = self.shared.state.ticket_keys.session.get();
        let none = || ProviderError::NoTicketKeys("there is no session with it".to_owned());
        let session = session.ok_or_else(none)?;
        self.shared.ask_ticket_keys(&*session).await
    }

    /// Gets ticket keys over another session from now on, or over none: a session ends at some time.
    pub fn set_session(&self, session: Option<Arc<dyn SiteSession>>) {
        self.shared.state.ticket_keys.session.change(|_| session);
    }
}

impl ProviderBuilder<V2> {
    /// Gets the keys of tickets of the symmetric path over this session: of the service that is named for this
    /// application at the site. Without one such tickets are rejected.
    #[must_use]
    pub fn ticket_keys_from(mut self, session: Arc<dyn SiteSession>) -> Self {
        self.parts.session = Some(session);
        self
    }

    /// The provider. The site is not asked for anything yet.
    ///
    /// # Errors
    /// [`ProviderError::Address`], [`ProviderError::Client`].
    pub fn build(mut self) -> Result<Provider<V2>, ProviderError> {
        let site = SiteAddress::of(&self.parts.url)?;
        let state = State {
            time: Arc::new(SiteTime::new(SiteClock::new(self.clock.clone()), site)?),
            ticket_keys: TicketKeys::new(self.parts.session.take()),
            refused: Seen::new(),
        };
        Ok(self.with(state))
    }
}

impl Shared<V2> {
    pub(super) fn change(&self, change: impl FnOnce(&Parties) -> Parties) {
        self.parties.change(|parties| Arc::new(change(parties)));
        // Other keys verify other presentations.
        self.state.refused.forget();
    }

    /// The site's time.
    async fn now(&self) -> u64 {
        self.state.time.now(&self.parties.get().site_keys).await
    }

    /// Accepts a ticket that the site signed. All that can be found out without public-key work is found out first,
    /// from what the ticket says in the clear and what the same presentation led to before.
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
        self.not_kept(header.id).await?;
        if let Some(refusal) = self.state.refused.outcome(&digest) {
            return Err(refusal.into());
        }
        let parties = self.parties.get();
        let verify = move || {
            let presented = parties.verify(&read, now)?;
            presented.acknowledge(now, &mut SystemEntropy)
        };
        let accepted = self.work.run(source, verify).await.ok_or(Reply::Busy)?;
        accepted.map_err(|refusal| {
            self.state.refused.hold(digest, refusal);
            self.refused(refusal.into())
        })
    }

    /// A ticket that was accepted before is rejected before any work is done for it.
    async fn not_kept(&self, id: Nonce) -> Result<(), Reply<Refusal>> {
        match self.settings.tickets.ticket(id).await.map_err(busy)? {
            Some(_) => Err(Refusal::Replayed.into()),
            None => Ok(()),
        }
    }

    /// A verified sender with another time than the site's is a reason to ask the site soon.
    pub(super) fn refused(&self, reply: Reply<Refusal>) -> Reply<Refusal> {
        if reply == Reply::Rejected(Refusal::Clock) {
            self.state.time.doubt();
        }
        reply
    }
}

impl ProviderEdition for V2 {
    type Parties = Parties;
    type Parts = OfSite;
    type State = State;
    type Rejection = Refusal;
    type Signature = UnverifiedSignature;
    const SCHEME: &'static str = "Countersign";

    fn parties(application: Application, site: Site) -> (Parties, OfSite) {
        let parties = Parties {
            id: application.id,
            keys: application.keys,
            site: site.id,
            site_keys: site.keys,
            ticket_keys: Vec::new(),
        };
        let (url, session) = (site.url, None);
        (parties, OfSite { url, session })
    }

    fn id(parties: &Parties) -> &str {
        &parties.id
    }

    async fn take(
        provider: &Arc<Shared<Self>>,
        body: Bytes,
        source: Option<IpAddr>,
    ) -> Result<String, Reply<Refusal>> {
        let read = UnverifiedPresentation::read(&body)?;
        let now = provider.now().await;
        let accepted = match read.is_signed() {
            true => {
                let digest = sha256(&body);
                provider.accept_signed(read, digest, source, now).await?
            }
            false => {
                let presented = provider.accept_symmetric(&read, now).await?;
                provider.not_kept(presented.id()).await?;
                let acknowledge = move || presented.acknowledge(now, &mut SystemEntropy);
                let accepted = provider.work.run(source, acknowledge).await;
                accepted.ok_or(Reply::Busy)??
            }
        };
        let ticket = OpenedTicket {
            credentials: accepted.credentials,
            auth_data: Arc::from(accepted.auth_data),
        };
        provider.keep(ticket, now, Refusal::Replayed).await?;
        Ok(accepted.answer)
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
        provider: &Shared<Self>,
        signature: UnverifiedSignature,
        ticket: &OpenedTicket,
        parts: &Parts,
        body: B,
    ) -> Result<Verified, Reply<Refusal>> {
        let content = provider.request_content(body).await?;
        let now = provider.now().await;
        let settings = &provider.settings;
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

/// Lines of one name are one field (RFC 9110, section 5.3).
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

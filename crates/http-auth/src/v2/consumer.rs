//! The consumer of edition v2.
//!
//! ```text
//! site:     POST /authenticate        auth request         -> auth response
//!           GET  /clock?nonce=…                            -> its time, after a refusal `clock`
//!           or, in a session: broker ticket                 -> ticket, and its time
//! provider: POST its ticket path      ticket presentation  -> acknowledgement
//! ```

use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_proto::broker::v2::consumer::{
    Consumer as Parties, IssuedTicket, PendingPresentation,
};
use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::signature::{self, HttpRequest};
use countersign_proto::broker::v2::{Credentials, Refusal, limits};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use super::{Application, Site, V2};
use crate::consumer::{
    Consumer, ConsumerBuilder, ConsumerEdition, ConsumerError, Expires, Outgoing, Responder,
    RetryReason, SharedConsumer, Target, Transport, accepted,
};
use crate::origin::{self, Origin, WrongAddress};
use crate::refusal;
use crate::session::SiteSession;

/// Lifetime of a signature in seconds, equal to the tolerated clock difference.
const SIGNATURE_LIFETIME: u64 = signature::TOLERANCE;

impl Consumer<V2> {
    /// Replaces this application's keys, the newest first.
    pub fn set_keys(&self, keys: Vec<PartyKey>) {
        self.change(|parties| Parties {
            keys,
            ..parties.clone()
        });
    }

    /// Replaces the site's keys, the newest first.
    pub fn set_site_keys(&self, keys: Vec<PartyPublic>) {
        self.change(|parties| Parties {
            site_keys: keys,
            ..parties.clone()
        });
    }

    /// Replaces the session over which tickets are requested, for example when it has ended; with
    /// `None` tickets are requested over HTTP.
    pub fn set_session(&self, session: Option<Arc<dyn SiteSession>>) {
        self.shared.session.change(|_| session);
    }
}

impl ConsumerBuilder<V2> {
    /// Requests tickets over this session instead of HTTP. The site then needs no public-key
    /// operations and can issue many more tickets. The session's account is the service that is
    /// registered for this application at the site. When the session has ended, requests fail until
    /// [`Consumer::set_session`] provides another one.
    #[must_use]
    pub fn tickets_over(mut self, session: Arc<dyn SiteSession>) -> Self {
        self.session = Some(session);
        self
    }

    /// The suite with which messages to the site are sealed: `xwing-aes256gcm` by default.
    #[must_use]
    pub fn suite(mut self, suite: SealingSuite) -> Self {
        self.parties.suite = suite;
        self
    }
}

impl Expires for Credentials {
    fn expires(&self) -> u64 {
        self.expires
    }
}

impl ConsumerEdition for V2 {
    type Parties = Parties;
    type Credentials = Credentials;
    type Granted = IssuedTicket;
    type Presenting = PendingPresentation;
    type BuildError = WrongAddress;

    fn parties(application: Application, site: Site) -> (Parties, Uri) {
        let parties = Parties {
            id: application.id,
            keys: application.keys,
            site: site.id,
            site_keys: site.keys,
            suite: SealingSuite::XWing,
        };
        (parties, site.url)
    }

    fn id(parties: &Parties) -> &str {
        &parties.id
    }

    fn is_foreign(id: &str) -> bool {
        id.parse::<ForeignName>().is_ok()
    }

    fn check(_: &Parties) -> Result<(), WrongAddress> {
        Ok(())
    }

    fn time_keys(parties: &Parties) -> Option<&[PartyPublic]> {
        Some(&parties.site_keys)
    }

    async fn request_ticket<T: Transport>(
        consumer: &SharedConsumer<Self>,
        parties: &Parties,
        target: &Target<Self>,
        transport: &mut T,
    ) -> Result<IssuedTicket, ConsumerError> {
        if let Some(session) = consumer.session.get() {
            return consumer.in_session(parties, target, &*session).await;
        }
        let cannot = ConsumerError::CannotRequest;
        let asked = parties.ask(&target.id, consumer.clock.now(), &mut SystemEntropy);
        let (asked, request) = asked.map_err(|_| cannot.clone())?;
        let request = serde_json::to_vec(&request).map_err(|_| cannot.clone())?;
        let address = consumer.site.at("/authenticate").map_err(|_| cannot)?;
        let to = (Method::POST, address);
        let response = consumer
            .exchange(
                Responder::Site,
                to,
                request.into(),
                limits::SEALED,
                transport,
            )
            .await?;
        let granted = parties.read_response(asked, &accepted(Responder::Site, response)?);
        let granted = granted.map_err(|_| ConsumerError::FailedVerification(Responder::Site))?;
        if let Some(clock) = &target.clock {
            clock.set(granted.response().ts);
        }
        Ok(granted)
    }

    fn present(
        granted: IssuedTicket,
        now: u64,
    ) -> Result<(PendingPresentation, String), ConsumerError> {
        let presented = granted.present(now, &mut SystemEntropy);
        presented.map_err(|_| ConsumerError::CannotRequest)
    }

    fn acknowledged(
        presenting: PendingPresentation,
        response: (StatusCode, Bytes),
    ) -> Result<Credentials, ConsumerError> {
        let acknowledged =
            presenting.read_acknowledgement(&accepted(Responder::Provider, response)?);
        acknowledged.map_err(|_| ConsumerError::FailedVerification(Responder::Provider))
    }

    fn sign(
        credentials: &Credentials,
        origin: &Origin,
        request: &Outgoing,
        now: u64,
    ) -> Result<HeaderMap, ConsumerError> {
        let signed = HttpRequest {
            method: request.method.as_str(),
            authority: request.authority(origin),
            target: &origin::target(&request.address),
            content: &request.content,
        };
        let nonce = Nonce(fresh(&mut SystemEntropy));
        let fields = signature::sign(credentials, &signed, nonce, now / 1_000, SIGNATURE_LIFETIME)
            .map_err(|_| ConsumerError::CannotSign)?;
        let named = [
            ("content-digest", fields.content_digest),
            ("signature-input", fields.signature_input),
            ("signature", fields.signature),
        ];
        let named = named.into_iter().map(|(name, value)| {
            let value = HeaderValue::try_from(value).map_err(|_| ConsumerError::CannotSign)?;
            Ok((HeaderName::from_static(name), value))
        });
        named.collect()
    }

    /// Reads the challenge of a 401, which only the provider middleware sends: such a request had
    /// no effect.
    fn rejection(status: StatusCode, fields: &HeaderMap) -> Option<RetryReason> {
        let challenge = fields.get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
        let challenge = Some(challenge).filter(|_| status == StatusCode::UNAUTHORIZED);
        match challenge.and_then(refusal::from_challenge)? {
            Refusal::NotVerified | Refusal::Expired => Some(RetryReason::Ticket),
            Refusal::Clock => Some(RetryReason::Time),
            _ => None,
        }
    }
}

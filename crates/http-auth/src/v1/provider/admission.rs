//! Who gets in: a presentation is taken, and a request is verified.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::hash::sha256;
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v1::Refusal;
use countersign_proto::broker::v1::hawk::{self, HawkError, Header, Signed};
use countersign_proto::broker::v1::provider::{Opened, Unverified};
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use http::request::Parts;
use http::{HeaderMap, Method, Request, header};
use http_body::Body;
use http_body_util::Full;
use serde_json::value::RawValue;

use super::reply::Reply;
use super::{Outcome, Shared};
use crate::content::{Unread, read};
use crate::origin::{normalized, target};
use crate::provider::admission::authority;
use crate::v1::LONGEST_MESSAGE;
use crate::{AuthenticatedApp, BoxError, Once, OpenedTicket, RequestName, TicketStoreError};

impl Shared {
    /// Takes a ticket: the acknowledgement, as JSON. It is remembered before that is sent.
    pub(super) async fn take<B>(&self, request: Request<B>) -> Result<String, Reply>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if request.method() != Method::POST {
            return Err(Reply::Method);
        }
        let (parts, body) = request.into_parts();
        let source = self.source_of.as_ref().and_then(|of| of(&parts));
        let body = self.content(body, LONGEST_MESSAGE).await;
        // Nobody has proved anything yet: whatever is wrong, the answer is one.
        let body = body.map_err(|_| Refusal::NotVerified)?;
        let read = Unverified::read(&body)?;
        let (digest, now) = (read.digest(), (self.clock)());
        let decided = self.decided.outcome(&digest);
        let decided = decided.and_then(|outcome| outcome.refusal(now));
        if let Some(refusal) = decided.or_else(|| self.refused.outcome(&digest)) {
            return Err(refusal.into());
        }
        let opened = self.open(read, digest, source).await?;
        let stale_from = opened.stale_from();
        if now >= stale_from {
            let outcome = Outcome::Stale { from: stale_from };
            self.decided.hold(digest, outcome);
        }
        let presented = self.parties().prove(opened, now)?;
        if self.is_of_before(presented.made()) {
            self.decided.hold(digest, Outcome::Stale { from: 0 });
            return Err(Refusal::Stale { clock: now }.into());
        }
        let accepted = presented.acknowledge();
        let credentials = accepted.credentials;
        let ticket = OpenedTicket {
            credentials: Credentials {
                application: credentials.application,
                id: named(&credentials.id),
                secret: hawk::digest(&credentials.key).ok_or(Refusal::NotVerified)?,
                expires: credentials.expires,
            },
            auth_data: accepted.auth_data.map_or_else(nothing, Arc::from),
        };
        let came = self.tickets.keep(ticket, now).await;
        if matches!(came, Ok(Once::First | Once::Again)) {
            let outcome = Outcome::Accepted { stale_from };
            self.decided.hold(digest, outcome);
        }
        once(came, Refusal::Nonces)?;
        Ok(accepted.answer)
    }

    /// Does all the public-key work on a ticket, when its turn comes.
    async fn open(
        &self,
        read: Unverified,
        digest: [u8; 32],
        source: Option<IpAddr>,
    ) -> Result<Opened, Reply> {
        let parties = self.parties();
        let opened = self.work.run(source, move || parties.open(read)).await;
        opened.ok_or(Reply::Busy)?.map_err(|refusal| {
            self.refused.hold(digest, refusal.clone());
            refusal.into()
        })
    }

    /// Lets a request through that is signed, once, and tells the application whose it is.
    pub(super) async fn admit<B>(&self, request: Request<B>) -> Result<Request<Full<Bytes>>, Reply>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<AuthenticatedApp>();
        let signed = match signed(&parts.headers) {
            Err(HawkError::None) if self.anonymous => {
                let content = self.content(body, self.longest).await?;
                return Ok(Request::from_parts(parts, Full::new(content)));
            }
            signed => signed.map_err(|_| Reply::Unauthorized)?,
        };
        let id = named(&signed.id);
        let ticket = self.tickets.ticket(id).await.map_err(busy)?;
        let OpenedTicket {
            credentials,
            auth_data,
        } = ticket.ok_or(Reply::Unauthorized)?;
        let now = (self.clock)();
        self.verify(&signed, &credentials.secret, &parts, now / 1_000)?;
        if !is_upper(&parts.method) {
            return Err(Reply::Unauthorized);
        }
        // Content is read for those alone who have proved who they are.
        let content = self.content(body, self.longest).await?;
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        if !signed.covers(kind.unwrap_or_default(), &content) {
            return Err(Reply::Unauthorized);
        }
        if now > credentials.expires {
            return Err(Reply::Signed(HawkError::Expired));
        }
        // Nonces of Serveros are short: another second makes another request of the same nonce.
        let name = RequestName::new(id, &format!("{} {}", signed.ts, signed.nonce));
        let until = (signed.ts.saturating_add(hawk::TOLERANCE + 1)).saturating_mul(1_000);
        let application = &credentials.application;
        let came = self.tickets.request(name, application, until, now).await;
        once(came, Reply::Signed(HawkError::Replayed))?;
        parts.extensions.insert(AuthenticatedApp {
            id: credentials.application,
            auth_data,
            expires: credentials.expires,
        });
        Ok(Request::from_parts(parts, Full::new(content)))
    }

    /// Whether a ticket was made before this began, and may have been accepted and forgotten. In v1 it would be
    /// worth as much again, with all requests under it: a ticket has one secret however often it is accepted. A
    /// request under a ticket that was first accepted here was not answered before, whenever its sender's clock says
    /// that it was signed. Some sites know whole seconds alone.
    fn is_of_before(&self, made: u64) -> bool {
        let started = match made % 1_000 {
            0 => self.started - self.started % 1_000,
            _ => self.started,
        };
        made < started && !self.tickets.outlives_a_restart()
    }

    /// Whether it was signed for here. Who calls a host without a port has signed that of the scheme, which is
    /// not known behind a proxy.
    fn verify(
        &self,
        signed: &Header,
        secret: &Secret<32>,
        parts: &Parts,
        now: u64,
    ) -> Result<(), Reply> {
        let setting = self.authority.as_deref();
        let authority = setting.map_or_else(|| authority(parts), |setting| setting.parse().ok());
        // Its host and port alone are signed: it says nothing else.
        let plain = authority.filter(|authority| normalized(authority, None).is_some());
        let authority = plain.ok_or(Reply::Unauthorized)?;
        let target = format!("{}{}", self.path_prefix, target(&parts.uri));
        let port = authority.port_u16();
        let ports = port.map_or([Some(443), Some(80)], |port| [Some(port), None]);
        let verified = |port| {
            let request = Signed {
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
            Some(Err(error)) => Err(Reply::Signed(error)),
            None => Err(Reply::Unauthorized),
        }
    }

    async fn content<B>(&self, body: B, longest: usize) -> Result<Bytes, Reply>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match tokio::time::timeout(self.patience, read(body, longest)).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(Unread::TooLong)) => Err(Reply::TooLong),
            Ok(Err(Unread::Broken(error))) => {
                tracing::debug!(%error, "content broke off");
                Err(Reply::TooSlow)
            }
            Err(_) => Err(Reply::TooSlow),
        }
    }
}

/// The one header of a request.
fn signed(headers: &HeaderMap) -> Result<Header, HawkError> {
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

fn once(answer: Result<Once, TicketStoreError>, again: impl Into<Reply>) -> Result<(), Reply> {
    match answer.map_err(busy)? {
        Once::First => Ok(()),
        Once::Again => Err(again.into()),
        Once::Full => {
            tracing::warn!("no more tickets or requests can be remembered: raise the limits");
            Err(Reply::Busy)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
fn busy(error: TicketStoreError) -> Reply {
    tracing::error!(%error, "nothing is accepted");
    Reply::Busy
}

/// Hawk signs methods in capitals, so that it is the same for one that is not.
fn is_upper(method: &Method) -> bool {
    !method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
}

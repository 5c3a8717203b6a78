//! Who gets in: a presentation is taken, and a request is verified.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::hash::sha256;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::provider::{Accepted, Unverified};
use countersign_proto::broker::v2::signature::{self, Fields, SignatureError, Signed};
use countersign_proto::broker::v2::{Refusal, limits};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body;
use http_body_util::Full;

use super::reply::Reply;
use super::tickets::{Once, OpenedTicket, RequestName, TicketStoreError};
use super::{AuthenticatedApp, Shared};
use crate::BoxError;
use crate::content::{Unread, read};
use crate::origin::{normalized, same, target};

const CONTENT_DIGEST: &str = "content-digest";
const SIGNATURE_INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";

impl Shared {
    /// Takes a ticket: the acknowledgement, as JSON. It is remembered before that is sent.
    pub(super) async fn take<B>(self: &Arc<Self>, request: Request<B>) -> Result<String, Reply>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if request.method() != Method::POST {
            return Err(Reply::Method);
        }
        let (parts, body) = request.into_parts();
        let source = self.source_of.as_ref().and_then(|of| of(&parts));
        let body = self.content(body, limits::SEALED).await;
        // Nobody has proved anything yet: whatever is wrong, the answer is one.
        let body = body.map_err(|_| Refusal::NotVerified)?;
        let read = Unverified::read(&body)?;
        let now = self.time.now(&self.parties().site_keys).await;
        let accepted = match read.is_signed() {
            true => self.accept_signed(read, sha256(&body), source, now).await?,
            false => {
                let presented = self.accept_fast(&read, now).await?;
                self.not_kept(presented.id()).await?;
                let acknowledge = move || presented.acknowledge(now, &mut SystemEntropy);
                let accepted = self.work.run(source, acknowledge).await;
                accepted.ok_or(Reply::Busy)??
            }
        };
        let ticket = OpenedTicket {
            credentials: accepted.credentials,
            auth_data: Arc::from(accepted.auth_data),
        };
        once(self.tickets.keep(ticket, now).await)?;
        Ok(accepted.answer)
    }

    /// Accepts a ticket that the site signed. All that can be found out without public-key work is found out first,
    /// from what the ticket says in the clear and what the same presentation led to before.
    async fn accept_signed(
        self: &Arc<Self>,
        read: Unverified,
        digest: [u8; 32],
        source: Option<IpAddr>,
        now: u64,
    ) -> Result<Accepted, Reply> {
        let header = read.header().ok_or(Refusal::NotVerified)?;
        if now > header.expires {
            return Err(Refusal::Expired.into());
        }
        self.not_kept(header.id).await?;
        if let Some(refusal) = self.seen.outcome(&digest) {
            return Err(refusal.into());
        }
        let parties = self.parties();
        let verify = move || {
            let presented = parties.verify(&read, now)?;
            presented.acknowledge(now, &mut SystemEntropy)
        };
        let accepted = self.work.run(source, verify).await.ok_or(Reply::Busy)?;
        accepted.map_err(|refusal| {
            self.seen.hold(digest, refusal);
            self.refused(refusal.into())
        })
    }

    /// A ticket that was accepted before is refused before any work is done for it.
    async fn not_kept(&self, id: Nonce) -> Result<(), Reply> {
        match self.tickets.ticket(id).await.map_err(busy)? {
            Some(_) => Err(Refusal::Replayed.into()),
            None => Ok(()),
        }
    }

    /// Lets a request through that is signed, once, and tells the application whose it is.
    pub(super) async fn admit<B>(&self, request: Request<B>) -> Result<Request<Full<Bytes>>, Reply>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        parts.extensions.remove::<AuthenticatedApp>();
        let signs = |name| parts.headers.contains_key(name);
        if self.anonymous && !signs(SIGNATURE) && !signs(SIGNATURE_INPUT) {
            let content = self.content(body, self.longest).await?;
            return Ok(Request::from_parts(parts, Full::new(content)));
        }
        let signed = Signed::read(&fields(&parts.headers)?)?;
        let ticket = self.tickets.ticket(signed.id()).await.map_err(busy)?;
        let ticket = ticket.ok_or(Refusal::NotVerified)?;
        // Content is read for those alone who name a ticket that is known.
        let content = self.content(body, self.longest).await?;
        let now = self.time.now(&self.parties().site_keys).await;
        let verify = |authority: String| {
            let request = signature::Request {
                method: parts.method.as_str(),
                authority: &authority,
                target: &format!("{}{}", self.path_prefix, target(&parts.uri)),
                content: &content,
            };
            signed.verify(&ticket.credentials, &request, now / 1_000)
        };
        let not_verified = Err(SignatureError::NotVerified);
        let authorities = authorities(self.authority.as_deref(), &parts).into_iter();
        let verified = authorities
            .map(verify)
            .find(|verified| *verified != not_verified)
            .unwrap_or(not_verified);
        let verified = verified.map_err(|error| self.refused(error.into()))?;
        let name = RequestName::new(verified.id, &verified.nonce);
        let until = verified.expires.saturating_mul(1_000);
        let application = &ticket.credentials.application;
        once(self.tickets.request(name, application, until, now).await)?;
        parts.extensions.insert(AuthenticatedApp {
            id: ticket.credentials.application,
            auth_data: ticket.auth_data,
            expires: ticket.credentials.expires,
        });
        Ok(Request::from_parts(parts, Full::new(content)))
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

    pub(super) fn refused(&self, reply: Reply) -> Reply {
        if reply == Reply::Refused(Refusal::Clock) {
            self.time.doubt();
        }
        reply
    }
}

fn once(answer: Result<Once, TicketStoreError>) -> Result<(), Reply> {
    match answer.map_err(busy)? {
        Once::First => Ok(()),
        Once::Again => Err(Refusal::Replayed.into()),
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

/// The authorities that a request may be signed for, by the setting or by what it says itself. Its scheme is not
/// known behind a proxy, so a port that is the usual one of either may have been left out.
pub(crate) fn authorities(setting: Option<&str>, parts: &Parts) -> Vec<String> {
    let Some(authority) = setting.map_or_else(|| authority(parts), |setting| setting.parse().ok())
    else {
        return Vec::new();
    };
    let usual = authority.port_u16().filter(|port| [80, 443].contains(port));
    let all = [None, usual].map(|usual| normalized(&authority, usual));
    let mut all: Vec<String> = all.into_iter().flatten().collect();
    all.dedup();
    all
}

/// Whom a request is for. Where the target and the field `host` both say so, they have to agree.
pub(crate) fn authority(parts: &Parts) -> Option<Authority> {
    let target = parts.uri.authority();
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.to_str().ok()?.parse().ok());
    match (target, host, hosts.next()) {
        (Some(target), None, None) => Some(target.clone()),
        (None, Some(host), None) => host,
        (Some(target), Some(host), None) => {
            let agrees = host.is_some_and(|host| same(target, &host, parts.uri.scheme()));
            agrees.then(|| target.clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Authority, authorities, authority};

    #[test]
    fn who_is_called_is_told_by_target_and_host_and_they_agree() {
        let cases = [
            ("/", &["ledger.example"][..], Some("ledger.example")),
            ("http://ledger.example/", &[], Some("ledger.example")),
            (
                "http://ledger.example/",
                &["Ledger.example"],
                Some("ledger.example"),
            ),
            ("http://ledger.example/", &["archive.example"], None),
            (
                "http://ledger.example/",
                &["ledger.example:80"],
                Some("ledger.example"),
            ),
            ("http://ledger.example/", &["ledger.example:443"], None),
            ("/", &["ledger.example", "ledger.example"], None),
            ("/", &[], None),
        ];
        for (target, hosts, expected) in cases {
            let mut request = Request::get(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let called = authority(&parts);
            let called = called.as_ref().map(Authority::as_str);
            let called = called.map(str::to_ascii_lowercase);
            assert_eq!(called.as_deref(), expected, "{target} {hosts:?}");
        }
    }

    /// The story: a request to `http://h:80` is signed for `h` (RFC 9421, section 2.2.3), its field `host` may
    /// have the port all the same, and it was refused.
    #[test]
    fn a_port_that_is_usual_may_be_left_out_of_what_is_signed() {
        let cases = [
            ("H", &["h"][..]),
            ("h:80", &["h:80", "h"]),
            ("H:443", &["h:443", "h"]),
            ("h:8080", &["h:8080"]),
            ("[::1]:80", &["[::1]:80", "[::1]"]),
            ("user@h", &[]),
            ("a b", &[]),
        ];
        for (host, expected) in cases {
            let request = Request::get("/").header("host", host).body(()).unwrap();
            let (parts, ()) = request.into_parts();
            assert_eq!(authorities(None, &parts), expected, "{host}");
            // A setting counts in place of what the request says.
            let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
            assert_eq!(authorities(Some(host), &parts), expected, "{host}");
        }
    }
}

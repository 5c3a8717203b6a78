//! Who gets in: a presentation is taken, and a request is verified.

use std::sync::Arc;

use bytes::Bytes;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v2::signature::{self, Fields, Signed};
use countersign_proto::broker::v2::{Refusal, limits};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body;
use http_body_util::Full;

use super::reply::Reply;
use super::tickets::{Once, OpenedTicket, RequestName, TicketStoreError};
use super::{AuthenticatedApp, Shared};
use crate::broker::BoxError;
use crate::broker::content::{Unread, read};

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
        let body = self.content(request.into_body(), limits::SEALED).await;
        // Nobody has proved anything yet: whatever is wrong, the answer is one.
        let body = body.map_err(|_| Refusal::NotVerified)?;
        let now = self.time.now(&self.parties().site_keys).await;
        let presented = self.accept(&body, now).await;
        let presented = presented.map_err(|refusal| self.refused(refusal.into()))?;
        let accepted = presented.acknowledge(now, &mut SystemEntropy)?;
        let ticket = OpenedTicket {
            credentials: accepted.credentials,
            auth_data: Arc::from(accepted.auth_data),
        };
        once(self.tickets.keep(ticket, now).await)?;
        Ok(accepted.answer)
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
        let authority = self.authority.as_deref().or_else(|| authority(&parts));
        let request = signature::Request {
            method: parts.method.as_str(),
            authority: authority.ok_or(Refusal::NotVerified)?,
            target: parts.uri.path_and_query().map_or("", |path| path.as_str()),
            content: &content,
        };
        let verified = signed.verify(&ticket.credentials, &request, now / 1_000);
        let verified = verified.map_err(|error| self.refused(error.into()))?;
        let name = RequestName::new(verified.id, &verified.nonce);
        let until = verified.expires.saturating_mul(1_000);
        once(self.tickets.request(name, until, now).await)?;
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

    fn refused(&self, reply: Reply) -> Reply {
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

/// Whom a request is for. Where the target and the field `host` both say so, they have to agree.
pub(in crate::broker) fn authority(parts: &Parts) -> Option<&str> {
    let target = parts.uri.authority().map(Authority::as_str);
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.to_str());
    match (target, host, hosts.next()) {
        (Some(target), None, None) => Some(target),
        (None, Some(Ok(host)), None) => Some(host),
        (Some(target), Some(Ok(host)), None) => target.eq_ignore_ascii_case(host).then_some(target),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::authority;

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
            ("/", &["ledger.example", "ledger.example"], None),
            ("/", &[], None),
        ];
        for (target, hosts, expected) in cases {
            let mut request = Request::get(target);
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(authority(&parts), expected, "{target} {hosts:?}");
        }
    }
}

//! HTTP for applications.

pub(crate) mod console;
mod health;
mod methods;
mod pages;
pub(crate) mod symmetric;
pub(crate) mod trusted;
pub(crate) mod v1;
mod void_tickets;

use std::time::Duration;

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_http_auth::KeyStatementError;
use countersign_http_auth::Site as KnownSite;
use countersign_proto::broker::v2;
use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::message::Nonce;
use countersign_server::clock;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, party, time};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::trusted::on_this_machine;
use crate::operations::site;

/// An HTTP response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn kind(&self) -> &str {
        let mut lines = self.head.lines();
        let kind = lines.find_map(|line| line.strip_prefix("content-type: "));
        kind.unwrap_or_default()
    }
}

/// The previous process of a site may have served a request that is dated in the first second of this one.
pub(crate) const MOMENT: Duration = Duration::from_millis(v2::limits::AHEAD + 100);

/// Sends one request.
pub(crate) async fn request(
    served: &ServedSite,
    method: &str,
    target: &str,
    body: &[u8],
) -> Answer {
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: site.example\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = socket.write_all(&[head.as_bytes(), body].concat()).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Answer {
        status: head.get(9..12).map_or(0, |code| code.parse().unwrap()),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

pub(crate) fn now() -> u64 {
    u64::try_from(clock::now().millis()).unwrap()
}

/// A site with `billing`, which may call `ledger`, both parties, and their settings for the site.
pub(crate) async fn applications() -> (ServedSite, v2::consumer::Consumer, v2::provider::Provider) {
    let served = site().serve().await;
    let (consumer, provider) = served.billing_and_ledger().await;
    time::pass(MOMENT).await;
    (served, consumer, provider)
}

pub(super) fn ask(
    consumer: &v2::consumer::Consumer,
    requested: &str,
    made: u64,
) -> (v2::consumer::PendingRequest, Vec<u8>) {
    let asked = consumer.ask(requested, made, &mut SystemEntropy);
    let (asked, sealed) = asked.unwrap();
    (asked, serde_json::to_vec(&sealed).unwrap())
}

/// The complete dialog: the consumer verifies the site's response, the provider accepts the ticket, and both
/// share a secret. Returns the request.
pub(crate) async fn authenticates(
    served: &ServedSite,
    consumer: &v2::consumer::Consumer,
    provider: &v2::provider::Provider,
) -> Vec<u8> {
    let (asked, sent) = ask(consumer, "ledger", now());
    let answer = request(served, "POST", "/authenticate", &sent).await;
    assert_eq!(
        (answer.status, answer.kind()),
        (200, "application/json; charset=utf-8")
    );
    let granted = consumer
        .read_response(asked, answer.body.as_bytes())
        .unwrap();
    let (presenting, presentation) = granted.present(now(), &mut SystemEntropy).unwrap();
    let presented = provider.accept(presentation.as_bytes(), now()).unwrap();
    let accepted = presented.acknowledge(now(), &mut SystemEntropy).unwrap();
    assert_eq!(accepted.auth_data.get(), r#"{"team":7}"#);
    let credentials = presenting
        .read_acknowledgement(accepted.answer.as_bytes())
        .unwrap();
    assert_eq!(credentials.secret, accepted.credentials.secret);
    sent
}

#[tokio::test]
async fn an_application_gets_a_ticket_and_authenticates_with_it() {
    let (served, consumer, provider) = applications().await;
    let sent = authenticates(&served, &consumer, &provider).await;
    let again = request(&served, "POST", "/authenticate", &sent).await;
    assert_eq!((again.status, again.body), (409, Refusal::Replayed.body()));
    let (_, other) = ask(&consumer, "billing", now());
    let denied = request(&served, "POST", "/authenticate", &other).await;
    assert_eq!(
        (denied.status, denied.body),
        (403, Refusal::NotAllowed.body())
    );
}

/// [BRK-2] and [BRK-15]: every request that fails verification gets the same response after the same time.
#[tokio::test]
async fn every_unverified_request_gets_the_same_response_after_the_same_time() {
    let (served, consumer, _) = applications().await;
    let (_, sent) = ask(&consumer, "ledger", now());
    let mut impostor = consumer;
    impostor.keys = vec![party()];
    let (_, forged) = ask(&impostor, "ledger", now());
    impostor.id = "unknown".to_owned();
    let (_, unknown) = ask(&impostor, "ledger", now());
    let changed = |change: fn(&mut Value)| {
        let mut message: Value = serde_json::from_slice(&sent).unwrap();
        change(&mut message);
        serde_json::to_vec(&message).unwrap()
    };
    let faults = [
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        vec![b' '; 65_537],
        [sent.as_slice(), b"x"].concat(),
        forged,
        unknown,
        changed(|message| message["to"] = json!("other")),
        changed(|message| message["sealed"] = json!("AAAA")),
        changed(|message| message["signature"] = json!("AAAA")),
        changed(|message| message["type"] = json!("auth-ticket")),
        changed(|message| message["from"] = json!(7)),
    ];
    for (number, fault) in faults.iter().enumerate() {
        let asked = Instant::from_std(clock::monotonic());
        let answer = request(&served, "POST", "/authenticate", fault).await;
        let took = asked.elapsed();
        assert_eq!(answer.status, 401, "{number}");
        assert_eq!(answer.kind(), "application/problem+json", "{number}");
        assert_eq!(answer.body, Refusal::NotVerified.body(), "{number}");
        assert!(took >= Duration::from_millis(5), "{number}: {took:?}");
    }
    // None of these attempts used up the request.
    let answer = request(&served, "POST", "/authenticate", &sent).await;
    assert_eq!(answer.status, 200);
}

/// [BRK-4]: a consumer with a wrong clock learns it and uses the site's time.
#[tokio::test]
async fn a_consumer_with_a_wrong_clock_uses_the_sites_time() {
    const HOUR: u64 = 3_600_000;
    let (served, consumer, _) = applications().await;
    let own = || now() - HOUR;
    let (_, sent) = ask(&consumer, "ledger", own());
    let refused = request(&served, "POST", "/authenticate", &sent).await;
    assert_eq!((refused.status, refused.body), (401, Refusal::Clock.body()));
    let nonce = Nonce(fresh(&mut SystemEntropy));
    let text = serde_json::to_value(nonce).unwrap();
    let target = format!("/clock?nonce={}", text.as_str().unwrap());
    let clock_reply = request(&served, "GET", &target, b"").await;
    let clock_reply: Clock = serde_json::from_str(&clock_reply.body).unwrap();
    let offset = clock_reply
        .offset(nonce, &consumer.site_keys, own())
        .unwrap();
    let by_site = v2::clock::site_time(own(), offset);
    let (_, sent) = ask(&consumer, "ledger", by_site);
    let answer = request(&served, "POST", "/authenticate", &sent).await;
    assert_eq!(answer.status, 200);
    for wrong in [
        "/clock",
        "/clock?nonce=",
        "/clock?nonce=AAAA",
        "/clock?nonce=%00",
    ] {
        assert_eq!(
            request(&served, "GET", wrong, b"").await.status,
            404,
            "{wrong}"
        );
    }
}

/// [BRK-14]: an application needs only the site's URI to get its keys.
#[tokio::test]
async fn the_site_signs_its_key_statement_with_the_site_key() {
    let (served, consumer, _) = applications().await;
    let address = served.server.http_address().unwrap();
    let url: http::Uri = format!("http://{address}").parse().unwrap();
    let known = KnownSite::ask(url.clone(), served.uri.site_key())
        .await
        .unwrap();
    assert_eq!(known.id, consumer.site);
    assert_eq!(known.keys, consumer.site_keys);
    let other = site().serve().await;
    let wrong = KnownSite::ask(url, other.uri.site_key()).await;
    assert!(matches!(wrong, Err(KeyStatementError::FailedVerification)));
}

/// A target of 16 KiB is accepted, one of 64 KiB is not.
#[tokio::test]
async fn targets_have_a_limit() {
    let served = site().serve().await;
    for (length, read) in [(16 * 1024, true), (64 * 1024, false)] {
        let mut target = "/authenticate?authRequest=".to_owned();
        target.extend(std::iter::repeat_n('a', length - target.len()));
        let answer = request(&served, "GET", &target, b"").await;
        assert_eq!(answer.status == 500, read, "{length}: {}", answer.status);
        assert!(
            read || (400..500).contains(&answer.status),
            "{}",
            answer.status
        );
    }
    assert_eq!(
        served.admin("site.status", json!({})).await["sealed"],
        false
    );
}

/// A source whose requests repeatedly fail verification is rejected, as with logins.
#[tokio::test]
async fn a_source_of_unverified_requests_gets_a_penalty() {
    let served = site().serve().await;
    for _ in 0..32 {
        assert_eq!(
            request(&served, "POST", "/authenticate", b"{}")
                .await
                .status,
            401
        );
    }
    assert_eq!(
        request(&served, "POST", "/authenticate", b"{}")
            .await
            .status,
        0
    );
    let all = json!({});
    assert_eq!(served.admin("penalty.forget", all).await["sources"], 1);
    assert_eq!(
        request(&served, "POST", "/authenticate", b"{}")
            .await
            .status,
        401
    );
}

/// [BRK-5]: a recorded request could be sent again without end. Each time cost a verification and counted
/// nothing, and a recent one made its connection one of an authenticated client.
#[tokio::test]
async fn a_request_that_is_sent_again_counts_and_authenticates_no_connection() {
    let (served, consumer, provider) = applications().await;
    let sent = authenticates(&served, &consumer, &provider).await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = sent.len();
    let head =
        format!("POST /authenticate HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let again = [head.as_bytes(), &sent].concat();
    socket.write_all(&again).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 409"));
    time::pass(Limits::default().unauthenticated_timeout).await;
    while !matches!(socket.read(&mut answer).await, Ok(0) | Err(_)) {}
    let mut replies = 0;
    while request(&served, "POST", "/authenticate", &sent)
        .await
        .status
        == 409
    {
        replies += 1;
        assert!(replies < 10_000, "no penalty");
    }
    assert!(replies >= 127, "{replies}");
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "127.0.0.1");
}

/// A penalty also holds for open connections, and an unauthenticated connection ends at its timeout.
#[tokio::test]
async fn an_unauthenticated_connection_ends_at_its_timeout() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut answers = Vec::new();
    let mut answer = vec![0; 4_096];
    for _ in 0..40 {
        let asked = b"POST /authenticate HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
        socket.write_all(asked).await.unwrap();
        let read = socket.read(&mut answer).await.unwrap();
        let status = String::from_utf8_lossy(&answer[9..read.min(12)]);
        answers.push(status.into_owned());
    }
    time::pass(Limits::default().unauthenticated_timeout).await;
    assert!(matches!(socket.read(&mut answer).await, Ok(0) | Err(_)));
    let refused = answers.iter().filter(|status| *status == "401").count();
    // 32 at once, and more only as far as penalty points expire meanwhile.
    assert!(answers[..32].iter().all(|status| status == "401"));
    assert!((32..40).contains(&refused), "{answers:?}");
    assert_eq!(answers.last().unwrap(), "503", "{answers:?}");
}

/// Behind a proxy that names its clients, each client counts for itself. A request of a proxy that names no
/// client counts for no source.
#[tokio::test]
async fn behind_a_proxy_each_source_counts_for_itself() {
    let served = site().proxies(on_this_machine(true)).serve().await;
    let ask = async |from: &str| {
        let address = served.server.http_address().unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let asked = format!(
            "POST /authenticate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{from}content-length: 2\r\n\r\n{{}}"
        );
        socket.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..12]).into_owned()
    };
    let guesser = "x-forwarded-for: 10.0.0.1, 192.0.2.7\r\n";
    for _ in 0..32 {
        assert_eq!(ask(guesser).await, "401");
    }
    assert_eq!(ask(guesser).await, "503");
    assert_eq!(
        ask("x-forwarded-for: 192.0.2.7, 192.0.2.8\r\n").await,
        "401"
    );
    for _ in 0..40 {
        assert_eq!(ask("").await, "401");
    }
    let listed = served.admin("penalty.list", json!({})).await;
    assert_eq!(listed["entries"][0]["source"], "192.0.2.7");
}

/// A body may arrive in chunks of one byte.
#[tokio::test]
async fn a_request_may_arrive_in_small_chunks() {
    let (served, consumer, _) = applications().await;
    let (_, sent) = ask(&consumer, "ledger", now());
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "POST /authenticate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut wire = head.as_bytes().to_vec();
    for byte in &sent {
        wire.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    socket.write_all(&wire).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// [BRK-5]: a request that the previous process may have served is refused by the next one.
#[tokio::test]
async fn a_request_from_before_a_restart_is_refused_after_it() {
    let (served, consumer, _) = applications().await;
    let (_, sent) = ask(&consumer, "ledger", now());
    assert_eq!(
        request(&served, "POST", "/authenticate", &sent)
            .await
            .status,
        200
    );
    let served = served.listen_again().await;
    let again = request(&served, "POST", "/authenticate", &sent).await;
    assert_eq!((again.status, again.body), (401, Refusal::Clock.body()));
    time::pass(MOMENT).await;
    let (_, sent) = ask(&consumer, "ledger", now());
    assert_eq!(
        request(&served, "POST", "/authenticate", &sent)
            .await
            .status,
        200
    );
}

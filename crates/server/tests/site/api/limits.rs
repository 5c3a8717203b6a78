//! What a client is told that has to come back later: which limit it is at, and when.

use std::net::SocketAddr;

use countersign_core::throttle::{Abuse, Source};
use countersign_server::clock;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, TestSite, time};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::client::{Program, raw, with_admin};

/// A connection that stays open for several requests.
struct Kept(BufReader<TcpStream>);

/// A response: its status, the field `retry-after` and its body.
type Told = (u16, Option<u64>, Value);

impl Kept {
    async fn from(served: &ServedSite, address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        let own: SocketAddr = format!("{address}:0").parse().unwrap();
        socket.bind(own).unwrap();
        let site = served.server.http_address().unwrap();
        Self(BufReader::new(socket.connect(site).await.unwrap()))
    }

    async fn get(&mut self, path: &str, token: Option<&str>) -> Told {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: site.example\r\n");
        if let Some(token) = token {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        self.0
            .write_all(format!("{request}\r\n").as_bytes())
            .await
            .unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        let status = line[9..12].parse().unwrap();
        let (mut length, mut retry) = (0, None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            match line.trim_end().split_once(": ") {
                None => break,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("retry-after", value)) => retry = Some(value.parse().unwrap()),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (
            status,
            retry,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }
}

/// A source with a penalty of up to an hour was told to come back after a second.
#[tokio::test]
async fn a_source_with_a_penalty_is_told_when_that_ends() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let mut connection = Kept::from(&served, "127.0.0.1").await;
    let shown = connection.get("/api/v1/self", Some(&robot.token)).await;
    assert_eq!(shown.0, 200);
    let source = Source::from("127.0.0.1".parse::<std::net::IpAddr>().unwrap());
    let until = {
        let (mut penalties, now) = (served.site.throttle().penalties(), clock::now());
        for _ in 0..64 {
            penalties.record_abuse(source, Abuse::Malformed, now);
        }
        penalties.refused_until(source, now).unwrap()
    };
    let left = || {
        let left = u64::try_from(until.millis() - clock::now().millis()).unwrap();
        left.div_ceil(1_000)
    };
    for path in [
        "/api/v1/self",
        "/clock?nonce=x",
        "/authenticate",
        "/console/",
    ] {
        let earlier = left();
        let (status, retry, problem) = connection.get(path, Some(&robot.token)).await;
        assert_eq!((status, &problem["code"]), (503, &json!("busy")), "{path}");
        assert!(
            earlier > 1 && (left()..=earlier).contains(&retry.unwrap()),
            "{path}: {retry:?}"
        );
    }
}

const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Outside the API, a site that was sealed or in lockdown did not say when to come back.
#[tokio::test]
async fn a_site_that_is_sealed_or_in_lockdown_says_when_to_come_back_on_every_path() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let paths = [
        "/api/v1/self".to_owned(),
        format!("/clock?nonce={NONCE}"),
        "/.well-known/countersign".to_owned(),
    ];
    let ask = async |code: &str| {
        for path in &paths {
            let mut connection = Kept::from(&served, "127.0.0.1").await;
            let (status, retry, problem) = connection.get(path, Some(&robot.token)).await;
            let found = (status, retry, &problem["code"]);
            assert_eq!(found, (503, Some(60), &json!(code)), "{path}");
            assert_eq!(problem["type"], format!("urn:countersign:{code}"));
        }
    };
    let level = json!({ "level": "all" });
    served.admin("lockdown.site", level).await;
    ask("lockdown").await;
    served.admin("lockdown.lift", json!({ "site": true })).await;
    served.admin("site.seal", json!({})).await;
    ask("sealed").await;
}

/// One listener had two vocabularies: `unknown_path` below the API, and `not-found` elsewhere.
#[tokio::test]
async fn every_path_of_the_listener_refuses_in_one_form() {
    let served = TestSite::builder().serve().await;
    let ask = async |method: &str, path: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let reply = raw(&served, request.as_bytes()).await;
        let problem = reply.json();
        for field in ["type", "title", "status", "code", "detail", "request_id"] {
            assert!(!problem[field].is_null(), "{path}: {problem}");
        }
        (reply.status, reply.code())
    };
    for (below, other) in [("/api/v1/none", "/none"), ("/api/v1/persons/", "/clock/")] {
        let unknown = (404, "unknown_path".to_owned());
        assert_eq!(ask("GET", below).await, unknown);
        assert_eq!(ask("GET", other).await, unknown);
    }
    let refused = (405, "method_not_allowed".to_owned());
    assert_eq!(ask("PUT", "/api/v1/self").await, refused);
    assert_eq!(ask("PUT", "/clock").await, refused);
    let upgrade = (426, "upgrade_required".to_owned());
    assert_eq!(ask("GET", "/session").await, upgrade);
}

/// One account with a valid credential could take all connections of the listener, from many addresses. Then a
/// stolen token could take all those of its account.
#[tokio::test]
async fn an_account_has_a_share_of_the_connections_from_any_address() {
    let limits = Limits {
        connections: 16,
        ..Limits::default()
    };
    let served = TestSite::builder().maria().limits(limits).serve().await;
    let robot = async || Program::robot(&served, &["self.show"]).await.token;
    let (stolen, other, more) = (robot().await, robot().await, robot().await);
    let names = ["self.show".to_owned()];
    let maria = Program::maria(&served, &served.maria().await, &names).await;
    let path = "/api/v1/self";
    let mut first = Kept::from(&served, "127.0.0.1").await;
    assert_eq!(first.get(path, Some(&stolen)).await.0, 200);
    let mut second = Kept::from(&served, "127.0.0.2").await;
    let refused = async |connection: &mut Kept, token: &str, detail: &str| {
        let (status, retry, problem) = connection.get(path, Some(token)).await;
        let found = (status, retry, &problem["code"]);
        assert_eq!(found, (429, Some(1), &json!("busy")));
        let found = problem["detail"].as_str().unwrap();
        assert!(found.contains(detail), "{found}");
    };
    refused(&mut second, &stolen, "half of the connections").await;
    assert_eq!(second.get(path, Some(&other)).await.0, 200);
    let mut third = Kept::from(&served, "127.0.0.3").await;
    refused(&mut third, &more, "as many connections").await;
    // Another account has a share of its own, also on that connection.
    assert_eq!(third.get(path, Some(&maria.token)).await.0, 200);
    // The connections that the account has go on, and one that ends makes room.
    assert_eq!(second.get(path, Some(&other)).await.0, 200);
    drop(first);
    time::until(async || third.get(path, Some(&stolen)).await.0 == 200).await;
}

/// A rate limit of an operation tells when the next call is permitted.
#[tokio::test]
async fn a_rate_limit_says_when_the_next_call_is_permitted() {
    let served = with_admin(TestSite::builder()).await;
    let robot = Program::robot(&served, &["alarm.raise"]).await;
    let raise = r#"{"to":"admins","severity":"info","text":"Full.","key":"a"}"#;
    let mut raised = 0;
    let refused = loop {
        let reply = robot.call("POST", "/alarms", raise).await;
        if reply.status != 200 {
            break reply;
        }
        raised += 1;
        assert!(raised < 1_000, "no limit");
    };
    assert_eq!((refused.status, refused.code().as_str()), (429, "busy"));
    let seconds: u64 = refused.field("retry-after").parse().unwrap();
    assert!((1..=4).contains(&seconds), "{refused:?}");
}

//! Event streams.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::access::Role;
use countersign_core::sessions::Audience;
use countersign_proto::operation::Event;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, TestSite, time};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::client::Program;
use crate::http::trusted::on_this_machine;

/// An open stream.
struct Stream {
    socket: BufReader<TcpStream>,
    /// The lines of the head.
    head: Vec<String>,
}

impl Stream {
    /// Sends a request for a stream and reads the head of the response.
    async fn ask(program: &Program<'_>, query: &str, fields: &[(&str, &str)]) -> Self {
        let accept = ("accept", "text/event-stream");
        let fields = [fields, &[accept]].concat();
        let request = program.request("GET", &format!("/events{query}"), &fields, "");
        let address = program.served.server.http_address().unwrap();
        let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await.unwrap();
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        Self { socket, head }
    }

    /// A stream that was opened, after its first part. Returns the id in it too.
    async fn open(program: &Program<'_>, fields: &[(&str, &str)]) -> (Self, String) {
        let mut stream = Self::ask(program, "", fields).await;
        assert_eq!(stream.head[0], "HTTP/1.1 200 OK");
        let kind = "content-type: text/event-stream";
        assert!(stream.head.iter().any(|line| line == kind));
        let first = stream.next().await.unwrap();
        let id = first.strip_prefix("retry: 2000\nid: ").unwrap();
        let id = id.strip_suffix("\n\n").unwrap().to_owned();
        (stream, id)
    }

    /// The status of a refusal, and whether its detail names this limit and says when to come back.
    async fn refused_for(mut self, limit: &str) -> (u16, bool) {
        let mut body = String::new();
        self.socket.read_to_string(&mut body).await.unwrap();
        let problem: Value = serde_json::from_str(&body).unwrap();
        let is_named = problem["detail"].as_str().unwrap().contains(limit);
        let returns = self.head.iter().any(|line| line == "retry-after: 10");
        (self.status(), is_named && returns)
    }

    fn status(&self) -> u16 {
        self.head[0][9..12].parse().unwrap()
    }

    /// The next part of the text, which is one chunk; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let mut size = String::new();
        self.socket.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.socket.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    /// The name and data of the next event, with its id.
    async fn event(&mut self) -> (String, Value, String) {
        let text = self.next().await.unwrap();
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(field, _)| *field == name);
            found
                .next()
                .map_or_else(String::new, |(_, value)| value.to_owned())
        };
        let data = serde_json::from_str(&field("data")).unwrap();
        (field("event"), data, field("id"))
    }

    /// The reason with which the stream ends.
    async fn reason(&mut self) -> String {
        let (name, data, _) = self.event().await;
        assert_eq!(name, "end");
        assert_eq!(self.next().await, None);
        data["reason"].as_str().unwrap().to_owned()
    }
}

fn publish(served: &ServedSite, to: &Audience, number: usize) {
    let event = Event {
        group: "test".to_owned(),
        event: "number".to_owned(),
        data: RawValue::from_string(format!("{{\"number\":{number}}}")).unwrap(),
    };
    served.site.events().publish(to, &Arc::new(event));
}

async fn robot(served: &ServedSite) -> Program<'_> {
    Program::robot(served, &["event.list"]).await
}

#[tokio::test]
async fn a_stream_continues_after_the_last_event_that_the_client_received() {
    let served = TestSite::builder().serve().await;
    let robot = robot(&served).await;
    let (mut stream, start) = Stream::open(&robot, &[]).await;
    publish(&served, &Audience::All, 1);
    publish(&served, &Audience::All, 2);
    let (name, data, first) = stream.event().await;
    assert_eq!((name.as_str(), &data["number"]), ("test.number", &json!(1)));
    assert_eq!(stream.event().await.1["number"], 2);
    drop(stream);
    publish(&served, &Audience::All, 3);
    for (after, missed) in [(&first, 2..=3), (&start, 1..=3)] {
        let (mut again, id) = Stream::open(&robot, &[("last-event-id", after)]).await;
        assert_eq!(id, *after);
        for number in missed {
            assert_eq!(again.event().await.1["number"], number);
        }
    }
    // The query does the same for a client that cannot set the field.
    let mut again = Stream::ask(&robot, &format!("?after={first}"), &[]).await;
    again.next().await.unwrap();
    assert_eq!(again.event().await.1["number"], 2);
    // An id of an earlier process: the client has to read again what it shows.
    let unknown = [("last-event-id", "0123456789abcdef")];
    let (mut gap, _) = Stream::open(&robot, &unknown).await;
    let (name, data, id) = gap.event().await;
    assert_eq!((name.as_str(), data), ("gap", json!({})));
    assert_eq!(gap.event().await.1["number"], 1);
    // The gap is told once: its id is known.
    let (mut again, begins) = Stream::open(&robot, &[("last-event-id", &id)]).await;
    assert_eq!(
        (begins, again.event().await.1),
        (id, json!({ "number": 1 }))
    );
    let wrong = Stream::ask(&robot, "", &[("last-event-id", "x")]).await;
    assert_eq!(wrong.status(), 400);
    assert_eq!(Stream::ask(&robot, "?limit=1", &[]).await.status(), 400);
}

/// A client whose account had no events kept an id that the site did not know: it got a gap, and read
/// everything again, at each reconnect. One that was connected all the time did too.
#[tokio::test]
async fn the_id_of_a_quiet_stream_stays_known() {
    let served = TestSite::builder().serve().await;
    let robot = robot(&served).await;
    let unknown = [("last-event-id", "0123456789abcdef")];
    let (mut stream, _) = Stream::open(&robot, &unknown).await;
    let (name, _, id) = stream.event().await;
    assert_eq!(name, "gap");
    let (mut again, begins) = Stream::open(&robot, &[("last-event-id", &id)]).await;
    assert_eq!(begins, id);
    // Others have more events than the site keeps.
    let admins = Audience::Role(Role::Admin);
    (0..1_100).for_each(|number| publish(&served, &admins, number));
    time::pass(Duration::from_secs(30)).await;
    let heartbeat = again.next().await.unwrap();
    let id = heartbeat.strip_prefix(":\nid: ").unwrap().trim_end();
    (0..1_000).for_each(|number| publish(&served, &admins, number));
    publish(&served, &Audience::All, 1);
    let (mut later, _) = Stream::open(&robot, &[("last-event-id", id)]).await;
    assert_eq!(later.event().await.0, "test.number");
}

#[tokio::test]
async fn a_stream_has_the_events_of_its_account_and_role() {
    let served = TestSite::builder().maria().serve().await;
    let session = served.maria().await;
    let names = ["event.list", "alarm.raise"].map(str::to_owned);
    let maria = Program::maria(&served, &session, &names).await;
    let robot = robot(&served).await;
    let (mut of_maria, _) = Stream::open(&maria, &[]).await;
    let (mut of_robot, _) = Stream::open(&robot, &[]).await;
    let alarm = r#"{"to":"maria","severity":"info","text":"The tank is full.","key":"tank"}"#;
    assert_eq!(maria.call("POST", "/alarms", alarm).await.status, 200);
    served
        .admin("person.create", json!({ "name": "bob" }))
        .await;
    served
        .admin("lockdown.person", json!({ "name": "bob" }))
        .await;
    publish(&served, &Audience::All, 1);
    let (name, data, _) = of_maria.event().await;
    assert_eq!(
        (name.as_str(), &data["key"]),
        ("alarm.raised", &json!("tank"))
    );
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "test.number") {
        names.push(of_maria.event().await.0);
    }
    assert!(names.contains(&"lockdown.imposed".to_owned()), "{names:?}");
    assert_eq!(of_robot.event().await.0, "test.number");
    // As a list, for a program that asks from time to time.
    let listed = robot.call("GET", "/events", "").await.json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1);
    assert_eq!(listed["entries"][0]["data"], json!({ "number": 1 }));
    assert_eq!(listed["missed"], false);
    // The list ignored the field, which the description has.
    let last = listed["last"].as_str().unwrap();
    for (id, status) in [(last, 200), ("x", 400)] {
        let fields = [("last-event-id", id)];
        let later = robot.call_with("GET", "/events", &fields, "").await;
        assert_eq!(later.status, status, "{later:?}");
        assert!(
            status == 400 || later.json()["entries"] == json!([]),
            "{later:?}"
        );
    }
    let after = format!("/events?after={last}");
    let later = robot.call("GET", &after, "").await.json();
    assert_eq!(later["entries"], json!([]));
    assert_eq!(later["last"], listed["last"]);
}

#[tokio::test]
async fn a_token_that_does_not_name_events_opens_no_stream() {
    let served = TestSite::builder().serve().await;
    let other = Program::robot(&served, &["self.show"]).await;
    assert_eq!(Stream::ask(&other, "", &[]).await.status(), 403);
    let robot = robot(&served).await;
    let accept = [("accept", "text/event-stream")];
    let head = robot.call_with("HEAD", "/events", &accept, "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    time::until(async || served.site.events().streams() == 0).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_reason_when_its_credential_does() {
    let served = TestSite::builder().serve().await;
    let change = async |expected: &str, name: &str, params: Value| {
        let program = robot(&served).await;
        let (mut stream, _) = Stream::open(&program, &[]).await;
        publish(&served, &Audience::All, 1);
        let params = match params {
            Value::Null => {
                let listed = served.admin("token.list", json!({})).await;
                let newest = listed["entries"].as_array().unwrap().last().unwrap();
                json!({ "id": newest["id"] })
            }
            params => params,
        };
        served.admin(name, params).await;
        assert_eq!(
            stream.event().await.0,
            "test.number",
            "what came before is sent"
        );
        assert_eq!(stream.reason().await, expected);
    };
    change("token_revoked", "token.revoke", Value::Null).await;
    change("account_locked", "service.lock", json!({ "name": "robot" })).await;
    served
        .admin("service.unlock", json!({ "name": "robot" }))
        .await;
    change("lockdown", "lockdown.service", json!({ "name": "robot" })).await;
    served
        .admin("lockdown.lift", json!({ "service": "robot" }))
        .await;
    change("lockdown", "lockdown.site", json!({ "level": "all" })).await;
    served.admin("lockdown.lift", json!({ "site": true })).await;
    change("site_sealed", "site.seal", json!({})).await;
    served.unseal().await;
    change(
        "account_deleted",
        "service.delete",
        json!({ "name": "robot" }),
    )
    .await;
    time::until(async || served.site.events().streams() == 0).await;
}

/// A lockdown of logins keeps sessions, and so it keeps streams. One of another account ends none.
#[tokio::test]
async fn a_stream_continues_through_changes_that_are_not_its_own() {
    let served = TestSite::builder().serve().await;
    let robot = robot(&served).await;
    let (mut stream, _) = Stream::open(&robot, &[]).await;
    let other = Program::robot(&served, &["self.show"]).await;
    served
        .admin("lockdown.site", json!({ "level": "logins" }))
        .await;
    served.admin("lockdown.lift", json!({ "site": true })).await;
    let listed = served.admin("token.list", json!({})).await;
    let newest = listed["entries"].as_array().unwrap().last().unwrap();
    served
        .admin("token.revoke", json!({ "id": newest["id"] }))
        .await;
    assert_eq!(other.call("GET", "/self", "").await.status, 401);
    served
        .admin("service.create", json!({ "name": "other" }))
        .await;
    served
        .admin("service.lock", json!({ "name": "other" }))
        .await;
    publish(&served, &Audience::All, 1);
    assert_eq!(stream.event().await.0, "test.number");
}

#[tokio::test]
async fn a_stream_has_heartbeats_and_ends_when_its_token_expires() {
    let served = TestSite::builder().serve().await;
    let params = json!({ "service": "robot", "operations": ["event.list"], "expires_in": 3_600 });
    let created = served.admin("token.create", params).await;
    let token = created["token"].as_str().unwrap().to_owned();
    let served = &served;
    let program = Program { served, token };
    let (mut stream, _) = Stream::open(&program, &[]).await;
    for _ in 0..2 {
        time::pass(Duration::from_secs(30)).await;
        assert_eq!(stream.next().await.as_deref(), Some(":\n"));
    }
    time::pass(Duration::from_secs(3_600)).await;
    assert_eq!(stream.reason().await, "expired");
    assert_eq!(Stream::ask(&program, "", &[]).await.status(), 401);
}

/// A stolen token took all event streams of its account.
#[tokio::test]
async fn streams_are_limited_for_a_credential_for_an_account_and_in_all() {
    let limits = Limits {
        event_streams: 3,
        event_streams_per_account: 2,
        ..Limits::default()
    };
    let served = TestSite::builder().maria().limits(limits).serve().await;
    let (stolen, other) = (robot(&served).await, robot(&served).await);
    let (session, names) = (served.maria().await, ["event.list".to_owned()]);
    let maria = Program::maria(&served, &session, &names).await;
    let more = Program::maria(&served, &session, &names).await;
    let (first, _) = Stream::open(&stolen, &[]).await;
    let refused = Stream::ask(&stolen, "", &[]).await;
    let own = "half of the event streams that `limits.event_streams_per_account`";
    assert_eq!(refused.refused_for(own).await, (429, true));
    let (_second, _) = Stream::open(&other, &[]).await;
    let refused = Stream::ask(&other, "", &[]).await;
    let own = "as many event streams as `limits.event_streams_per_account`";
    assert_eq!(refused.refused_for(own).await, (429, true));
    let (_third, _) = Stream::open(&maria, &[]).await;
    let refused = Stream::ask(&more, "", &[]).await;
    let all = "`limits.event_streams`";
    assert_eq!(refused.refused_for(all).await, (503, true));
    drop(first);
    time::until(async || served.site.events().streams() == 2).await;
    let (_fourth, _) = Stream::open(&stolen, &[]).await;
}

/// Streams of one account took every connection of the proxy, which are never evicted, so that no
/// request of others reached the site.
#[tokio::test]
async fn streams_through_a_proxy_leave_connections_to_requests() {
    let limits = Limits {
        proxied_connections: 32,
        ..Limits::default()
    };
    let builder = TestSite::builder().maria().limits(limits);
    let served = builder.proxies(on_this_machine(false)).serve().await;
    let (stolen, other) = (robot(&served).await, robot(&served).await);
    let (first, _) = Stream::open(&stolen, &[]).await;
    let refused = Stream::ask(&stolen, "", &[]).await;
    let limit = "the credential has half of the event streams through trusted proxies";
    assert_eq!(refused.refused_for(limit).await, (429, true));
    let (_second, _) = Stream::open(&other, &[]).await;
    let refused = Stream::ask(&other, "", &[]).await;
    let limit = "the account has as many event streams through trusted proxies";
    assert_eq!(refused.refused_for(limit).await, (429, true));
    assert_eq!(stolen.call("GET", "/events", "").await.status, 200);
    let session = served.maria().await;
    let maria = Program::maria(&served, &session, &["event.list".to_owned()]).await;
    let (_third, _) = Stream::open(&maria, &[]).await;
    drop(first);
    time::until(async || served.site.events().streams() == 2).await;
    let (_fourth, _) = Stream::open(&stolen, &[]).await;
}

/// A client that reads nothing costs the events that fit into its queue, and learns of the gap.
#[tokio::test]
async fn a_slow_reader_misses_events_and_learns_of_it() {
    let served = TestSite::builder().serve().await;
    let robot = robot(&served).await;
    let (mut stream, _) = Stream::open(&robot, &[]).await;
    // The task of the connection does not run in between.
    (0..1_000).for_each(|number| publish(&served, &Audience::All, number));
    let mut last = String::new();
    for number in 0..256 {
        let (_, data, id) = stream.event().await;
        assert_eq!(data["number"], number);
        last = id;
    }
    assert_eq!(stream.event().await.0, "gap");
    publish(&served, &Audience::All, 1_000);
    assert_eq!(stream.event().await.1["number"], 1_000);
    // Those that the site keeps come when the client connects again.
    let (mut again, _) = Stream::open(&robot, &[("last-event-id", &last)]).await;
    assert_eq!(again.event().await.1["number"], 256);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let served = TestSite::builder().serve().await;
    let (mut stream, _) = {
        let robot = robot(&served).await;
        Stream::open(&robot, &[]).await
    };
    served.stop().await;
    assert_eq!(stream.reason().await, "site_stopping");
}

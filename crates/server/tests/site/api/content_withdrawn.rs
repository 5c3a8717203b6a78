//! Content that a client takes slowly, while its right to it ends.

use countersign_core::access::Role;
use countersign_core::content::Content;
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_testkit::harness::{ServedSite, TestSite};
use futures_util::stream;
use serde_json::{Value, json};

use super::client::Program;
use super::http2::{DATA, END_STREAM, Http2, RST_STREAM, SETTINGS, WINDOW_UPDATE};

/// The bytes of a piece, and of the window that the client opens at first.
const PIECE: u16 = 1_024;
const PIECES: usize = 256;
/// The bytes of a page of the audit log.
const PAGE: usize = 512 * 1_024;
const PAGES: usize = 2;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// An operation that returns content of so many pieces with so many bytes each.
fn content((command, path): (&'static str, &'static str), pieces: usize, bytes: usize) -> Entry {
    Entry::new("test", command)
        .summary("Returns content.")
        .allow(&Role::ALL)
        .gives_content()
        .rest(RestMethod::Get, path)
        .handler(move |_, _: Nothing| async move {
            let pieces = (0..pieces).map(move |_| Ok(vec![7; bytes]));
            Ok(Answer::new(()).with(Content::new(stream::iter(pieces))))
        })
}

fn operations() -> Vec<Entry> {
    vec![
        content(("pieces", "/pieces"), PIECES, usize::from(PIECE)),
        content(("pages", "/pages"), PAGES, PAGE),
    ]
}

/// Takes one piece of the content at `path`, lets an admin change something, and takes the rest. Returns the bytes
/// that came, and whether they were all.
async fn taken(robot: &Program<'_>, path: &str, change: (&str, Value)) -> (usize, bool) {
    let served = robot.served;
    let credential = format!("Bearer {}", robot.token);
    let mut client = Http2::connect(served).await;
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let window = [&[0, 4, 0, 0][..], &PIECE.to_be_bytes()].concat();
    client.send(SETTINGS, 0, 0, &window).await;
    let get = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "site.example"),
        (":path", path),
        ("authorization", &credential),
    ];
    client.request(1, &get).await;
    let mut bytes = 0;
    while bytes < usize::from(PIECE) {
        let frame = client.frame().await.unwrap();
        bytes += if frame.kind == DATA {
            frame.payload.len()
        } else {
            0
        };
    }
    served.admin(change.0, change.1).await;
    for stream in [0, 1] {
        let opened = 2_000_000_u32.to_be_bytes();
        client.send(WINDOW_UPDATE, 0, stream, &opened).await;
    }
    while let Some(frame) = client.frame().await {
        match frame.kind {
            DATA => {
                bytes += frame.payload.len();
                if frame.flags & END_STREAM == END_STREAM {
                    return (bytes, true);
                }
            }
            RST_STREAM => return (bytes, false),
            _ => {}
        }
    }
    (bytes, false)
}

/// A site with a service whose token is for content, and the ids of this token and of another one.
async fn site() -> (ServedSite, String, [Value; 2]) {
    let served = TestSite::builder().operations(operations).serve().await;
    let token = Program::robot(&served, &["test.pages", "test.pieces"])
        .await
        .token;
    Program::robot(&served, &["self.show"]).await;
    let listed = served
        .admin("token.list", json!({ "account": "robot" }))
        .await;
    let entries = listed["entries"].as_array().unwrap();
    let of = |operation: &str| {
        let has_it = |entry: &&Value| entry["operations"][0] == operation;
        entries.iter().find(has_it).unwrap()["id"].clone()
    };
    let ids = ["test.pages", "self.show"].map(of);
    (served, token, ids)
}

/// A stolen token read the audit log through a window of 1,024 bytes, for hours after the token had been
/// revoked, the account deleted, the site locked down or sealed.
// OPS-17
#[tokio::test]
async fn content_ends_before_its_end_once_its_client_lost_the_right_to_it() {
    let robot = || json!({ "name": "robot" });
    for number in 0..6 {
        let (served, token, [own, _]) = site().await;
        let change = [
            ("token.revoke", json!({ "id": own })),
            ("service.lock", robot()),
            ("service.delete", robot()),
            ("lockdown.service", robot()),
            ("lockdown.site", json!({ "level": "all" })),
            ("site.seal", json!({})),
        ][number]
            .clone();
        let name = change.0;
        let robot = Program {
            served: &served,
            token,
        };
        let (bytes, is_whole) = taken(&robot, "/api/v1/pieces", change).await;
        assert!(!is_whole, "{name}");
        assert!(bytes <= 2 * usize::from(PIECE), "{name}: {bytes}");
    }
}

/// The pieces of an export of the audit log are pages of half a MiB. The connection took two of them before it knew
/// whether its client takes any: a log of 2,000 entries was given whole after the revocation and in lockdown.
// OPS-17
#[tokio::test]
async fn content_ends_within_a_piece_that_is_long() {
    let (served, token, [own, _]) = site().await;
    let robot = Program {
        served: &served,
        token,
    };
    let change = ("token.revoke", json!({ "id": own }));
    let (bytes, is_whole) = taken(&robot, "/api/v1/pages", change).await;
    assert!(!is_whole);
    assert!(bytes <= 2 * 16 * 1_024, "{bytes}");
}

/// The end of one token makes the grants of all tokens of the account void.
// OPS-17
#[tokio::test]
async fn content_is_whole_if_its_client_lost_nothing() {
    for (path, bytes) in [
        ("/api/v1/pieces", PIECES * usize::from(PIECE)),
        ("/api/v1/pages", PAGES * PAGE),
    ] {
        let (served, token, [_, other]) = site().await;
        let robot = Program {
            served: &served,
            token,
        };
        let other = json!({ "id": other });
        let taken = taken(&robot, path, ("token.revoke", other)).await;
        assert_eq!(taken, (bytes, true));
    }
}

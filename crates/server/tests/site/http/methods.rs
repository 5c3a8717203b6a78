//! HTTP methods: those that each path allows, and the response to others.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operations::site;

/// A response: its head in lower case, and its body.
async fn ask(address: SocketAddr, method: &str, target: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let asked = format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    socket.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

fn status(head: &str) -> &str {
    &head[9..12]
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const CLOCK: &str = "/clock?nonce=AAAAAAAAAAAAAAAAAAAAAA";
const KEY_STATEMENT: &str = "/.well-known/countersign";

/// `curl -I` of the site's key statement got 404.
#[tokio::test]
async fn head_is_handled_as_get_without_the_body() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    for target in [KEY_STATEMENT, CLOCK] {
        let (get, whole) = ask(address, "GET", target).await;
        let (head, nothing) = ask(address, "HEAD", target).await;
        assert_eq!((status(&get), status(&head)), ("200", "200"), "{target}");
        assert_eq!(nothing, "", "{target}");
        for name in ["content-type", "cache-control", "content-length"] {
            assert_eq!(field(&head, name), field(&get, name), "{target}: {name}");
        }
        assert_eq!(
            field(&head, "content-length"),
            Some(whole.len().to_string().as_str())
        );
    }
    let (head, nothing) = ask(address, "HEAD", "/nowhere").await;
    assert_eq!((status(&head), nothing.as_str()), ("404", ""));
}

/// A method that a path does not allow got 404. For the whole server, the methods of the API were missing.
#[tokio::test]
async fn each_path_reports_the_methods_that_it_allows() {
    let served = site().serve().await;
    let address = served.server.http_address().unwrap();
    for (target, allowed, others) in [
        (KEY_STATEMENT, "GET, HEAD, OPTIONS", &["POST", "PUT"][..]),
        (CLOCK, "GET, HEAD, OPTIONS", &["POST", "DELETE", "BREW"]),
        // HEAD is not allowed: it would use up the request without returning the ticket.
        (
            "/authenticate",
            "GET, POST, OPTIONS",
            &["HEAD", "PUT", "PATCH"],
        ),
        ("*", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", &[]),
    ] {
        let allowed = allowed.to_ascii_lowercase();
        let (head, body) = ask(address, "OPTIONS", target).await;
        assert_eq!((status(&head), body.as_str()), ("204", ""), "{target}");
        assert_eq!(field(&head, "allow"), Some(allowed.as_str()), "{target}");
        for method in others {
            let (head, _) = ask(address, method, target).await;
            assert_eq!(status(&head), "405", "{method} {target}");
            assert_eq!(field(&head, "allow"), Some(allowed.as_str()));
            assert_eq!(
                field(&head, "content-type"),
                Some("application/problem+json")
            );
        }
    }
    for method in ["GET", "POST", "OPTIONS", "PUT"] {
        for target in ["/", "/authenticate/", "/Clock"] {
            let (head, _) = ask(address, method, target).await;
            assert_eq!(status(&head), "404", "{method} {target}");
        }
    }
}

//! Requests that are answered before their bodies are read.

use countersign_testkit::harness::TestSite;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Program, Reply};

/// Reads one response of a connection that goes on.
async fn response(socket: &mut TcpStream) -> Reply {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    let length = Reply::of(&answer).field("content-length");
    let mut body = vec![0; length.parse().unwrap()];
    socket.read_exact(&mut body).await.unwrap();
    answer.extend(body);
    Reply::of(&answer)
}

/// A program that sends head and body in two packets, as the HTTP client of Python does, got a refusal that did
/// not say that the connection closes, and its next request failed.
#[tokio::test]
async fn a_refusal_before_the_body_says_that_the_connection_closes() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let address = served.server.http_address().unwrap();
    let post = |path: &str, token: &str, fields: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{fields}\r\n"
        )
    };
    let (sized, chunked) = ("content-length: 2\r\n", "transfer-encoding: chunked\r\n");
    let expecting = format!("{sized}expect: 100-continue\r\n");
    for (path, token, fields, status) in [
        ("/api/v1/services", robot.token.as_str(), sized, 403),
        ("/api/v1/services", &robot.token, chunked, 403),
        ("/api/v1/services", &robot.token, &expecting, 403),
        ("/api/v1/services", "cst_none", sized, 401),
        ("/api/v1/none", &robot.token, sized, 404),
        ("/none", &robot.token, sized, 404),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = post(path, token, fields);
        socket.write_all(head.as_bytes()).await.unwrap();
        let refused = response(&mut socket).await;
        let found = (refused.status, refused.field("connection"));
        assert_eq!(found, (status, "close".to_owned()), "{head}");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_of_a_request_that_came_whole() {
    let served = TestSite::builder().serve().await;
    let robot = Program::robot(&served, &["self.show"]).await;
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let keeps = |request: String| request.replace("connection: close\r\n", "");
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(20_000));
    for body in ["[]", &body] {
        let refused = keeps(robot.request("POST", "/services", &[], body));
        socket.write_all(refused.as_bytes()).await.unwrap();
        let refused = response(&mut socket).await;
        assert_eq!(
            (refused.status, refused.field("connection")),
            (403, String::new())
        );
        let shown = keeps(robot.request("GET", "/self", &[], ""));
        socket.write_all(shown.as_bytes()).await.unwrap();
        assert_eq!(response(&mut socket).await.status, 200);
    }
}

//! A client of the API: one connection per request, so that tests see the bytes.

use std::collections::BTreeSet;

use countersign_client::Client;
use countersign_testkit::harness::{Builder, PASSPHRASE, ServedSite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Fields that a response may have on several lines (RFC 9110, section 5.3).
const LISTS: [&str; 4] = ["allow", "cache-control", "vary", "www-authenticate"];

/// A response.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Reply {
    /// Reads a response. Its status is 0 if there is none.
    ///
    /// Every problem had `request-id` twice, which clients join to one value that is no id: a field that is
    /// no list is there once.
    pub(super) fn of(answer: &[u8]) -> Self {
        let answer = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let mut names = BTreeSet::new();
        for (name, _) in head.lines().filter_map(|line| line.split_once(": ")) {
            let name = name.to_ascii_lowercase();
            let is_new = LISTS.contains(&name.as_str()) || names.insert(name);
            assert!(is_new, "a field is there twice: {head}");
        }
        Self {
            status: head.get(9..12).map_or(0, |code| code.parse().unwrap()),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The content of a chunked response (RFC 9112, section 7.1). An error has the whole chunks of one that
    /// ends before its last chunk.
    pub(super) fn content(&self) -> Result<String, String> {
        let mut content = String::new();
        let mut rest = self.body.as_str();
        loop {
            let chunk = rest.split_once("\r\n").and_then(|(size, after)| {
                let size = usize::from_str_radix(size, 16).unwrap();
                let (chunk, after) = (after.get(..size)?, after.get(size..)?);
                Some((chunk, after.strip_prefix("\r\n")?))
            });
            match chunk {
                None => return Err(content),
                Some(("", "")) => return Ok(content),
                Some(("", after)) => panic!("after the last chunk: {after}"),
                Some((chunk, after)) => {
                    content.push_str(chunk);
                    rest = after;
                }
            }
        }
    }

    /// The value of a field; empty if there is none.
    pub(super) fn field(&self, name: &str) -> String {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields
            .into_iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The stable code of a problem, which has the form of RFC 9457.
    pub(super) fn code(&self) -> String {
        assert_eq!(
            self.field("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.field("request-id"));
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A site with an admin, who receives alarms and cannot log in.
pub(super) async fn with_admin(builder: Builder) -> ServedSite {
    let served = builder.serve().await;
    let admin = json!({ "name": "operator", "role": "admin" });
    served.admin("person.create", admin).await;
    served
}

/// Sends bytes on a new connection and reads the response to its end.
pub(super) async fn raw(served: &ServedSite, request: &[u8]) -> Reply {
    let address = served.server.http_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    Reply::of(&answer)
}

/// A program with a token.
pub(super) struct Program<'a> {
    pub(super) served: &'a ServedSite,
    pub(super) token: String,
}

impl<'a> Program<'a> {
    /// A program of the service `robot` whose token names these operations.
    pub(super) async fn robot(served: &'a ServedSite, operations: &[&str]) -> Self {
        let params = json!({ "service": "robot", "operations": operations });
        let created = served.admin("token.create", params).await;
        let token = created["token"].as_str().unwrap().to_owned();
        Self { served, token }
    }

    /// A program of the admin `maria`, who proves her pass phrase in this session for its token.
    pub(super) async fn maria(
        served: &'a ServedSite,
        session: &Client,
        operations: &[String],
    ) -> Self {
        session
            .prove_passphrase(&PASSPHRASE.to_owned().into())
            .await
            .unwrap();
        let params = json!({ "operations": operations });
        let created: Value = session.call("token", "create", &params).await.unwrap();
        let token = created["token"].as_str().unwrap().to_owned();
        Self { served, token }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.call_with(method, path, &[], body).await
    }

    pub(super) async fn call_with(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        raw(
            self.served,
            self.request(method, path, fields, body).as_bytes(),
        )
        .await
    }

    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> String {
        let mut head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: site.example\r\nconnection: close\r\n\
             authorization: Bearer {}\r\n",
            self.token
        );
        if !body.is_empty() {
            head += &format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            );
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n" + body
    }
}

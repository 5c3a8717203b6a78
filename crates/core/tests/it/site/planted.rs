//! Secrets that are given to a site: the database, its write-ahead log and a backup contain none of
//! them in the clear, and the two files contain no replaced key of the site.

use std::path::Path;
use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::store::{Settings, StoreCopy};
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestPeer, TestSite};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::passphrase::register;

const AUTH_DATA: &str = "PLANTED-data-about-an-application";
const PERSON: &str = "PLANTED-pass-phrase-of-a-person";
const SITE: &str = "PLANTED-pass-phrase-of-the-site";
const MESSAGE: &str = "PLANTED-message-to-another-site";

/// A site in a file, to which secrets were given.
struct Planted {
    test: TestSite,
    /// The secrets as they were given or returned.
    secrets: Vec<String>,
}

impl Planted {
    async fn new() -> Self {
        let test = TestSite::builder().file().build().await;
        test.takes_enrolments();
        test.site
            .connect_peers_with(Arc::new(TestPeer::new("any.example")));
        let settings = json!({ "auth_data": { "password": AUTH_DATA } });
        test.create_application("billing", settings.clone()).await;
        test.admin(
            "app.update",
            json!({ "id": "billing", "settings": settings }),
        )
        .await;
        test.admin("broker.new_v1_key", json!({})).await;
        test.admin("person.create", json!({ "name": "ada" })).await;
        test.admin("peer.start", json!({})).await;
        let admin = Caller::admin_socket();
        let (code, _) = register(&test.site, &admin, "person", Some("ada"), PERSON).await;
        assert_eq!(code, Code::SUCCESS);
        test.admin("site.key_passphrase", json!({ "passphrase": SITE }))
            .await;
        let file = test.slot.to_text().expose().trim().to_owned();
        let recovery = json!({ "secret": { "slot_file": file } });
        let recovery = test.admin("site.key_recovery", recovery).await;
        let ticket = test.admin("ticket.issue", json!({ "person": "ada" })).await;
        test.peer("ada").await;
        let message = json!({ "from": "ada", "to": "bob@b.example", "text": MESSAGE });
        test.admin("peer.send", message).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let secrets = vec![
            AUTH_DATA.to_owned(),
            PERSON.to_owned(),
            SITE.to_owned(),
            MESSAGE.to_owned(),
            file,
            text(&recovery["recovery_code"]),
            token(&text(&ticket["uri"])),
        ];
        Self { test, secrets }
    }

    /// The wrapped seeds of the present keys and the sealed root secret, as the store holds them.
    async fn stored_key(&self) -> Vec<String> {
        let stored = self.test.parts().await.store.setting("site_key").await;
        let stored: Value = serde_json::from_slice(&stored.unwrap().unwrap().value).unwrap();
        let mut sealed = vec![stored["root"].as_str().unwrap().to_owned()];
        let slots = stored["current"]["slots"].as_array().unwrap();
        sealed.extend(
            slots
                .iter()
                .map(|slot| slot["sealed"].as_str().unwrap().to_owned()),
        );
        sealed
    }

    async fn new_key(&self) {
        let file = json!({ "slot_file": self.test.slot.to_text().expose() });
        let params = json!({ "secrets": [file], "slots": [file] });
        self.test.admin("site.key_new", params).await;
    }

    /// The database with its write-ahead log.
    fn files(&self) -> Vec<u8> {
        bytes_of(self.test.folder())
    }

    async fn backup(&self) -> Vec<u8> {
        let store = self.test.parts().await.store;
        let StoreCopy { mut content, .. } = store.copy().await.unwrap();
        let mut bytes = Vec::new();
        while let Some(part) = content.next().await {
            bytes.extend_from_slice(&part.unwrap());
        }
        bytes
    }
}

fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

/// The token in the URI of a ticket.
fn token(uri: &str) -> String {
    let ticket: EnrolmentTicket = uri.parse().unwrap();
    let token = BASE64URL_NOPAD.encode(ticket.token().expose());
    assert!(uri.contains(&token), "{uri}");
    token
}

fn pieces(text: &str) -> Vec<String> {
    let pieces = text.as_bytes().chunks_exact(16);
    pieces
        .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        .collect()
}

fn contains(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|part| part == secret.as_bytes())
}

#[tokio::test]
async fn planted_secrets_are_in_neither_the_database_nor_its_log_nor_a_backup() {
    let planted = Planted::new().await;
    let backup = planted.backup().await;
    for bytes in [&planted.files(), &backup] {
        assert!(contains(bytes, "billing"), "the search works");
        for secret in &planted.secrets {
            assert!(!contains(bytes, secret), "{secret} is in the clear");
        }
    }
    // They are there nevertheless, for those who may read them, and outlive a new key.
    planted.new_key().await;
    let test = &planted.test;
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(shown["auth_data"]["password"], AUTH_DATA);
    let outbox = test.admin("peer.outbox", json!({ "person": "ada" })).await;
    assert_eq!(outbox["entries"][0]["text"], MESSAGE);
}

/// Regression test: the free space of the file and the write-ahead log kept the wrapped seed of a
/// replaced key.
#[tokio::test]
async fn a_replaced_site_key_is_in_neither_the_database_nor_its_log() {
    let planted = Planted::new().await;
    for _ in 0..2 {
        let replaced = planted.stored_key().await;
        let before = planted.files();
        // SQLite may split a value, so the search is for pieces of it.
        let pieces = || replaced.iter().flat_map(|sealed| pieces(sealed));
        assert!(pieces().any(|piece| contains(&before, &piece)));
        planted.new_key().await;
        let after = planted.files();
        for piece in pieces() {
            assert!(!contains(&after, &piece), "{piece} is not erased");
        }
    }
}

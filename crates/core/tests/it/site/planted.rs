//! Secrets that a site was given or has made: the database, its write-ahead log and a backup contain
//! none of them in the clear, and the two files contain no replaced key of the site.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use countersign_core::access::Caller;
use countersign_core::store::StoreCopy;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestPeer, TestSite};
use countersign_testkit::planted::Planted;
use serde_json::{Value, json};

use crate::site::accounts::passphrase::register;

const AUTH_DATA: &str = "PLANTED-data-about-an-application";
const MESSAGE: &str = "PLANTED-message-to-another-site";

/// What the database has in the clear: the control that the search finds what is there.
const CONTROL: &str = "planted-id-of-an-application";

/// A site in a file, to which secrets were given.
struct World {
    test: TestSite,
    planted: Planted,
}

impl World {
    async fn new() -> Self {
        let test = TestSite::builder().file().build().await;
        let mut planted = Planted::default();
        test.takes_enrolments();
        test.site
            .connect_peers_with(Arc::new(TestPeer::new("any.example")));
        let auth_data = planted.plant("auth_data", AUTH_DATA);
        let settings = json!({ "auth_data": { "password": auth_data } });
        test.create_application("billing", settings.clone()).await;
        let update = json!({ "id": "billing", "settings": settings });
        test.admin("app.update", update).await;
        let control = planted.plant("control", CONTROL);
        test.create_application(control, json!({})).await;
        test.admin("broker.new_v1_key", json!({})).await;
        test.admin("person.create", json!({ "name": "ada" })).await;
        test.admin("peer.start", json!({})).await;
        let admin = Caller::admin_socket();
        let phrase = planted.plant("pass phrase of a person", "PLANTED-pass-phrase-of-ada");
        let (code, _) = register(&test.site, &admin, "person", Some("ada"), phrase).await;
        assert_eq!(code, Code::SUCCESS);
        let phrase = planted.plant("pass phrase of the site", "PLANTED-pass-phrase-of-site");
        test.admin("site.key_passphrase", json!({ "passphrase": phrase }))
            .await;
        let file = test.slot.to_text().expose().trim().to_owned();
        let recovery = json!({ "secret": { "slot_file": planted.plant("slot file", file) } });
        let recovery = test.admin("site.key_recovery", recovery).await;
        planted.plant("recovery code", text(&recovery["recovery_code"]));
        let ticket = test.admin("ticket.issue", json!({ "person": "ada" })).await;
        let ticket: EnrolmentTicket = text(&ticket["uri"]).parse().unwrap();
        planted.plant("token", ticket.token().expose());
        test.peer("ada").await;
        let message = planted.plant("message", MESSAGE);
        let message = json!({ "from": "ada", "to": "bob@b.example", "text": message });
        test.admin("peer.send", message).await;
        plant_keys(&test, &mut planted);
        Self { test, planted }
    }

    /// The wrapped seeds of the present keys and the sealed root secret, as the store holds them.
    async fn stored_key(&self) -> Vec<String> {
        let stored = self.test.parts().await.store.setting("site_key").await;
        let stored: Value = serde_json::from_slice(&stored.unwrap().unwrap().value).unwrap();
        let mut sealed = vec![text(&stored["root"]).to_owned()];
        let slots = stored["current"]["slots"].as_array().unwrap();
        sealed.extend(slots.iter().map(|slot| text(&slot["sealed"]).to_owned()));
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

/// The keys of the unsealed site that the database holds sealed, or not at all.
fn plant_keys(test: &TestSite, planted: &mut Planted) {
    let keys = test.site.unsealed_keys().unwrap();
    planted.plant("OPAQUE setup", keys.setup.to_bytes().expose());
    planted.plant("secret of decoys", keys.decoy.expose());
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[tokio::test]
async fn planted_secrets_are_in_neither_the_database_nor_its_log_nor_a_backup() {
    let world = World::new().await;
    let backup = world.backup().await;
    let control = BTreeSet::from(["control"]);
    for bytes in [&world.files(), &backup] {
        assert_eq!(world.planted.found(bytes), control);
    }
    // They are there nevertheless, for those who may read them, and outlive a new key.
    world.new_key().await;
    let shown = world.test.admin("app.show", json!({ "id": "billing" }));
    assert_eq!(shown.await["auth_data"]["password"], AUTH_DATA);
    let outbox = world.test.admin("peer.outbox", json!({ "person": "ada" }));
    assert_eq!(outbox.await["entries"][0]["text"], MESSAGE);
}

/// Regression test: the free space of the file and the write-ahead log kept the wrapped seed of a
/// replaced key.
#[tokio::test]
async fn a_replaced_site_key_is_in_neither_the_database_nor_its_log() {
    let world = World::new().await;
    for _ in 0..2 {
        let mut replaced = Planted::default();
        for sealed in world.stored_key().await {
            // SQLite may split a value, so the search is for pieces of it.
            for piece in sealed.as_bytes().chunks_exact(16) {
                replaced.plant(&String::from_utf8_lossy(piece), piece);
            }
        }
        assert!(!replaced.found(&world.files()).is_empty());
        world.new_key().await;
        assert_eq!(replaced.found(&world.files()), BTreeSet::new());
    }
}

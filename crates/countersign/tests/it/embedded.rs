//! An application's own operations, called with the command line, which does not have them in its table.

use std::sync::Arc;

use countersign_core::caller::Caller;
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::policy::Role;
use countersign_core::site::{Foundation, Parts, Site};
use countersign_core::table::{Answer, Entry, Table};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::Operation;
use countersign_proto::session::Strength;
use countersign_proto::uri::SiteUri;
use countersign_server::{Server, clock};
use countersign_store::SqliteStore;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::running::Running;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Seats {
    /// Which ones.
    name: Option<String>,
}

/// One operation that takes something away, and one that does not.
fn table() -> Table {
    let mut table = operations::table().unwrap();
    let entry = |command| {
        Entry::new("seats", command)
            .summary("Works on seats.")
            .allow(&[Role::Service])
    };
    let answer = |_, seats: Seats| async { Ok(Answer::new(seats.name)) };
    table.add(entry("show").handler(answer)).unwrap();
    table
        .add(entry("free").disruptive().handler(answer))
        .unwrap();
    table
}

async fn serve(folder: &Running) -> (Server, SiteUri) {
    let store = SqliteStore::open(&folder.path("embedded.db"))
        .await
        .unwrap();
    let parts = Parts {
        store: Arc::new(store),
        table: table(),
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor: Strength::Delivered,
    };
    let slot = SlotFile::generate(&mut SystemEntropy);
    let foundation = Foundation {
        zone: "local".parse().unwrap(),
        slots: &[NewSlot::File(&slot)],
    };
    let site = Site::found(parts, foundation, clock::now()).await.unwrap();
    let certificate = std::fs::read_to_string(folder.path("robot.key.pub")).unwrap();
    let params = to_raw_value(&json!({ "name": "robot", "certificate": certificate })).unwrap();
    let create = Operation::new(1, "service", "create", params);
    site.run(&Caller::site(), &create, clock::now()).await;
    let server = Server::builder(site.clone()).session("127.0.0.1:0".parse().unwrap());
    let server = server.start().await.unwrap();
    let port = server.session_address().unwrap().port();
    let uri = SiteUri::new("127.0.0.1", port, site.public_key()).unwrap();
    (server, uri)
}

#[test]
fn an_operation_that_the_program_does_not_know_is_asked_about_as_its_site_tells() {
    let mut folder = Running::folder();
    assert_eq!(folder.run(&["key", "new", "--out", "robot.key"]).code, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, uri) = runtime.block_on(serve(&folder));
    folder.uri = uri.to_string();
    let said = folder.call_as_robot(&["seats", "show"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let said = folder.call_as_robot(&["seats", "free", "name=stalls"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(
        said.err.contains("seats free stalls: Works on seats"),
        "{}",
        said.err
    );
    let said = folder.call_as_robot(&["seats", "free", "name=stalls", "--yes"]);
    assert_eq!(said.code, 0, "{}", said.err);
    runtime.block_on(server.stop());
}

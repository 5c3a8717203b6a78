//! An application that embeds a session server and adds an operation of its own to the site's
//! table. A service logs in to it over the session protocol and calls the operation.
//!
//! Run it with `cargo run -p countersign-examples --bin own_operations`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_client::{Client, LoginAs};
use countersign_core::access::{Caller, Role};
use countersign_core::engine::{Answer, Entry, NewSite, Parts, Site, Table};
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::sessions::Audience;
use countersign_core::store::Notice;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::Operation;
use countersign_proto::session::Strength;
use countersign_proto::uri::SiteUri;
use countersign_server::{Server, clock};
use countersign_store::SqliteStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::to_raw_value;

/// The parameters of the operation. The check of parameters, the JSON Schema and the reference page
/// come from this type.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reserve {
    /// The number of seats to reserve.
    seats: u64,
}

/// The result of the operation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Reserved {
    /// The number of the first seat.
    first: u64,
    /// The number of seats taken in all.
    taken: u64,
}

/// The standard operations and `seats reserve`. The handler captures its state.
fn table() -> Result<Table, Box<dyn Error>> {
    let taken = Arc::new(AtomicU64::new(0));
    let reserve = Entry::new("seats", "reserve")
        .summary("Reserves seats next to each other.")
        .allow(&[Role::Service, Role::Member])
        .changes()
        .example(json!({ "seats": 2 }))
        .handler(move |context, reserve: Reserve| {
            let taken = taken.clone();
            async move {
                let first = taken.fetch_add(reserve.seats, Ordering::Relaxed);
                let reserved = Reserved {
                    first,
                    taken: first + reserve.seats,
                };
                // Writes the audit entry. Every session gets the event after the entry is on disk.
                let event = Notice::event(Audience::All, "seats", "reserved", &reserved)?;
                context.commit(event, None, &reserved).await?;
                let who = &context.caller().name;
                let output = format!("{who} has {} seats from {first} on.", reserve.seats);
                Ok(Answer::new(reserved).with_output(output))
            }
        });
    let mut table = operations::table()?;
    table.add(reserve)?;
    Ok(table)
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A site in a temporary folder. This program has the credential file that unseals it.
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(&folder.path().join("site.db")).await?);
    let parts = Parts {
        store,
        table: table()?,
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor: Strength::Delivered,
    };
    let slot = SlotFile::generate(&mut SystemEntropy);
    let new_site = NewSite {
        zone: "theatre.example".parse()?,
        slots: &[NewSlot::File(&slot)],
        next_slots: &[NewSlot::File(&slot)],
    };
    let site = Site::create(parts, new_site, clock::now()).await?;

    // A service. Only the service has its private key; the site gets the certificate.
    let identity = Identity::generate(&mut SystemEntropy);
    let create = json!({ "name": "box-office", "certificate": identity.certificate().to_pem() });
    let create = Operation::new(1, "service", "create", to_raw_value(&create)?);
    let created = site.run(&Caller::site(), &create, clock::now()).await;
    println!("{}", created.output);

    // The session listener, on a free local port.
    let server = Server::builder(site.clone())
        .session("127.0.0.1:0".parse()?)
        .start()
        .await?;
    let address = server.session_address().ok_or("no session listener")?;
    let uri = SiteUri::new("127.0.0.1", address.port(), site.public_key())?;

    // The service, which could run on another machine, pins the site key in the URI.
    let client = Client::connect(&uri, LoginAs::service(identity)).await?;
    let mut followed = client.events();
    for seats in [2, 3] {
        let reserved: Reserved = client
            .call("seats", "reserve", &json!({ "seats": seats }))
            .await?;
        println!("reserved: {reserved:?}");
        let event = followed.next().await.ok_or("the session ended")?;
        println!("event {}.{}: {}", event.group, event.event, event.data);
    }
    let wrong = client
        .call::<_, Reserved>("seats", "reserve", &json!({ "seats": "two" }))
        .await;
    println!(
        "a wrong parameter: {}",
        wrong.err().ok_or("it was accepted")?
    );
    client.close().await?;
    server.stop().await;
    Ok(())
}

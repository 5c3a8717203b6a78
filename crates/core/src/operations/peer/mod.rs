//! `peer`: other sites that this one trusts, and the messages between their people.
//!
//! `ticket` and `join` make a peer. `list`, `show`, `suspend`, `resume`, `remove`, `forget`,
//! `start`, `stop`, `status` and `doctor` are for admins. `send`, `inbox`, `outbox`, `discard` and
//! `discard_waiting` are for people. Peers themselves call `deliver`, `audit_head`, `address` and
//! `ping`, and two operations of the group `broker`.

mod heads;
mod health;
mod introduce;
mod limits;
mod mail;
mod manage;
mod notices;
mod places;
mod serve;
mod view;
mod wire;

use serde_json::json;

use crate::access::{Channel, Role};
use crate::engine::rest::RestMethod;
use crate::engine::{Entry, ParameterIs};
use crate::lockdown::OperationKind;
use crate::peers::PeerPermission;

pub(super) use serve::{Findings, findings};
pub(super) use view::PeerRef;
pub(super) use wire::{called, permitted};

/// A site id for the examples of the reference.
const EXAMPLE_SITE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(super) fn entries() -> Vec<Entry> {
    let (admin, members) = ([Role::Admin], [Role::Member]);
    let site = || json!({ "peer": EXAMPLE_SITE });
    let message = "019523d0-5c00-7000-8000-000000000000";
    vec![
        Entry::new("peer", "ticket")
            .summary("Issues a ticket with which another site becomes a peer, shown once; for yourself after a fresh proof.")
            .allow(&admin)
            .allow_own(&members)
            .changes()
            .of_kind(OperationKind::Enrols)
            .rest(RestMethod::Post, "/peer-tickets")
            .example(json!({ "person": "ada", "expires_in": 3600 }))
            .handler(introduce::ticket),
        Entry::new("peer", "join")
            .summary("Joins the site that issued a ticket, for a person of this site; for yourself after a fresh proof.")
            .allow(&admin)
            .allow_own(&members)
            .changes()
            .of_kind(OperationKind::Enrols)
            .rest_creates("/peers/join", "/peers/{site}")
            .example(json!({ "ticket": "countersign://a.example:4750/p#…", "person": "bob" }))
            .handler(introduce::join),
        Entry::new("peer", "list")
            .summary("Lists the peers by their site ids, removed ones included.")
            .allow(&admin)
            .rest(RestMethod::Get, "/peers")
            .example(json!({ "limit": 10 }))
            .handler(manage::list),
        Entry::new("peer", "show")
            .summary("Shows a peer with its key event, who introduced it, and its counters.")
            .allow(&admin)
            .rest(RestMethod::Get, "/peers/{peer}")
            .example(site())
            .handler(manage::show),
        Entry::new("peer", "permit")
            .summary("Sets what a peer may ask this site for.")
            .allow(&admin)
            .changes()
            .disruptive_when(
                "allows",
                ParameterIs::Without(PeerPermission::ALL.map(|one| one.as_str().to_owned()).to_vec()),
                "takes away what is not in `allows`",
            )
            .rest(RestMethod::Put, "/peers/{peer}/permissions")
            .example(json!({ "peer": EXAMPLE_SITE, "allows": ["messages"] }))
            .handler(manage::permit),
        Entry::new("peer", "suspend")
            .summary("Suspends a peer: its connections end, none is accepted or opened, and messages wait.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Post, "/peers/{peer}/suspend")
            .example(json!({ "peer": EXAMPLE_SITE, "reason": "under investigation" }))
            .handler(manage::suspend),
        Entry::new("peer", "resume")
            .summary("Ends the suspension of a peer.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Post, "/peers/{peer}/resume")
            .example(site())
            .handler(manage::resume),
        Entry::new("peer", "remove")
            .summary("Removes a peer: its connections end, and no ticket makes that site a peer again.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Delete, "/peers/{peer}")
            .example(site())
            .handler(manage::remove),
        Entry::new("peer", "forget")
            .summary("Forgets a removed or damaged peer with its messages, so that a ticket can make that site a peer again.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Post, "/peers/{peer}/forget")
            .example(site())
            .handler(manage::forget),
        Entry::new("peer", "start")
            .summary("Starts the peer server, now and with every start of the site.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Post, "/peer-server/start")
            .handler(serve::start),
        Entry::new("peer", "stop")
            .summary("Stops the peer server, until it is started again; connections with peers end.")
            .allow(&admin)
            .disruptive()
            .rest(RestMethod::Post, "/peer-server/stop")
            .handler(serve::stop),
        Entry::new("peer", "status")
            .summary("Shows whether the peer server runs, and where.")
            .allow(&admin)
            .while_sealed()
            .rest(RestMethod::Get, "/peer-server")
            .handler(serve::status),
        Entry::new("peer", "doctor")
            .summary("Checks the peer server and each peer, and says what to do.")
            .allow(&admin)
            .while_sealed()
            .rest(RestMethod::Get, "/peer-server/doctor")
            .handler(serve::doctor),
        Entry::new("peer", "send")
            .summary("Sends a message to a person of a peer. It waits until the peer accepts it.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Post, "/messages")
            .example(json!({ "from": "ada", "to": "bob@b.example", "text": "Hello." }))
            .handler(mail::send),
        Entry::new("peer", "inbox")
            .summary("Lists the messages from people of peers, in the order in which they arrived.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/inbox")
            .example(json!({ "person": "ada" }))
            .handler(mail::inbox),
        Entry::new("peer", "outbox")
            .summary("Lists the messages that wait for peers, or that peers refused.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/outbox")
            .example(json!({ "person": "ada" }))
            .handler(mail::outbox),
        Entry::new("peer", "discard")
            .summary("Deletes a message from the inbox or the outbox of a person.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Delete, "/messages/{id}")
            .example(json!({ "person": "ada", "id": message }))
            .handler(mail::discard),
        Entry::new("peer", "discard_waiting")
            .command_line("peer discard")
            .summary("Deletes all messages of a person that wait for peers, as after the theft of a session.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Delete, "/messages")
            .example(json!({ "person": "ada" }))
            .handler(mail::discard_waiting),
        Entry::new("peer", "deliver")
            .for_programs()
            .summary("Delivers messages to people of this site. Each is stored once, in the order of its pair of persons.")
            .only_on(&[Channel::Peer])
            .changes()
            .no_rest("only a peer calls it, on its own connection")
            .example(json!({ "messages": [{
                "id": message,
                "number": 1,
                "from": "ada@a.example",
                "to": "bob@b.example",
                "text": "Hello.",
                "sent": "2026-03-01T12:00:00.000Z",
            }] }))
            .handler(wire::deliver),
        Entry::new("peer", "audit_head")
            .for_programs()
            .summary("Countersigns the head of the peer's audit log, unless it contradicts one that the peer signed before.")
            .only_on(&[Channel::Peer])
            .changes()
            .public_key()
            .no_rest("only a peer calls it, on its own connection")
            .example(json!({ "head": "…", "all": false }))
            .handler(heads::audit_head),
        Entry::new("peer", "ping")
            .for_programs()
            .summary("Tells a peer the time of this site, its version and its lockdown.")
            .only_on(&[Channel::Peer])
            .no_rest("only a peer calls it, on its own connection")
            .handler(notices::ping),
        Entry::new("peer", "address")
            .for_programs()
            .summary("Stores the new address at which the peer is reached.")
            .only_on(&[Channel::Peer])
            .changes()
            .no_rest("only a peer calls it, on its own connection")
            .example(json!({ "host": "b.example", "port": 4750 }))
            .handler(notices::address),
    ]
}

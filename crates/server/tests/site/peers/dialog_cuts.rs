//! Connections between peers that are cut in the middle of what two sites tell and ask each other beside
//! messages: heads of audit logs, pings, addresses, tickets and void tickets.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_proto::broker::v2::Refusal;
use countersign_server::clock;
use countersign_testkit::harness::time::{self, until};
use serde_json::{Value, json};

use crate::http::symmetric::call;
use crate::peers::foreign_tickets::{World, refused};
use crate::peers::network::{Network, places};
use crate::peers::side::Side;

/// Longer than the time between two heads, or a wait after a few attempts that failed.
const SOME_MINUTES: Duration = Duration::from_secs(301);
/// Longer than a site waits before it tells a peer again that tickets are void.
const MOMENT: Duration = Duration::from_secs(6);

/// Both sites impose a lockdown, or lift it. Each sends a head at once then, and asks for the state of the
/// other one.
struct Drill<'a> {
    a: &'a Side,
    b: &'a Side,
    is_imposed: bool,
}

impl Drill<'_> {
    async fn change(&mut self) {
        self.is_imposed = !self.is_imposed;
        for side in [self.a, self.b] {
            match self.is_imposed {
                true => {
                    let level = json!({ "level": "enrolment" });
                    side.admin("lockdown.site", level).await;
                }
                false => drop(side.admin("lockdown.lift", json!({ "site": true })).await),
            }
        }
    }

    /// Whether each site has a receipt for the last change and was told the lockdown of the other one.
    async fn is_known(&self) -> bool {
        let changed = match self.is_imposed {
            true => "lockdown.site",
            false => "lockdown.lift",
        };
        let level = match self.is_imposed {
            true => json!("enrolment"),
            false => Value::Null,
        };
        for (side, other) in [(self.a, "b.example"), (self.b, "a.example")] {
            let entries = side.audited(changed).await;
            let last = entries.iter().filter_map(|entry| entry["seq"].as_u64());
            let shown = side.show(other).await;
            let confirmed = shown["countersigned"]["entry"].as_u64();
            if confirmed < last.max() || shown["told"]["lockdown"] != level {
                return false;
            }
        }
        true
    }
}

/// The numbers of the entries whose heads a site stored, in an operation of its audit log.
fn heads(entries: &[Value]) -> Vec<u64> {
    let numbers = entries
        .iter()
        .map(|entry| entry["details"]["entry"].as_u64());
    numbers.map(Option::unwrap).collect()
}

// PEER-27, PEER-28, PEER-30, PEER-34
#[tokio::test]
async fn heads_and_pings_of_a_connection_that_is_cut_anywhere_are_sent_again_and_stored_once() {
    const PLACES: usize = 24;
    let (network, a, b) = Network::peers().await;
    let mut drill = Drill {
        a: &a,
        b: &b,
        is_imposed: false,
    };
    let before = network.carried();
    drill.change().await;
    network
        .eventually(SOME_MINUTES, async || drill.is_known().await)
        .await;
    network.rests(&a, &b).await;
    let whole = network.carried() - before;
    for place in places(whole, PLACES) {
        let cuts = network.cut_after(place);
        while network.cuts() == cuts {
            drill.change().await;
            let is_over = async || network.cuts() > cuts || drill.is_known().await;
            network.eventually(SOME_MINUTES, is_over).await;
        }
        network
            .eventually(SOME_MINUTES, async || drill.is_known().await)
            .await;
        network.rests(&a, &b).await;
    }
    assert_eq!(network.cuts(), PLACES);
    for side in [&a, &b] {
        let received = side.audited("peer.audit_head").await;
        assert!(
            received
                .iter()
                .all(|entry| entry["details"]["state"] == "countersigned"),
            "{received:?}"
        );
        let numbers = heads(&received);
        let once: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(once.len(), numbers.len(), "a head was stored twice");
        let sent = heads(&side.audited("peer.countersigned").await);
        // So many attempts use up what a peer answers in a minute.
        time::pass(SOME_MINUTES).await;
        let verified = side.admin("audit.verify", json!({ "peers": true })).await;
        assert_eq!(verified["intact"], true);
        let confirmed = verified["peers"][0]["confirmed"].as_u64();
        assert!(confirmed >= sent.into_iter().max(), "{verified}");
    }
}

// PEER-32
#[tokio::test]
async fn an_address_that_is_cut_anywhere_is_told_again_and_stored_once() {
    const PLACES: usize = 12;
    /// The time in which a peer may tell another new address.
    const ADDRESS: Duration = Duration::from_secs(601);
    let (mut network, a, mut b) = Network::peers().await;
    let mut sent = 0;
    let mut whole = 0;
    for round in 0..=PLACES {
        time::pass(ADDRESS).await;
        network.rests(&a, &b).await;
        let before = network.carried();
        let address = network.move_b(&mut b).await;
        // The first time, nothing is cut.
        let cuts = match round.checked_sub(1) {
            Some(place) => network.cut_after(place * whole / PLACES),
            None => usize::MAX,
        };
        let is_known = async || {
            let is_stored = a.show("b.example").await["address"] == address;
            is_stored && b.audited("peer.address_told").await.len() == round + 1
        };
        loop {
            b.send("ada@a.example", "I have moved.").await;
            sent += 1;
            let is_over = async || {
                let has_arrived = a.texts().await.len() == sent && is_known().await;
                has_arrived || network.cuts() == cuts.wrapping_add(1)
            };
            network.eventually(SOME_MINUTES, is_over).await;
            if round == 0 || network.cuts() > cuts {
                break;
            }
        }
        network.eventually(SOME_MINUTES, is_known).await;
        network
            .eventually(SOME_MINUTES, async || a.texts().await.len() == sent)
            .await;
        whole = whole.max(network.carried() - before);
        assert_eq!(a.audited("peer.address").await.len(), round + 1);
    }
    assert_eq!(network.cuts(), PLACES);
}

// PEER-43, BRK-94
#[tokio::test]
async fn a_request_for_a_ticket_that_is_cut_anywhere_ends_at_once_and_can_be_repeated() {
    const PLACES: usize = 12;
    let (network, a, b) = Network::peers().await;
    let world = World::of(a, b).await;
    let is_answered = async || {
        time::pass(Duration::from_secs(1)).await;
        world.calls().await.is_ok()
    };
    world.calls().await.unwrap();
    let before = network.carried();
    world.calls().await.unwrap();
    let whole = network.carried() - before;
    for place in places(whole, PLACES) {
        let cuts = network.cut_after(place);
        while network.cuts() == cuts {
            let called = world.calls().await;
            // The site asks once more before it gives up.
            assert!(
                called.is_ok() || called == refused(Refusal::PeerUnreachable),
                "{called:?}, cut after {place} bytes"
            );
        }
        until(is_answered).await;
    }
    assert_eq!(network.cuts(), PLACES);
    assert_eq!(world.a.peers().await[0].1, "active");
    assert_eq!(world.b.peers().await[0].1, "active");
}

// PEER-42
#[tokio::test]
async fn a_notice_of_void_tickets_that_is_cut_anywhere_is_told_again() {
    const PLACES: usize = 8;
    let (network, a, b) = Network::peers().await;
    let world = World::of(a, b).await;
    let billing = || json!({ "id": "billing" });
    let is_told = async || {
        let waiting = world.a.served.site.peers_to_tell(clock::now());
        waiting.is_empty()
    };
    let is_answered = async || {
        time::pass(Duration::from_secs(1)).await;
        world.calls().await.is_ok()
    };
    let mut whole = 0;
    for round in 0..=PLACES {
        // The connection is open from here on.
        until(is_answered).await;
        let consumer = world.builder().build().unwrap();
        assert_eq!(call(&consumer, &world.address).await.unwrap().0, 200);
        let before = network.carried();
        let cuts = match round.checked_sub(1) {
            Some(place) => network.cut_after(place * whole / PLACES),
            None => usize::MAX,
        };
        loop {
            world.a.admin("app.lock", billing()).await;
            let is_over = async || network.cuts() == cuts.wrapping_add(1) || is_told().await;
            network.eventually(MOMENT, is_over).await;
            if round == 0 || network.cuts() > cuts {
                break;
            }
            world.a.admin("app.unlock", billing()).await;
        }
        network.eventually(MOMENT, is_told).await;
        if round == 0 {
            whole = network.carried() - before;
        }
        // The provider was told: the consumer asks no site for another ticket.
        until(async || call(&consumer, &world.address).await.is_err()).await;
        world.a.admin("app.unlock", billing()).await;
    }
    assert_eq!(network.cuts(), PLACES);
    let told = world.b.audited("broker.foreign_void").await;
    assert!(told.len() > PLACES, "{} notices", told.len());
}

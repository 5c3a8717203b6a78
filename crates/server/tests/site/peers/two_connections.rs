//! Two connections between two sites at once, one opened by each.

use std::time::Duration;

use countersign_core::engine::PeerDirection;
use countersign_testkit::harness::time::until;

use crate::peers::network::{Network, places};
use crate::peers::side::Side;

/// Longer than a site rests before it sends messages again.
const REST: Duration = Duration::from_secs(6);
/// The messages of each person in a round.
const MESSAGES: usize = 40;

/// The directions of the connections of a site, incoming first.
fn directions(side: &Side, other: &Side) -> Vec<PeerDirection> {
    let mut directions = side.served.site.peer_connections(other.served.site.id());
    directions.sort_by_key(|direction| *direction == PeerDirection::Outgoing);
    directions
}

/// Each site opens a connection while the other one does. Messages pass both ways. One of the two connections is cut
/// in the middle of a batch, and the other one takes over: no site connects again, and no message is lost,
/// doubled or out of its order.
// PEER-20, PEER-22
#[tokio::test]
async fn messages_pass_over_two_connections_at_once_and_over_the_one_that_is_left() {
    let (network, a, b) = Network::peers().await;
    let both = [PeerDirection::Incoming, PeerDirection::Outgoing];
    let mut sent = 0;
    let mut cut = 0;
    for place in places(30_000, 6) {
        network.rests(&a, &b).await;
        let accepted = network.accepted();
        network.hold(true);
        let message = |number: usize| number.to_string();
        let exchange = async |sent: &mut usize, count: usize| {
            for _ in 0..count {
                let text = message(*sent);
                tokio::join!(
                    a.send("bob@b.example", &text),
                    b.send("ada@a.example", &text)
                );
                *sent += 1;
            }
        };
        exchange(&mut sent, 1).await;
        network
            .eventually(REST, async || network.accepted() == accepted + 2)
            .await;
        network.hold(false);
        let is_double = async || directions(&a, &b) == both && directions(&b, &a) == both;
        until(is_double).await;
        let cuts = network.cut_after(place);
        exchange(&mut sent, MESSAGES).await;
        let has_all = async || {
            let (of_a, of_b) = (a.texts().await.len(), b.texts().await.len());
            of_a >= sent && of_b >= sent
        };
        network.eventually(REST, has_all).await;
        let expected: Vec<_> = (0..sent).map(message).collect();
        assert_eq!(a.texts().await, expected);
        assert_eq!(b.texts().await, expected);
        if network.cuts() > cuts {
            cut += 1;
            assert_eq!(
                network.accepted(),
                accepted + 2,
                "the other connection went on"
            );
            until(async || directions(&a, &b).len() == 1).await;
        }
        network.cut_after(usize::MAX);
    }
    assert!(cut >= 3, "{cut} of the connections were cut");
}

//! Which persons two sites name to each other when they connect, over sockets.

use serde_json::json;

use crate::peers::impostor::Impostor;
use crate::peers::side::{Side, greeted, key, line, peers};

/// Whether the next connection that one site opens is welcome at the other one.
async fn is_welcome(from: &Side, to: &Side) -> bool {
    let site = to.served.site.id();
    let plan = from.served.site.peer_plan(site, from.served.now()).await;
    let hello = plan.unwrap().unwrap().hello;
    let mut lines = greeted(to, &key(from), &hello).await;
    line(&mut lines).await.is_some()
}

/// One site forgets the other, and other persons introduce them again. The site that forgot nothing named the
/// person of the first introduction for ever, whom the other one did not know any more: its messages waited
/// until the other site connected.
// PEER-73
#[tokio::test]
async fn two_sites_connect_in_both_directions_after_one_forgot_the_other_and_they_met_again() {
    let (a, mut b) = peers().await;
    a.admin("peer.remove", json!({ "peer": b.id() })).await;
    a.admin("peer.forget", json!({ "peer": b.id() })).await;
    assert!(!is_welcome(&b, &a).await);
    b.person = "ben";
    b.admin("person.create", json!({ "name": "ben" })).await;
    b.join(&a.ticket().await).await.unwrap();
    assert!(is_welcome(&b, &a).await);
    assert!(is_welcome(&a, &b).await);
}

/// The person of the first introduction got another name, and the same persons introduced the sites again. The
/// site went on to name the person as before.
// PEER-73
#[tokio::test]
async fn two_sites_connect_in_both_directions_after_a_renamed_person_introduced_them_again() {
    let (a, mut b) = peers().await;
    a.admin("peer.remove", json!({ "peer": b.id() })).await;
    a.admin("peer.forget", json!({ "peer": b.id() })).await;
    let rename = json!({ "name": "bob", "new_name": "robert" });
    b.admin("person.update", rename).await;
    b.person = "robert";
    let joined = b.join(&a.ticket().await).await.unwrap();
    assert_eq!(joined["introductions"].as_array().unwrap().len(), 1);
    assert!(is_welcome(&b, &a).await);
    assert!(is_welcome(&a, &b).await);
}

/// A site whose newest introduction the peer does not know, because the answer to a join was lost, names the one
/// before it in its next attempt. A connection that the network reset counted as a refusal too.
// PEER-73, PEER-77
#[tokio::test]
async fn a_site_that_was_refused_names_another_person_in_its_next_attempt() {
    let (mut a, mut b) = peers().await;
    a.admin("person.create", json!({ "name": "amy" })).await;
    a.person = "amy";
    b.join(&a.ticket().await).await.unwrap();
    let impostor = Impostor::of(&mut b).await;
    a.send("bob@b.example", "hello").await;
    assert_eq!(impostor.reset().await.id.to_string(), "amy@a.example");
    for person in ["amy@a.example", "ada@a.example", "amy@a.example"] {
        let (hello, lines) = impostor.greeted().await;
        assert_eq!(hello.id.to_string(), person);
        drop(lines);
    }
}

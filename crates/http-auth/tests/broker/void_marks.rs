//! Both ticket stores: which tickets are void.

use std::sync::Arc;

use countersign_http_auth::{Insertion, Limits, SqliteTickets, TicketStore};

use super::tickets::{NOW, id, name, stores, ticket_of};
use super::world::{A, C, HOUR};

// BRK-102
#[tokio::test]
async fn void_tickets_lose_their_secrets_and_are_still_replayed() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, Limits::default()).await {
        let stored = [ticket_of(A, 1), ticket_of(A, 2), ticket_of(C, 3)];
        for ticket in &stored {
            assert_eq!(
                store.insert_ticket(ticket.clone(), NOW, NOW).await,
                Ok(Insertion::New)
            );
        }
        let void = async || {
            let mut void = Vec::new();
            for ticket in &stored {
                let now = store.ticket(ticket.credentials.id).await.unwrap().unwrap();
                void.push(now.credentials.secret.expose() != ticket.credentials.secret.expose());
            }
            void
        };
        store.void_tickets(Some(A), NOW).await.unwrap();
        assert_eq!(void().await, [true, true, false]);
        let again = store.insert_ticket(stored[0].clone(), NOW, NOW).await;
        assert_eq!(again, Ok(Insertion::Replayed));
        store.void_tickets(None, NOW).await.unwrap();
        assert_eq!(void().await, [true, true, true]);
    }
}

/// A ticket was compared with the times of void tickets before and after it was stored, which an event
/// in between could pass by.
// BRK-102
#[tokio::test]
async fn a_void_ticket_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    for store in stores(&folder, Limits::default()).await {
        let insert = async |of, number, issued| {
            let ticket = ticket_of(of, number);
            store.insert_ticket(ticket, issued, NOW).await.unwrap()
        };
        assert_eq!(insert(A, 1, NOW).await, Insertion::New);
        store.void_tickets(Some(A), NOW).await.unwrap();
        assert_eq!(store.void_until(A).await, Ok(NOW));
        assert_eq!(store.void_until(C).await, Ok(0));
        assert_eq!(insert(A, 1, NOW).await, Insertion::Replayed);
        assert_eq!(insert(A, 2, NOW).await, Insertion::Void);
        assert!(store.ticket(id(2)).await.unwrap().is_none());
        assert_eq!(insert(A, 2, NOW + 1).await, Insertion::New);
        assert_eq!(insert(C, 3, NOW).await, Insertion::New);
        store.void_tickets(None, NOW + 1).await.unwrap();
        assert_eq!(insert(C, 4, NOW + 1).await, Insertion::Void);
        // Only the mark that is later is lowered.
        store.void_tickets(Some(C), NOW + HOUR).await.unwrap();
        store.lower_void(NOW + HOUR - 1, NOW + 2).await.unwrap();
        assert_eq!(store.void_until(C).await, Ok(NOW + 2));
        assert_eq!(store.void_until(A).await, Ok(NOW + 1));
        store.lower_void(NOW, NOW).await.unwrap();
        assert_eq!(insert(C, 4, NOW + 1).await, Insertion::New);
    }
}

/// A provider that restarted forgot which tickets are void. Later, one whose site had a clock ahead for
/// a moment deleted the times as expired.
// BRK-103
#[tokio::test]
async fn a_file_has_the_times_up_to_which_tickets_are_void_whatever_the_clock_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let open = async || SqliteTickets::open(&file, Limits::default()).await.unwrap();
    let store = open().await;
    for (application, until) in [(Some(A), NOW + 2), (Some(A), NOW), (None, NOW + 1)] {
        store.void_tickets(application, until).await.unwrap();
    }
    let until = async |store: &SqliteTickets| {
        let [a, c] = [A, C].map(|application| store.void_until(application));
        (a.await.unwrap(), c.await.unwrap())
    };
    let expected = (NOW + 2, NOW + 1);
    assert_eq!(until(&store).await, expected);
    drop(store);
    let store = open().await;
    assert_eq!(until(&store).await, expected);
    let ahead = NOW + 365 * 24 * HOUR;
    store
        .insert_request(name(1), A, ahead, ahead)
        .await
        .unwrap();
    assert_eq!(until(&store).await, expected);
}

/// The marks of a file are bounded.
// BRK-80
#[tokio::test]
async fn an_application_that_finds_no_place_makes_the_tickets_of_all_void() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tickets.db");
    let store = SqliteTickets::open(&file, Limits::default()).await.unwrap();
    let store = Arc::new(store);
    let marked = (0..4_096).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.void_tickets(Some(&format!("app{number}")), NOW).await })
    });
    for marked in marked.collect::<Vec<_>>() {
        marked.await.unwrap().unwrap();
    }
    // One that has a place keeps it.
    store.void_tickets(Some("app7"), NOW + 1).await.unwrap();
    assert_eq!(store.void_until("app7").await, Ok(NOW + 1));
    assert_eq!(store.void_until(C).await, Ok(0));
    store.void_tickets(Some(A), NOW).await.unwrap();
    assert_eq!(store.void_until(C).await, Ok(NOW));
    // The mark for all covers the others, which make room.
    assert_eq!(store.void_until("app7").await, Ok(NOW + 1));
    store.void_tickets(Some(A), NOW + 2).await.unwrap();
    assert_eq!(store.void_until(A).await, Ok(NOW + 2));
    assert_eq!(store.void_until(C).await, Ok(NOW));
}

//! What strangers can do to a site: nothing. Rules named: SES-1, SES-4, SES-5.

use std::time::Duration;

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_server::limits::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::founded::Founded;

async fn connect(founded: &Founded) -> TcpStream {
    TcpStream::connect(founded.server.session_address().unwrap())
        .await
        .unwrap()
}

/// What the server answers until it closes the connection.
async fn answer(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), socket.read_to_end(&mut answer))
        .await
        .unwrap();
    answer
}

/// [SES-1]
#[tokio::test]
async fn random_bytes_neither_crash_nor_hang_nor_grow_the_site() {
    let founded = Founded::new().await;
    let before = founded.admin("site", "status", json!({})).await;
    for _ in 0..100 {
        let mut noise = vec![0; 16_384];
        SystemEntropy.fill(&mut noise);
        let mut socket = connect(&founded).await;
        let _ = socket.write_all(&noise).await;
        assert!(answer(socket).await.len() <= 4_096);
    }
    let after = founded.admin("site", "status", json!({})).await;
    assert_eq!(
        before["audit_entries"], after["audit_entries"],
        "noise leaves no trace in the audit log"
    );
}

#[tokio::test]
async fn a_source_that_misbehaves_has_to_wait_and_then_may_come_again() {
    let limits = Limits {
        penalty_threshold: 9,
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    for _ in 0..2 {
        let mut socket = connect(&founded).await;
        socket.write_all(&[0xff; 64]).await.unwrap();
        assert_eq!(answer(socket).await, [0, 1, 2], "malformed");
    }
    assert!(founded.try_service().await.is_err(), "turned away");
    tokio::time::sleep(Duration::from_secs(9)).await;
    founded.service().await;
}

#[tokio::test]
async fn who_proves_nothing_in_time_is_cut_off() {
    let limits = Limits {
        unproved_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    let socket = connect(&founded).await;
    assert_eq!(answer(socket).await, [0, 1, 6], "too slow");
}

#[tokio::test]
async fn one_source_gets_its_share_of_connections_and_no_more() {
    let limits = Limits {
        connections_per_source: 2,
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    let (first, second) = (founded.service().await, founded.service().await);
    assert_eq!(answer(connect(&founded).await).await, [0, 1, 4], "busy");
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let third = founded.service().await;
    for client in [second, third] {
        assert!(
            client
                .call::<_, Value>("self", "show", &json!({}))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn a_check_of_the_port_that_says_nothing_is_no_offence() {
    let limits = Limits {
        penalty_threshold: 4,
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    for _ in 0..10 {
        drop(connect(&founded).await);
    }
    founded.service().await;
}

//! What strangers can do to a site: nothing.

use std::time::Duration;

use countersign_core::guard::PenaltyLimits;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_proto::session::client;
use countersign_server::clock;
use countersign_server::limits::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::founded::Founded;
use crate::raw::Raw;

async fn connect(founded: &Founded) -> TcpStream {
    TcpStream::connect(founded.server.session_address().unwrap())
        .await
        .unwrap()
}

async fn connect_from(founded: &Founded, address: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket
        .bind(format!("{address}:0").parse().unwrap())
        .unwrap();
    let to = founded.server.session_address().unwrap();
    socket.connect(to).await.unwrap()
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
        penalties: PenaltyLimits {
            threshold: 9,
            first: 500,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    for _ in 0..2 {
        let mut socket = connect(&founded).await;
        socket.write_all(&[0xff; 64]).await.unwrap();
        assert_eq!(answer(socket).await, [0, 1, 2], "malformed");
    }
    assert!(founded.try_service().await.is_err(), "turned away");
    tokio::time::sleep(Duration::from_millis(600)).await;
    founded.service().await;
}

#[tokio::test]
async fn an_admin_sees_penalties_and_forgets_them() {
    let founded = Founded::with(Limits {
        penalties: PenaltyLimits {
            threshold: 9,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    })
    .await;
    let none = founded.admin("penalty", "list", json!({})).await;
    assert_eq!(none["entries"], json!([]));
    for _ in 0..2 {
        let mut socket = connect(&founded).await;
        socket.write_all(&[0xff; 64]).await.unwrap();
        answer(socket).await;
    }
    let listed = founded.admin("penalty", "list", json!({})).await;
    let entry = &listed["entries"][0];
    assert_eq!(
        (&entry["source"], &entry["times"]),
        (&json!("127.0.0.1"), &json!(1))
    );
    assert!(entry["until"].is_string());
    assert!(founded.try_service().await.is_err());
    let forget = json!({ "source": "127.0.0.1" });
    let forgotten = founded.admin("penalty", "forget", forget).await;
    assert_eq!(forgotten["sources"], 1);
    founded.service().await;
}

/// [SES-32]: a guesser slows itself, and the owner elsewhere logs in as ever.
#[tokio::test]
async fn guessing_slows_the_guesser_and_not_the_owner() {
    let founded = Founded::with_person().await;
    founded.person().await;
    let mut took = Vec::new();
    for _ in 0..7 {
        let begun = clock::monotonic();
        assert!(half_a_login(&founded, "maria", "127.0.0.2").await);
        took.push(begun.elapsed());
    }
    assert!(took[2] < Duration::from_millis(200), "{took:?}");
    assert!(took[5] > Duration::from_millis(950), "{took:?}");
    // A name that does not exist is slowed just so.
    let begun = clock::monotonic();
    for _ in 0..6 {
        assert!(half_a_login(&founded, "nobody", "127.0.0.2").await);
    }
    assert!(begun.elapsed() > Duration::from_millis(700));
    let begun = clock::monotonic();
    assert!(half_a_login(&founded, "maria", "127.0.0.1").await);
    assert!(begun.elapsed() < Duration::from_millis(200));
}

/// [SES-32]: whoever waits for an answer and goes away leaves nothing behind.
#[tokio::test]
async fn a_guesser_that_goes_away_is_not_waited_for() {
    let founded = Founded::with_person().await;
    for _ in 0..9 {
        let login = half_a_login(&founded, "maria", "127.0.0.2");
        let _ = timeout(Duration::from_millis(100), login).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let status = founded.admin("site", "status", json!({})).await;
    assert_eq!(status["sessions"], 0);
    founded.service().await;
}

/// Sends a whole first flight of a person from that address, and waits for the answer; proves nothing.
async fn half_a_login(founded: &Founded, name: &str, from: &str) -> bool {
    let mut socket = connect_from(founded, from).await;
    let settings = client::Settings::new(*founded.uri.site_key());
    let mut flight = Vec::new();
    let login = client::LoginAttempt::person(
        settings,
        name.parse().unwrap(),
        "a guess".to_owned().into(),
        &mut SystemEntropy,
        &mut flight,
    );
    socket.write_all(&flight).await.unwrap();
    let mut answer = vec![0; 1];
    login.is_ok() && socket.read_exact(&mut answer).await.is_ok()
}

/// Connections that say nothing, from more networks than the site has places, evicted each person's connection
/// while the client still stretched the pass phrase. [SES-33]
#[tokio::test]
async fn slow_clients_of_many_networks_do_not_evict_a_login_under_way() {
    const PLACES: u8 = 8;
    let founded = Founded::with_person_and(Limits {
        unproved: PLACES.into(),
        unproved_early: PLACES.into(),
        ..Limits::default()
    })
    .await;
    let mut last = Vec::new();
    let crowd = async {
        for network in 1..4 * PLACES {
            last.push(connect_from(&founded, &format!("127.0.1.{network}")).await);
        }
        for slow in last.drain(..usize::from(2 * PLACES)) {
            assert_eq!(answer(slow).await, [0, 1, 4], "busy");
        }
    };
    let mut maria = Raw::person(&founded, crowd).await;
    maria.ask(1, "self", "show", &json!({}));
    maria.flush().await;
    assert_eq!(maria.results(1).await[0]["name"], "maria@example.org");
}

/// [SES-33]: a flood of half logins from one source, and honest ones from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_source_does_not_stop_an_honest_one() {
    let founded = std::sync::Arc::new(Founded::with_person().await);
    let mut flood = Vec::new();
    for _ in 0..8 {
        let founded = founded.clone();
        flood.push(tokio::spawn(async move {
            loop {
                let _ = timeout(
                    Duration::from_millis(50),
                    half_a_login(&founded, "nobody", "127.0.0.9"),
                )
                .await;
            }
        }));
    }
    for _ in 0..20 {
        timeout(Duration::from_secs(5), founded.service())
            .await
            .unwrap();
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
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
        penalties: PenaltyLimits {
            threshold: 4,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    };
    let founded = Founded::with(limits).await;
    for _ in 0..10 {
        drop(connect(&founded).await);
    }
    founded.service().await;
}

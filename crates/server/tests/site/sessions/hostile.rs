//! Attacks of unauthenticated clients on a site.

use std::time::Duration;

use countersign_core::throttle::{LoginThrottleLimits, PenaltyLimits};
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_proto::session::client;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, time};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::operations::site;
use crate::sessions::raw::Raw;

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

async fn connect(served: &ServedSite) -> TcpStream {
    TcpStream::connect(served.server.session_address().unwrap())
        .await
        .unwrap()
}

async fn connect_from(served: &ServedSite, address: &str) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket
        .bind(format!("{address}:0").parse().unwrap())
        .unwrap();
    let to = served.server.session_address().unwrap();
    socket.connect(to).await.unwrap()
}

/// The reply of the server until it closes the connection.
async fn answer(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = timeout(SOON, socket.read_to_end(&mut answer))
        .await
        .unwrap();
    answer
}

/// [SES-1]
#[tokio::test]
async fn random_bytes_neither_crash_nor_hang_nor_grow_the_site() {
    let served = site().serve().await;
    let before = served.admin("site.status", json!({})).await;
    for _ in 0..100 {
        let mut noise = vec![0; 16_384];
        SystemEntropy.fill(&mut noise);
        let mut socket = connect(&served).await;
        let _ = socket.write_all(&noise).await;
        assert!(answer(socket).await.len() <= 4_096);
    }
    let after = served.admin("site.status", json!({})).await;
    assert_eq!(
        before["audit_entries"], after["audit_entries"],
        "random bytes write nothing into the audit log"
    );
}

#[tokio::test]
async fn a_penalised_source_is_rejected_until_its_penalty_ends() {
    let limits = Limits {
        penalties: PenaltyLimits {
            threshold: 9,
            first_duration: 500,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    };
    let served = site().limits(limits).serve().await;
    for _ in 0..2 {
        let mut socket = connect(&served).await;
        socket.write_all(&[0xff; 64]).await.unwrap();
        assert_eq!(answer(socket).await, [0, 1, 2], "malformed");
    }
    assert!(served.try_robot().await.is_err(), "the source is rejected");
    time::pass(Duration::from_millis(600)).await;
    served.robot().await;
}

#[tokio::test]
async fn an_admin_lists_and_removes_penalties() {
    let served = site()
        .limits(Limits {
            penalties: PenaltyLimits {
                threshold: 9,
                ..PenaltyLimits::default()
            },
            ..Limits::default()
        })
        .serve()
        .await;
    let none = served.admin("penalty.list", json!({})).await;
    assert_eq!(none["entries"], json!([]));
    for _ in 0..2 {
        let mut socket = connect(&served).await;
        socket.write_all(&[0xff; 64]).await.unwrap();
        answer(socket).await;
    }
    let listed = served.admin("penalty.list", json!({})).await;
    let entry = &listed["entries"][0];
    assert_eq!(
        (&entry["source"], &entry["times"]),
        (&json!("127.0.0.1"), &json!(1))
    );
    assert!(entry["until"].is_string());
    assert!(served.try_robot().await.is_err());
    let forget = json!({ "source": "127.0.0.1" });
    let forgotten = served.admin("penalty.forget", forget).await;
    assert_eq!(forgotten["sources"], 1);
    served.robot().await;
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Delays of an hour and more, so that the result does not depend on the speed of this machine.
fn slow_guesses() -> Limits {
    let hour = 3_600_000;
    Limits {
        unauthenticated_timeout: 100 * HOUR,
        login_throttle: LoginThrottleLimits {
            first_delay: hour,
            max_delay: 100 * hour,
            max_delay_from_unknown_sources: 100 * hour,
            forget_after: 100 * hour,
            ..LoginThrottleLimits::default()
        },
        penalties: PenaltyLimits {
            threshold: u32::MAX,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    }
}

/// [SES-32]: an attacker's own attempts are delayed, and the owner logs in without delay from another source.
#[tokio::test]
async fn failed_logins_delay_their_source_and_not_the_owner() {
    let served = site().maria().limits(slow_guesses()).serve().await;
    served.maria().await;
    // Attempts for a name that does not exist have the same delay.
    for name in ["maria", "unknown"] {
        for _ in 0..3 {
            let attempt = attempt(&served, name, "127.0.0.2").await;
            assert!(gets_reply(attempt).await);
        }
        for hours in [1, 2, 4] {
            let mut delayed = attempt(&served, name, "127.0.0.2").await;
            // The owner logs in later and is not delayed.
            served.maria().await;
            for _ in 0..hours {
                time::settle().await;
                assert!(delayed.read(&mut [0]).now_or_never().is_none(), "{name}");
                time::pass(HOUR).await;
            }
            assert!(gets_reply(delayed).await);
        }
    }
}

/// [SES-32]: a client that disconnects during its delay frees its place.
#[tokio::test]
async fn a_client_that_disconnects_during_its_delay_frees_its_place() {
    let limits = Limits {
        unauthenticated_per_source: 1,
        ..slow_guesses()
    };
    let served = site().maria().limits(limits).serve().await;
    for _ in 0..3 {
        let attempt = attempt(&served, "maria", "127.0.0.2").await;
        assert!(gets_reply(attempt).await);
    }
    for number in 0..6 {
        drop(attempt(&served, "maria", "127.0.0.2").await);
        // The only place of that source is free again: an attempt for another name gets a reply.
        let mut tries = 0;
        time::until(async || {
            tries += 1;
            let other = format!("other-{number}-{tries}");
            gets_reply(attempt(&served, &other, "127.0.0.2").await).await
        })
        .await;
    }
    let status = served.admin("site.status", json!({})).await;
    assert_eq!(status["sessions"], 0);
    served.robot().await;
}

/// Sends a complete first flight of a person from that address.
async fn attempt(served: &ServedSite, name: &str, from: &str) -> TcpStream {
    let mut socket = connect_from(served, from).await;
    let settings = client::ClientSettings::new(*served.uri.site_key());
    let mut flight = Vec::new();
    client::ClientLoginAttempt::person(
        settings,
        name.parse().unwrap(),
        "a guess".to_owned().into(),
        &mut SystemEntropy,
        &mut flight,
    )
    .unwrap();
    // A busy site may have closed the connection.
    let _ = socket.write_all(&flight).await;
    socket
}

/// Waits for the reply to the first flight, which must not be an error, and does not authenticate.
async fn gets_reply(mut attempt: TcpStream) -> bool {
    let mut answer = [0; 2];
    attempt.read_exact(&mut answer).await.is_ok() && answer != [0, 1]
}

/// [SES-33]: silent connections, from more networks than the site has places, evicted the connection of every
/// person while the client computed the key stretching function.
#[tokio::test]
async fn slow_clients_of_many_networks_do_not_evict_a_login() {
    const PLACES: u8 = 8;
    let served = site()
        .maria()
        .limits(Limits {
            unauthenticated: PLACES.into(),
            unauthenticated_early_drop: PLACES.into(),
            ..Limits::default()
        })
        .serve()
        .await;
    let mut last = Vec::new();
    let flood = async {
        for network in 1..4 * PLACES {
            last.push(connect_from(&served, &format!("127.0.1.{network}")).await);
        }
        for slow in last.drain(..usize::from(2 * PLACES)) {
            assert_eq!(answer(slow).await, [0, 1, 4], "busy");
        }
    };
    let mut maria = Raw::person(&served, flood).await;
    maria.ask(1, "self", "show", &json!({}));
    maria.flush().await;
    assert_eq!(maria.results(1).await[0]["name"], "maria@example.org");
}

/// [SES-33]: a flood of incomplete logins from one source, and honest logins from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_source_does_not_stop_logins_from_another() {
    let served = std::sync::Arc::new(site().maria().serve().await);
    let mut flood = Vec::new();
    for _ in 0..8 {
        let served = served.clone();
        flood.push(tokio::spawn(async move {
            loop {
                let attempt = attempt(&served, "unknown", "127.0.0.9").await;
                let _ = timeout(Duration::from_millis(50), gets_reply(attempt)).await;
            }
        }));
    }
    for _ in 0..20 {
        timeout(SOON, served.robot()).await.unwrap();
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_client_that_does_not_authenticate_in_time_is_disconnected() {
    let served = site().serve().await;
    let socket = connect(&served).await;
    // The server accepts this connection before the next one.
    served.robot().await;
    time::pass(Limits::default().unauthenticated_timeout).await;
    assert_eq!(answer(socket).await, [0, 1, 6], "too slow");
}

#[tokio::test]
async fn the_connections_of_one_source_are_limited() {
    let limits = Limits {
        connections_per_source: 2,
        ..Limits::default()
    };
    let served = site().limits(limits).serve().await;
    let (first, second) = (served.robot().await, served.robot().await);
    assert_eq!(answer(connect(&served).await).await, [0, 1, 4], "busy");
    drop(first);
    let mut third = None;
    time::until(async || {
        third = served.try_robot().await.ok();
        third.is_some()
    })
    .await;
    for client in [second, third.unwrap()] {
        assert!(
            client
                .call::<_, Value>("self", "show", &json!({}))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn a_port_check_that_sends_nothing_is_not_abuse() {
    let limits = Limits {
        penalties: PenaltyLimits {
            threshold: 4,
            ..PenaltyLimits::default()
        },
        ..Limits::default()
    };
    let served = site().limits(limits).serve().await;
    for _ in 0..10 {
        drop(connect(&served).await);
    }
    served.robot().await;
}

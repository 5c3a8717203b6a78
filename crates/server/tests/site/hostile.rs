//! What strangers can do to a site: nothing.

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
use crate::raw::Raw;

/// Far longer than anything here takes.
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

/// What the server answers until it closes the connection.
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
        "noise leaves no trace in the audit log"
    );
}

#[tokio::test]
async fn a_source_that_misbehaves_has_to_wait_and_then_may_come_again() {
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
    assert!(served.try_robot().await.is_err(), "turned away");
    time::pass(Duration::from_millis(600)).await;
    served.robot().await;
}

#[tokio::test]
async fn an_admin_sees_penalties_and_forgets_them() {
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

/// Delays of an hour and more, so that what is not answered does not depend on how fast this machine is.
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

/// [SES-32]: a guesser slows itself, and the owner elsewhere logs in as ever.
#[tokio::test]
async fn guessing_slows_the_guesser_and_not_the_owner() {
    let served = site().maria().limits(slow_guesses()).serve().await;
    served.maria().await;
    // A name that does not exist is slowed just so.
    for name in ["maria", "nobody"] {
        for _ in 0..3 {
            let guess = guess(&served, name, "127.0.0.2").await;
            assert!(is_answered(guess).await);
        }
        for hours in [1, 2, 4] {
            let mut slowed = guess(&served, name, "127.0.0.2").await;
            // The owner comes later and does not wait.
            served.maria().await;
            for _ in 0..hours {
                time::settle().await;
                assert!(slowed.read(&mut [0]).now_or_never().is_none(), "{name}");
                time::pass(HOUR).await;
            }
            assert!(is_answered(slowed).await);
        }
    }
}

/// [SES-32]: a client that waits for an answer and goes away leaves nothing behind.
#[tokio::test]
async fn a_guesser_that_goes_away_is_not_waited_for() {
    let limits = Limits {
        unauthenticated_per_source: 1,
        ..slow_guesses()
    };
    let served = site().maria().limits(limits).serve().await;
    for _ in 0..3 {
        let guess = guess(&served, "maria", "127.0.0.2").await;
        assert!(is_answered(guess).await);
    }
    for number in 0..6 {
        drop(guess(&served, "maria", "127.0.0.2").await);
        // The one place of that source is free again: another name is answered.
        let mut tries = 0;
        time::until(async || {
            tries += 1;
            let other = format!("other-{number}-{tries}");
            is_answered(guess(&served, &other, "127.0.0.2").await).await
        })
        .await;
    }
    let status = served.admin("site.status", json!({})).await;
    assert_eq!(status["sessions"], 0);
    served.robot().await;
}

/// Sends a whole first flight of a person from that address.
async fn guess(served: &ServedSite, name: &str, from: &str) -> TcpStream {
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
    // A site that is busy may have closed.
    let _ = socket.write_all(&flight).await;
    socket
}

/// Waits for the answer to a guess, which is not an error; proves nothing.
async fn is_answered(mut guess: TcpStream) -> bool {
    let mut answer = [0; 2];
    guess.read_exact(&mut answer).await.is_ok() && answer != [0, 1]
}

/// Connections that say nothing, from more networks than the site has places, evicted each person's connection
/// while the client still stretched the pass phrase. [SES-33]
#[tokio::test]
async fn slow_clients_of_many_networks_do_not_evict_a_login_under_way() {
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
    let crowd = async {
        for network in 1..4 * PLACES {
            last.push(connect_from(&served, &format!("127.0.1.{network}")).await);
        }
        for slow in last.drain(..usize::from(2 * PLACES)) {
            assert_eq!(answer(slow).await, [0, 1, 4], "busy");
        }
    };
    let mut maria = Raw::person(&served, crowd).await;
    maria.ask(1, "self", "show", &json!({}));
    maria.flush().await;
    assert_eq!(maria.results(1).await[0]["name"], "maria@example.org");
}

/// [SES-33]: a flood of half logins from one source, and honest ones from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_source_does_not_stop_an_honest_one() {
    let served = std::sync::Arc::new(site().maria().serve().await);
    let mut flood = Vec::new();
    for _ in 0..8 {
        let served = served.clone();
        flood.push(tokio::spawn(async move {
            loop {
                let guess = guess(&served, "nobody", "127.0.0.9").await;
                let _ = timeout(Duration::from_millis(50), is_answered(guess)).await;
            }
        }));
    }
    for _ in 0..20 {
        timeout(SOON, served.robot()).await.unwrap();
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_proves_nothing_in_time_is_cut_off() {
    let served = site().serve().await;
    let socket = connect(&served).await;
    // Taken before the next one is.
    served.robot().await;
    time::pass(Limits::default().unauthenticated_timeout).await;
    assert_eq!(answer(socket).await, [0, 1, 6], "too slow");
}

#[tokio::test]
async fn one_source_gets_its_share_of_connections_and_no_more() {
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
async fn a_check_of_the_port_that_says_nothing_is_no_offence() {
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

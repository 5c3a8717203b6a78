//! The delays of replies after failed logins.

use super::*;

fn source(last: u8) -> Source {
    Source::V4([192, 0, 2, last].into())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Returns the delay of one attempt, which must be allowed.
fn wait(logins: &mut LoginThrottle, name: &str, source: Source, now: Timestamp) -> u64 {
    logins.attempt(name, source, now).unwrap()
}

#[test]
fn failed_logins_delay_their_own_source_and_name_only() {
    let mut logins = LoginThrottle::default();
    let mut now = at(0);
    let waits: Vec<u64> = (0..12)
        .map(|_| {
            let waits = wait(&mut logins, "maria@x", source(1), now);
            now = now.plus_millis(waits);
            waits
        })
        .collect();
    assert_eq!(
        waits,
        [
            0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000
        ]
    );
    assert_eq!(wait(&mut logins, "bob@x", source(1), now), 0);
    assert_eq!(wait(&mut logins, "maria@x", source(2), now), 0);
}

#[test]
fn many_connections_of_one_source_guess_no_faster_than_one() {
    let mut logins = LoginThrottle::default();
    let mut answered = Vec::new();
    for _ in 0..1_000 {
        answered.extend(logins.attempt("maria@x", source(1), at(0)));
    }
    // One after the other, until the last would wait longer than twice the maximum delay.
    assert_eq!(answered, [0, 0, 0, 250, 750, 1_750, 3_750, 7_750, 15_750]);
    // Refused attempts did not count: the next delay is that after nine failures.
    assert_eq!(wait(&mut logins, "maria@x", source(1), at(16)), 10_000);
}

#[test]
fn failures_of_unknown_sources_delay_unknown_sources_and_not_known_ones() {
    let mut logins = LoginThrottle::default();
    wait(&mut logins, "maria@x", source(1), at(0));
    logins.succeeded("maria@x", source(1), at(0));
    for unknown in 100..200 {
        let _ = logins.attempt("maria@x", source(unknown), at(1));
    }
    assert_eq!(wait(&mut logins, "maria@x", source(1), at(1)), 0);
    assert_eq!(wait(&mut logins, "maria@x", source(2), at(5)), 3_000);
}

/// An attacker who guesses from a known source delays the owner there but never locks the owner
/// out.
#[test]
fn a_known_source_is_always_answered_within_the_maximum_delay() {
    let mut logins = LoginThrottle::default();
    wait(&mut logins, "maria@x", source(1), at(0));
    logins.succeeded("maria@x", source(1), at(0));
    let waits: Vec<u64> = (0..1_000)
        .map(|_| wait(&mut logins, "maria@x", source(1), at(1)))
        .collect();
    assert_eq!(waits.iter().max(), Some(&10_000));
}

#[test]
fn an_attempt_that_ends_early_frees_its_place() {
    let mut logins = LoginThrottle::default();
    logins.set_limits(LoginThrottleLimits {
        max_waiting_networks: 32,
        ..LoginThrottleLimits::default()
    });
    for unknown in 0..24 {
        let _ = logins.attempt("maria@x", source(unknown), at(0));
    }
    wait(&mut logins, "maria@x", source(100), at(4));
    let again = logins.attempt("maria@x", source(100), at(4));
    assert_eq!(again, Err(TooManyAttempts));
    logins.left("maria@x", source(100));
    assert!(logins.attempt("maria@x", source(100), at(4)).is_ok());
}

/// At the limit and one over: a limited number of unknown sources wait, and others may wait
/// afterwards.
#[test]
fn the_number_of_unknown_sources_that_wait_for_a_name_is_limited() {
    let mut logins = LoginThrottle::default();
    logins.set_limits(LoginThrottleLimits {
        max_waiting_networks: 32,
        ..LoginThrottleLimits::default()
    });
    for unknown in 0..24 {
        let _ = logins.attempt("maria@x", source(unknown), at(0));
    }
    let answered = |logins: &mut LoginThrottle, now| {
        let waiting = (100..200).map(|last| logins.attempt("maria@x", source(last), now));
        waiting.filter(Result::is_ok).count()
    };
    assert_eq!(answered(&mut logins, at(4)), 32);
    assert_eq!(answered(&mut logins, at(4)), 0);
    assert_eq!(answered(&mut logins, at(8)), 32);
    assert_eq!(logins.attempt("bob@x", source(100), at(8)), Ok(0));
}

/// One network has one place, however many addresses it has, and another network finds room.
#[test]
fn one_network_cannot_keep_other_networks_out() {
    let mut logins = LoginThrottle::default();
    let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
    let mut answered = 0;
    for subnet in 0..10_000 {
        answered += u32::from(logins.attempt("maria@x", address(subnet), at(0)).is_ok());
    }
    assert_eq!(
        answered, 21,
        "the free ones, the first that waits, and no more"
    );
    assert!(logins.attempt("maria@x", source(1), at(0)).is_ok());
    assert!(logins.attempt("maria@x", address(1), at(4)).is_ok());
    assert!(logins.attempt("maria@x", address(2), at(4)).is_err());
}

#[test]
fn frequent_logins_of_a_known_source_do_not_delay_other_sources() {
    let mut logins = LoginThrottle::default();
    for _ in 0..100 {
        assert_eq!(wait(&mut logins, "maria@x", source(1), at(0)), 0);
        logins.succeeded("maria@x", source(1), at(0));
    }
    assert_eq!(wait(&mut logins, "maria@x", source(2), at(0)), 0);
}

/// Regression test. 15 minutes and a second after 21 failures from 7 unknown sources, a probe
/// was delayed if the owner had logged in meanwhile, and was not delayed otherwise.
#[test]
fn a_probe_cannot_tell_whether_the_owner_logged_in() {
    let probed = |owner_from: Option<u8>| {
        let mut logins = LoginThrottle::default();
        wait(&mut logins, "maria@x", source(1), at(0));
        logins.succeeded("maria@x", source(1), at(0));
        for guess in 0..21 {
            let _ = logins.attempt("maria@x", source(100 + guess % 7), at(1));
        }
        if let Some(from) = owner_from {
            wait(&mut logins, "maria@x", source(from), at(600));
            logins.succeeded("maria@x", source(from), at(600));
        }
        wait(&mut logins, "maria@x", source(200), at(902))
    };
    assert_eq!((probed(None), probed(Some(1))), (0, 0));

    // On a new device a successful login looks like a failed one.
    let after = |succeeds: bool| {
        let mut logins = LoginThrottle::default();
        for guess in 0..21 {
            let _ = logins.attempt("maria@x", source(100 + guess), at(0));
        }
        wait(&mut logins, "maria@x", source(2), at(10));
        if succeeds {
            logins.succeeded("maria@x", source(2), at(10));
        }
        wait(&mut logins, "maria@x", source(200), at(20))
    };
    assert_eq!(after(true), after(false));
}

/// The known sources of a deleted account do not make guesses for another account of its name
/// easier.
#[test]
fn a_new_account_of_a_deleted_ones_name_has_no_known_sources() {
    let mut logins = LoginThrottle::default();
    wait(&mut logins, "maria@x", source(1), at(0));
    logins.succeeded("maria@x", source(1), at(0));
    logins.forget("maria@x");
    for guess in 0..22 {
        let _ = logins.attempt("maria@x", source(100 + guess), at(1));
    }
    assert!(wait(&mut logins, "maria@x", source(1), at(5)) > 0);
}

#[test]
fn failures_are_forgotten_after_some_time_and_after_a_success() {
    let mut logins = LoginThrottle::default();
    for _ in 0..5 {
        wait(&mut logins, "maria@x", source(1), at(0));
        wait(&mut logins, "bob@x", source(1), at(0));
    }
    assert_eq!(wait(&mut logins, "maria@x", source(1), at(899)), 1_000);
    assert_eq!(wait(&mut logins, "bob@x", source(1), at(900)), 0);
    logins.succeeded("maria@x", source(1), at(900));
    assert_eq!(wait(&mut logins, "maria@x", source(1), at(900)), 0);
}

#[test]
fn memory_is_bounded_and_the_source_with_most_failures_is_kept() {
    let mut logins = LoginThrottle::default();
    logins.set_limits(LoginThrottleLimits {
        max_entries: 8,
        ..LoginThrottleLimits::default()
    });
    for _ in 0..6 {
        wait(&mut logins, "maria@x", source(1), at(0));
    }
    for index in 0..1_000 {
        let name = format!("unknown{index}@x");
        wait(&mut logins, &name, source(2), at(1));
        let friend = format!("friend{index}@x");
        wait(&mut logins, &friend, source(3), at(1));
        logins.succeeded(&friend, source(3), at(1));
    }
    assert!(logins.pairs.len() <= 8 && logins.names.len() <= 8 && logins.known.len() <= 8);
    assert_eq!(wait(&mut logins, "maria@x", source(1), at(5)), 2_000);
}

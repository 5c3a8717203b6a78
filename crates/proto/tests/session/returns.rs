//! Resumption of a session after a lost connection.

use countersign_proto::operation::Operation;
use countersign_proto::session::server::FromClient;
use countersign_proto::session::{
    EncryptionOption, LoginError, OptionList, SessionRefusal, WireError,
};
use serde_json::value::RawValue;

use crate::pair::{
    ALL, Failed, KEY_EVENTS, KEY_EVENTS_REQUEST, PASSPHRASE, Pair, Site, Who, log_in,
    log_in_through,
};

fn works(pair: &mut Pair) {
    let operation = Operation::new(1, "test", "echo", RawValue::NULL.to_owned());
    let (mut wire, mut got) = (Vec::new(), Vec::new());
    pair.client.session.send_operation(&operation).unwrap();
    pair.client.session.flush(&mut wire).unwrap();
    pair.server.receive(0, &mut wire, &mut got).unwrap();
    assert_eq!(got, [FromClient::Operation(operation)]);
}

fn site() -> Site {
    Site::with(OptionList::new(ALL), 65_536)
}

/// [SES-48] Repeatedly, with every option, for persons and services.
#[test]
fn a_client_resumes_in_one_round_trip() {
    for option in ALL {
        let site = site();
        let mut settings = site.client();
        settings.accepted = vec![option];
        settings.options = site.settings.options.clone();
        let mut pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
        for _ in 0..3 {
            let resumption = pair.client.resumption.clone();
            let mut flights = Vec::new();
            pair = log_in_through(
                &site,
                settings.clone(),
                Who::Return(&resumption),
                &mut |from_client, _| flights.push(from_client),
            )
            .unwrap();
            assert_eq!(flights, [true, false], "one flight each way");
            assert_eq!(pair.client.welcome.session, resumption.session());
            works(&mut pair);
        }
    }
}

/// [SES-48]
#[test]
fn a_person_resumes_without_the_pass_phrase_and_with_another_option() {
    let site = site();
    let mut settings = site.client();
    settings.accepted = vec![EncryptionOption::X25519Aes256Gcm];
    let pair = log_in(&site, settings.clone(), Who::Person("maria", PASSPHRASE)).unwrap();
    settings.accepted = vec![EncryptionOption::HybridAes256Gcm];
    let mut pair = log_in(&site, settings, Who::Return(&pair.client.resumption)).unwrap();
    assert_eq!(pair.server.option(), EncryptionOption::HybridAes256Gcm);
    works(&mut pair);
}

/// [SES-48] A recorded resumption is refused when it is replayed.
#[test]
fn a_replayed_resumption_is_refused() {
    let site = site();
    let mut settings = site.client();
    settings.options = site.settings.options.clone();
    let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    let resumption = pair.client.resumption;
    let mut recorded = Vec::new();
    log_in_through(
        &site,
        settings.clone(),
        Who::Return(&resumption),
        &mut |from_client, wire| {
            if from_client {
                recorded.clone_from(wire);
            }
        },
    )
    .unwrap();
    let again = log_in_through(
        &site,
        settings.clone(),
        Who::Return(&resumption),
        &mut |from_client, wire| {
            if from_client {
                wire.clone_from(&recorded);
            }
        },
    );
    assert_eq!(
        again.err(),
        Some(Failed::Server(SessionRefusal::NotAuthenticated))
    );
    // A used attempt number with the same secret is a replay too.
    let used = log_in(&site, settings, Who::Return(&resumption));
    assert_eq!(
        used.err(),
        Some(Failed::Server(SessionRefusal::NotAuthenticated))
    );
}

/// [SES-49] A change of any bit of RESUME gives the same refusal.
#[test]
fn a_changed_resumption_is_refused() {
    let site = site();
    let mut settings = site.client();
    settings.options = site.settings.options.clone();
    settings.accepted = vec![EncryptionOption::X25519Aes256Gcm];
    let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    let mut resumption = pair.client.resumption;
    // OPTION-CHOICE (13 bytes), KEY-EVENTS-REQUEST, MAX-PACKET (6), then RESUME's header and value.
    let value = 13 + KEY_EVENTS_REQUEST + 6 + 4;
    for byte in value..(value + 16 + 8 + 32 + 32) {
        let tampered = log_in_through(
            &site,
            settings.clone(),
            Who::Return(&resumption),
            &mut |from_client, wire| {
                if from_client {
                    wire[byte] ^= 1;
                }
            },
        );
        assert_eq!(
            tampered.err(),
            Some(Failed::Server(SessionRefusal::NotAuthenticated)),
            "byte {byte}"
        );
    }
    assert_eq!(
        SessionRefusal::NotAuthenticated.wire(),
        WireError::NotAuthenticated
    );
    // None of these used up an attempt.
    let mut pair = log_in(&site, settings.clone(), Who::Return(&resumption)).unwrap();
    works(&mut pair);
    resumption = pair.client.resumption;
    // Changes of the commands before it and of the response are detected too.
    for byte in [12, 18 + KEY_EVENTS_REQUEST] {
        let changed = log_in_through(
            &site,
            settings.clone(),
            Who::Return(&resumption),
            &mut |from_client, wire| {
                if from_client {
                    wire[byte] ^= 2;
                }
            },
        );
        assert!(changed.is_err(), "byte {byte}");
    }
}

/// [SES-49]
#[test]
fn a_changed_response_opens_no_session() {
    let site = site();
    let mut settings = site.client();
    settings.options = site.settings.options.clone();
    settings.accepted = vec![EncryptionOption::X25519Aes256Gcm];
    let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    let mut resumption = pair.client.resumption;
    // After KEY-EVENTS: MAX-PACKET (6 bytes), SESSION-KEY (36), SITE-PROOF (67).
    for byte in [5, 12, 40, 80].map(|byte| KEY_EVENTS + byte) {
        let changed = log_in_through(
            &site,
            settings.clone(),
            Who::Return(&resumption),
            &mut |from_client, wire| {
                if !from_client {
                    wire[byte] ^= 1;
                }
            },
        );
        assert_eq!(
            changed.err(),
            Some(Failed::Client(LoginError::WrongSite)),
            "byte {byte}"
        );
        // The site counted the attempt; the next one has a higher number.
        let again = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
        resumption = again.client.resumption;
    }
}

/// [SES-49]
#[test]
fn an_unknown_session_and_a_locked_account_are_refused_alike() {
    let mut site = site();
    let settings = site.client();
    let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    site.locked = true;
    let locked = log_in(
        &site,
        settings.clone(),
        Who::Return(&pair.client.resumption),
    );
    let unknown = log_in(
        &Site::with(OptionList::new(ALL), 65_536),
        settings,
        Who::Return(&pair.client.resumption),
    );
    for refused in [locked, unknown] {
        assert_eq!(
            refused.err(),
            Some(Failed::Server(SessionRefusal::NotAuthenticated))
        );
    }
}

/// [SES-64] Regression: an attacker who learned a resumption secret, for example from a copy of the
/// site's memory, could pose as the site, since a resumption did not use the site's key.
#[test]
fn an_attacker_with_the_resumption_secret_cannot_pose_as_the_site() {
    let site = site();
    let mut settings = site.client();
    settings.options = site.settings.options.clone();
    let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    let thief = Site::with_key([99; 32], OptionList::new(ALL), 65_536);
    thief.steal_the_secret_of(&site);
    let mut flights = 0;
    let failed = log_in_through(
        &thief,
        settings,
        Who::Return(&pair.client.resumption),
        &mut |from_client, _| flights += usize::from(from_client),
    );
    assert_eq!(failed.err(), Some(Failed::Client(LoginError::WrongSite)));
    assert_eq!(flights, 1, "no packet was sent to it");
}

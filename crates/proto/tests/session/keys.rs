//! New keys inside a session.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Operation;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::limits::{MIN_MAX_PACKET, REKEY_AFTER};
use countersign_proto::session::server::FromClient;
use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal};
use serde_json::value::RawValue;

use crate::pair::{ALL, EXPIRES, Pair, Site, Who, log_in};

const LATER: u64 = EXPIRES + 3_600_000;

fn session(option: EncryptionOption, max_packet: u32) -> Pair {
    let site = Site::with(OptionList::new(ALL), max_packet);
    let mut settings = site.client();
    settings.accepted = vec![option];
    log_in(&site, settings, Who::Service(&site.robot)).unwrap()
}

fn operation(id: u64) -> Operation {
    Operation::new(id, "test", "echo", RawValue::NULL.to_owned())
}

/// Transfers the client's queued data, answers offers, and returns the other messages.
fn to_server(pair: &mut Pair, offered: &OptionList) -> Result<Vec<FromClient>, SessionRefusal> {
    let (mut wire, mut got) = (Vec::new(), Vec::new());
    pair.client.session.flush(&mut wire)?;
    pair.server.receive(0, &mut wire, &mut got)?;
    let mut rest = Vec::new();
    for message in got {
        match message {
            FromClient::KeyOffer(offer) => {
                pair.server
                    .answer_keys(&offer, offered, LATER, &mut SystemEntropy)?;
            }
            other => rest.push(other),
        }
    }
    Ok(rest)
}

/// Transfers the server's queued data, answers offers, and returns the other messages.
fn to_client(pair: &mut Pair) -> Result<Vec<FromSite>, SessionRefusal> {
    let (mut wire, mut got) = (Vec::new(), Vec::new());
    pair.server.flush(&mut wire)?;
    pair.client.session.receive(&mut wire, &mut got)?;
    let mut rest = Vec::new();
    for message in got {
        match message {
            FromSite::KeyOffer(offer) => {
                pair.client
                    .session
                    .answer_keys(&offer, &mut SystemEntropy)?;
            }
            other => rest.push(other),
        }
    }
    Ok(rest)
}

/// Both ends can still exchange messages.
fn works(pair: &mut Pair) {
    for id in 1..=2 {
        pair.client.session.send_operation(&operation(id)).unwrap();
        let got = to_server(pair, &OptionList::new(ALL)).unwrap();
        assert_eq!(got, [FromClient::Operation(operation(id))]);
    }
}

/// [SES-44] and [SES-46]: for every option, also in the smallest packets.
#[test]
fn a_client_renews_the_keys_and_extends_the_session() {
    for option in ALL {
        for max_packet in [MIN_MAX_PACKET, 65_536] {
            let mut pair = session(option, max_packet);
            let client = &mut pair.client.session;
            assert_eq!(client.expires(), EXPIRES);
            assert!(client.offer_keys(option, &mut SystemEntropy).unwrap());
            assert!(
                !client.offer_keys(option, &mut SystemEntropy).unwrap(),
                "one exchange at a time"
            );
            client.send_operation(&operation(9)).unwrap();
            assert_eq!(
                to_server(&mut pair, &OptionList::new(ALL)).unwrap(),
                [FromClient::Operation(operation(9))],
                "operations do not wait for the keys"
            );
            assert_eq!(to_client(&mut pair).unwrap(), [FromSite::KeysRenewed(true)]);
            assert_eq!(
                (pair.client.session.expires(), pair.server.expires()),
                (LATER, LATER)
            );
            works(&mut pair);
        }
    }
}

/// [SES-44]
#[test]
fn a_server_renews_the_keys_too() {
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    assert!(pair.server.offer_keys(&mut SystemEntropy).unwrap());
    to_client(&mut pair).unwrap();
    let got = to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    assert_eq!(got, [FromClient::KeysRenewed(true)]);
    to_client(&mut pair).unwrap();
    assert_eq!(
        pair.server.expires(),
        EXPIRES,
        "time is the client's to ask for"
    );
    works(&mut pair);
}

/// [SES-45]
#[test]
fn when_both_ends_offer_at_once_the_clients_offer_wins() {
    let option = EncryptionOption::X25519Aes256Gcm;
    let mut pair = session(option, 65_536);
    pair.server.offer_keys(&mut SystemEntropy).unwrap();
    pair.client
        .session
        .offer_keys(option, &mut SystemEntropy)
        .unwrap();
    let mut to_the_client = Vec::new();
    pair.server.flush(&mut to_the_client).unwrap();
    let mut got = Vec::new();
    pair.client
        .session
        .receive(&mut to_the_client, &mut got)
        .unwrap();
    assert_eq!(got, [], "the server's offer is passed over");
    to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    assert_eq!(to_client(&mut pair).unwrap(), [FromSite::KeysRenewed(true)]);
    works(&mut pair);
}

/// [SES-47]
#[test]
fn a_session_switches_to_another_enabled_option() {
    let mut pair = session(EncryptionOption::X25519Aes128Gcm, 65_536);
    pair.client.session.ask_for_options().unwrap();
    assert_eq!(
        to_server(&mut pair, &OptionList::new(ALL)).unwrap(),
        [FromClient::OptionsRequest]
    );
    pair.server.send_options(&OptionList::default()).unwrap();
    assert_eq!(
        to_client(&mut pair).unwrap(),
        [FromSite::Options(OptionList::default())]
    );
    let better = EncryptionOption::HybridChaCha20Poly1305;
    pair.client
        .session
        .offer_keys(better, &mut SystemEntropy)
        .unwrap();
    to_server(&mut pair, &OptionList::default()).unwrap();
    to_client(&mut pair).unwrap();
    assert_eq!(
        (pair.client.session.option(), pair.server.option()),
        (better, better)
    );
    works(&mut pair);
}

/// [SES-47]
#[test]
fn an_offer_of_a_disabled_option_is_declined_and_the_keys_do_not_change() {
    let option = EncryptionOption::HybridAes256Gcm;
    let mut pair = session(option, 65_536);
    pair.client
        .session
        .offer_keys(EncryptionOption::X25519Aes128Gcm, &mut SystemEntropy)
        .unwrap();
    to_server(&mut pair, &OptionList::default()).unwrap();
    assert_eq!(
        to_client(&mut pair).unwrap(),
        [FromSite::KeysRenewed(false)]
    );
    assert_eq!(
        (pair.client.session.option(), pair.server.option()),
        (option, option)
    );
    assert_eq!(pair.server.expires(), EXPIRES, "nothing was renewed");
    works(&mut pair);
}

/// [SES-46] and [SES-29]: at the limit and one over.
#[test]
fn an_expired_session_cannot_be_renewed() {
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    let mut got = Vec::new();
    assert_eq!(pair.server.receive(EXPIRES - 1, &mut [], &mut got), Ok(0));
    assert_eq!(
        pair.server.receive(EXPIRES, &mut [], &mut got),
        Err(SessionRefusal::Expired)
    );
}

/// [SES-44] New keys are due before the cipher's limit, which is lowered here.
#[test]
fn new_keys_are_due_after_the_byte_limit() {
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    pair.client.session.set_rekey_after(100);
    pair.server.set_rekey_after(100);
    assert!(!pair.client.session.wants_rekey() && !pair.server.wants_rekey());
    works(&mut pair);
    works(&mut pair);
    assert!(pair.client.session.wants_rekey() && pair.server.wants_rekey());
    let option = pair.client.session.option();
    pair.client
        .session
        .offer_keys(option, &mut SystemEntropy)
        .unwrap();
    assert!(!pair.client.session.wants_rekey(), "it is being done");
    to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    to_client(&mut pair).unwrap();
    to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    assert!(!pair.client.session.wants_rekey() && !pair.server.wants_rekey());
}

/// [SES-44] At a lowered limit and one byte below it; the real limit is too high for a test.
#[test]
fn new_keys_are_due_exactly_at_the_limit() {
    const CONFIRMATION: u64 = 2;
    // MESSAGE-ID, GROUP, COMMAND, PARAMS, END.
    const OPERATION: u64 = 10 + (3 + 4) + (3 + 4) + (6 + 4) + 2;
    assert_eq!(REKEY_AFTER, 64 << 30);
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    works(&mut pair);
    let passed = CONFIRMATION + 2 * OPERATION;
    for (limit, wanted) in [(passed, true), (passed + 1, false), (REKEY_AFTER, false)] {
        pair.client.session.set_rekey_after(limit);
        pair.server.set_rekey_after(limit);
        let wants = (pair.client.session.wants_rekey(), pair.server.wants_rekey());
        assert_eq!(wants, (wanted, wanted), "{limit}");
    }
}

/// [SES-44] A packet under an old key fails to decrypt.
#[test]
fn packets_under_old_keys_are_rejected() {
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    let mut old = Vec::new();
    pair.client.session.send_operation(&operation(1)).unwrap();
    pair.client.session.flush(&mut old).unwrap();
    pair.server
        .receive(0, &mut old.clone(), &mut Vec::new())
        .unwrap();
    let option = pair.client.session.option();
    pair.client
        .session
        .offer_keys(option, &mut SystemEntropy)
        .unwrap();
    to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    to_client(&mut pair).unwrap();
    to_server(&mut pair, &OptionList::new(ALL)).unwrap();
    assert!(pair.server.receive(0, &mut old, &mut Vec::new()).is_err());
}

/// [SES-47] An end that declined gets no new offer at once.
#[test]
fn a_declined_offer_is_not_repeated_at_once() {
    let mut pair = session(EncryptionOption::HybridAes256Gcm, 65_536);
    pair.client.session.set_rekey_after(64_000);
    let send = |pair: &mut Pair| {
        pair.client.session.send_operation(&operation(1)).unwrap();
        to_server(pair, &OptionList::new([])).unwrap();
    };
    let mut sent = 0;
    while !pair.client.session.wants_rekey() {
        send(&mut pair);
        sent += 1;
    }
    let option = EncryptionOption::HybridAes256Gcm;
    pair.client
        .session
        .offer_keys(option, &mut SystemEntropy)
        .unwrap();
    to_server(&mut pair, &OptionList::new([])).unwrap();
    assert_eq!(
        to_client(&mut pair).unwrap(),
        [FromSite::KeysRenewed(false)]
    );
    let mut again = 0;
    while !pair.client.session.wants_rekey() {
        send(&mut pair);
        again += 1;
    }
    assert!(again > 1 && again < sent / 32, "{again} after {sent}");
}

//! The option `delivered-key`.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::operation::Operation;
use countersign_proto::session::client::ClientSettings;
use countersign_proto::session::server::{self, FromClient};
use countersign_proto::session::{EncryptionOption, LoginError, OptionList, SessionRefusal};
use serde_json::value::to_raw_value;

use crate::pair::{
    Failed, KEY_EVENTS_REQUEST, PASSPHRASE, Pair, Site, Who, log_in, log_in_through,
};

const OPTION: EncryptionOption = EncryptionOption::DeliveredKey;
/// OPTION-CHOICE, KEY-EVENTS-REQUEST, NONCE, CERTIFICATE-ID and MAX-PACKET.
const FLIGHT: usize = 13 + KEY_EVENTS_REQUEST + 35 + 35 + 6;

fn site(max_packet: u32) -> (Site, ClientSettings) {
    let site = Site::with(OptionList::new([OPTION]), max_packet);
    let mut settings = site.client();
    settings.accepted = vec![OPTION];
    settings.options = site.settings.options.clone();
    (site, settings)
}

fn works(pair: &mut Pair) {
    let long = to_raw_value(&"x".repeat(10_000)).unwrap();
    let operation = Operation::new(1, "test", "echo", long);
    let mut got = Vec::new();
    pair.client.session.send_operation(&operation).unwrap();
    while got.is_empty() {
        let mut wire = Vec::new();
        pair.client.session.flush(&mut wire).unwrap();
        assert!(!wire.is_empty());
        pair.server.receive(0, &mut wire, &mut got).unwrap();
    }
    assert_eq!(got, [FromClient::Operation(operation)]);
}

/// [SES-34]: the dialog of people, in packets of any size.
#[test]
fn a_person_gets_certificate_and_key_and_proves_the_session_code() {
    for max_packet in [256, 65_536] {
        let (site, settings) = site(max_packet);
        let mut flights = Vec::new();
        let mut pair = log_in_through(
            &site,
            settings,
            Who::Person("maria", PASSPHRASE),
            &mut |from_client, _| flights.push(from_client),
        )
        .unwrap();
        assert_eq!(flights, [true, false, true, false]);
        assert_eq!(pair.server.option(), OPTION);
        let identity = pair.client.identity.as_ref().unwrap();
        assert_eq!(identity.certificate(), site.maria_identity.certificate());
        let delivered = pair.client.delivered.as_ref().unwrap();
        assert_eq!(delivered.certificate(), identity.certificate());
        works(&mut pair);
    }
}

/// [SES-35] The dialog of services. The site has no private key of a service and delivers none.
#[test]
fn a_service_names_its_thumbprint_and_proves_the_session_code() {
    let (site, settings) = site(256);
    let mut pair = log_in(&site, settings, Who::Service(&site.robot)).unwrap();
    assert!(pair.client.delivered.is_none());
    works(&mut pair);
}

/// [SES-36] Every failure gives a response of the same length and the same result.
#[test]
fn wrong_pass_phrase_unknown_name_and_locked_account_are_indistinguishable() {
    let (mut site, settings) = site(65_536);
    let refused = |site: &Site, who| {
        let mut lengths = Vec::new();
        let failed = log_in_through(site, settings.clone(), who, &mut |_, wire| {
            lengths.push(wire.len());
        });
        (failed.err(), lengths)
    };
    let wrong = refused(&site, Who::Person("maria", "a guess"));
    assert_eq!(wrong.0, Some(Failed::Client(LoginError::NotAuthenticated)));
    assert_eq!(refused(&site, Who::Person("mario", PASSPHRASE)), wrong);
    let other_service = std::sync::Arc::new(Identity::from_seed(IdentitySeed(Secret::from_bytes(
        [9; 32],
    ))));
    let unknown = refused(&site, Who::Service(&other_service));
    assert_eq!(
        unknown.0,
        Some(Failed::Client(LoginError::NotAuthenticated))
    );
    site.locked = true;
    assert_eq!(refused(&site, Who::Person("maria", PASSPHRASE)), wrong);
    assert_eq!(refused(&site, Who::Service(&site.robot)), unknown);
}

/// [SES-38] Every change of the plaintext dialog is detected. The site's signature covers its
/// response and is verified before the pass phrase is used.
#[test]
fn a_changed_dialog_does_not_open_a_session() {
    let (site, settings) = site(65_536);
    let mut length = 0;
    log_in_through(
        &site,
        settings.clone(),
        Who::Service(&site.robot),
        &mut |from_client, wire| {
            if !from_client {
                length = length.max(wire.len());
            }
        },
    )
    .unwrap();
    for byte in 0..length {
        let changed = log_in_through(
            &site,
            settings.clone(),
            Who::Service(&site.robot),
            &mut |from_client, wire| {
                if !from_client && wire.len() == length {
                    wire[byte] ^= 1;
                }
            },
        );
        assert!(changed.is_err(), "byte {byte} of the answer");
    }
    for byte in 0..FLIGHT {
        let changed = log_in_through(
            &site,
            settings.clone(),
            Who::Service(&site.robot),
            &mut |from_client, wire| {
                if from_client && wire.len() == FLIGHT {
                    wire[byte] ^= 1;
                }
            },
        );
        assert!(changed.is_err(), "byte {byte} of the flight");
    }
}

/// [SES-38] A proof by a client that could not decrypt the session code.
#[test]
fn a_wrong_proof_of_the_session_code_is_refused() {
    let (site, settings) = site(65_536);
    let mut flights = 0;
    let refused = log_in_through(
        &site,
        settings,
        Who::Service(&site.robot),
        &mut |_, wire| {
            flights += 1;
            if flights == 3 {
                wire[10] ^= 1;
            }
        },
    );
    assert_eq!(
        refused.err(),
        Some(Failed::Server(SessionRefusal::NotAuthenticated))
    );
}

/// [SES-38] Regression: without a nonce in the flight, an attacker could replay the response and
/// the packets of a recorded login to the client, which then encrypted new packets under the old
/// keys.
#[test]
fn a_recorded_response_does_not_open_a_second_session() {
    let (site, settings) = site(65_536);
    for who in [Who::Service(&site.robot), Who::Person("maria", PASSPHRASE)] {
        let mut recorded = Vec::new();
        log_in_through(&site, settings.clone(), who, &mut |from_client, wire| {
            if !from_client {
                recorded.push(wire.clone());
            }
        })
        .unwrap();
        let mut recorded = recorded.into_iter();
        let mut said = 0;
        let replayed = log_in_through(&site, settings.clone(), who, &mut |from_client, wire| {
            if from_client {
                said += 1;
            } else {
                *wire = recorded.next().unwrap();
            }
        });
        let refused = Failed::Client(LoginError::WrongSite);
        assert_eq!(replayed.err(), Some(refused));
        assert_eq!(said, 1, "nothing that depends on a secret");
    }
}

/// [SES-6] The proof covers commands that an attacker inserts after the site's response.
/// Regression: the site computed the expected proof when it responded, and opened a session that no
/// client could use.
#[test]
fn an_insertion_before_the_proof_opens_no_session() {
    let (site, settings) = site(65_536);
    for put_in in [&[0x70, 0x00][..], &[0x20, 0x00, 0, 1, 0, 0]] {
        let mut flights = 0;
        let who = Who::Service(&site.robot);
        let refused = log_in_through(&site, settings.clone(), who, &mut |_, wire| {
            flights += 1;
            if flights == 3 {
                wire.splice(..0, put_in.iter().copied());
            }
        });
        assert_eq!(
            refused.err(),
            Some(Failed::Server(SessionRefusal::NotAuthenticated))
        );
    }
}

/// Its sessions renew their keys and are resumed like others.
#[test]
fn its_sessions_renew_keys_and_can_be_resumed() {
    let (site, settings) = site(65_536);
    let mut pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
    let client = &mut pair.client.session;
    assert!(client.offer_keys(OPTION, &mut SystemEntropy).unwrap());
    let (mut wire, mut got) = (Vec::new(), Vec::new());
    client.flush(&mut wire).unwrap();
    pair.server.receive(0, &mut wire, &mut got).unwrap();
    let Some(FromClient::KeyOffer(offer)) = got.pop() else {
        panic!("an offer")
    };
    let options = OptionList::new([OPTION]);
    let answered = pair
        .server
        .answer_keys(&offer, &options, 2_000_000_000_000, &mut SystemEntropy);
    assert!(answered.unwrap());
    let mut wire = Vec::new();
    pair.server.flush(&mut wire).unwrap();
    pair.client
        .session
        .receive(&mut wire, &mut Vec::new())
        .unwrap();
    works(&mut pair);
    let mut returned = log_in(&site, settings, Who::Return(&pair.client.resumption)).unwrap();
    works(&mut returned);
}

/// [SES-7] The rest of a flight with a stale choice is ignored.
#[test]
fn a_service_that_knows_an_older_list_is_corrected_within_the_connection() {
    let (site, mut settings) = site(256);
    settings.options = OptionList::new([EncryptionOption::HybridAes256Gcm, OPTION]);
    let mut out = Vec::new();
    let who = Who::Service(&site.robot);
    who.start(settings.clone(), &mut out).unwrap();
    let login = server::ServerLoginAttempt::new(site.settings.clone());
    let Ok((server::ServerStep::NeedMore(login), _)) = login.receive(&mut out, &mut Vec::new())
    else {
        panic!("the list, and the next flight")
    };
    assert_eq!(login.invalid_commands(), 0);
    works(&mut log_in(&site, settings, who).unwrap());
}

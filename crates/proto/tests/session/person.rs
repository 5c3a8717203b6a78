//! A person's login.

use countersign_crypto::identity::Identity;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::{LoginError, OptionList, WireError};

use crate::pair::{ALL, Failed, KEY_EVENTS, PASSPHRASE, Site, Who, log_in, log_in_through};

const MARIA: Who<'static> = Who::Person("maria", PASSPHRASE);

/// [SES-12] The pass phrase decrypts the identity.
#[test]
fn a_person_logs_in_under_every_option_and_recovers_their_identity() {
    for option in ALL {
        let site = Site::with(OptionList::new([option]), 65_536);
        let mut settings = site.client();
        settings.accepted = vec![option];
        let pair = log_in(&site, settings, MARIA).unwrap();
        let identity: &Identity = pair.client.identity.as_deref().unwrap();
        assert_eq!(identity.certificate(), site.maria_identity.certificate());
        assert_eq!(pair.client.welcome.account, "maria@example.org");
    }
}

/// [SES-13] and [SES-14]
#[test]
fn wrong_pass_phrase_unknown_name_and_locked_account_are_refused_alike() {
    let mut site = Site::new();
    let refused = |site: &Site, who| {
        let mut answers = Vec::new();
        let failed = log_in_through(site, site.client(), who, &mut |from_client, bytes| {
            if !from_client {
                answers.push(bytes.len());
            }
        });
        (failed.err(), answers)
    };
    let wrong = refused(&site, Who::Person("maria", "incorrect horse"));
    assert_eq!(wrong.0, Some(Failed::Client(LoginError::NotAuthenticated)));
    assert_eq!(refused(&site, Who::Person("unknown", PASSPHRASE)), wrong);
    site.locked = true;
    assert_eq!(refused(&site, MARIA), wrong);
}

/// [SES-13]
#[test]
fn the_decoy_certificate_of_a_name_is_constant() {
    let site = Site::new();
    let answer = || {
        let mut first = Vec::new();
        let who = Who::Person("unknown", PASSPHRASE);
        let _ = log_in_through(&site, site.client(), who, &mut |from_client, bytes| {
            if !from_client && first.is_empty() {
                first = bytes.clone();
            }
        });
        // CERTIFICATE comes first: command, length, 768 bytes.
        first[..4 + 768].to_vec()
    };
    assert_eq!(answer(), answer());
}

/// [SES-12] CERTIFICATE is the sealed identity, padded to 768 bytes. An eavesdropper sees neither
/// the key nor the certificate in it.
#[test]
fn certificate_is_the_sealed_identity_and_reveals_neither_key_nor_certificate() {
    let site = Site::new();
    let mut received = Vec::new();
    log_in_through(&site, site.client(), MARIA, &mut |from_client, bytes| {
        if !from_client {
            received.extend_from_slice(bytes);
        }
    })
    .unwrap();
    let certificate = &received[KEY_EVENTS..];
    assert_eq!(certificate[..4], [0x90, 0x01, 0x03, 0x00], "768 bytes");
    assert_eq!(certificate[4..4 + 768], site.sealed_identity);
    let maria = &site.maria_identity;
    let (seed, certificate) = (maria.seed(), maria.certificate());
    for secret in [&seed.0.expose()[..], certificate.der()] {
        for part in secret.chunks_exact(16) {
            assert!(!received.windows(16).any(|window| window == part));
        }
    }
}

/// [SES-11]
#[test]
fn a_site_with_another_key_gets_no_proof() {
    let site = Site::new();
    let mut settings = site.client();
    settings.site = SiteKey::from_seed(SiteSeed(Secret::from_bytes([99; 32]))).public();
    let mut flights = 0;
    let failed = log_in_through(&site, settings, MARIA, &mut |from_client, _| {
        flights += usize::from(from_client);
    });
    assert_eq!(failed.err(), Some(Failed::Client(LoginError::WrongSite)));
    assert_eq!(
        flights, 1,
        "nothing was sent after the site failed to prove its key"
    );
}

/// [SES-7] and [SES-8]
#[test]
fn a_stale_option_list_is_corrected_within_the_connection() {
    let reversed = OptionList::new(OptionList::default().ranked().iter().rev().copied());
    let site = Site::with(reversed.clone(), 65_536);
    let mut flights = 0;
    log_in_through(&site, site.client(), MARIA, &mut |from_client, _| {
        flights += usize::from(from_client);
    })
    .unwrap();
    assert_eq!(flights, 3, "the stale flight, the corrected one, the proof");
}

/// [SES-8]
#[test]
fn a_client_rejects_options_that_it_does_not_accept() {
    let site = Site::with(OptionList::new([ALL[2]]), 65_536);
    let failed = log_in(&site, site.client(), MARIA).err();
    assert_eq!(
        failed,
        Some(Failed::Client(LoginError::NoCommonOption(
            "x25519-aes256gcm".to_owned()
        )))
    );
}

/// [SES-6]
#[test]
fn every_changed_byte_of_a_flight_ends_the_login() {
    let site = Site::new();
    let mut lengths = Vec::new();
    log_in_through(&site, site.client(), MARIA, &mut |_, bytes| {
        lengths.push(bytes.len());
    })
    .unwrap();
    // The client's flight is sampled, the short ends of it whole; each attempt that gets past the
    // site's proof costs a run of the KSF.
    for (flight, length) in lengths.iter().enumerate().take(3) {
        let step = if flight == 1 { 61 } else { 97 };
        for at in (0..*length).step_by(step) {
            let mut flights = 0;
            let result = log_in_through(&site, site.client(), MARIA, &mut |_, bytes| {
                if flights == flight {
                    bytes[at] ^= 0x10;
                }
                flights += 1;
            });
            assert!(result.is_err(), "flight {flight}, byte {at}");
        }
    }
}

/// [SES-21] A server that rejects a login for lack of time has no keys to encrypt its ERROR, so the
/// ERROR is unauthenticated.
#[test]
fn a_plaintext_error_ends_a_login_that_waits_for_its_welcome() {
    let site = Site::new();
    for (told, error) in [
        (WireError::Busy, LoginError::Busy),
        (WireError::TooSlow, LoginError::Ended(WireError::TooSlow)),
        (WireError::NotAuthenticated, LoginError::NotAuthenticated),
    ] {
        for who in [Who::Person("maria", PASSPHRASE), Who::Service(&site.robot)] {
            let mut answers = 0;
            let told = log_in_through(&site, site.client(), who, &mut |from_client, wire| {
                answers += usize::from(!from_client);
                if !from_client && answers == 2 {
                    *wire = told.to_wire().to_vec();
                }
            });
            assert_eq!(told.err(), Some(Failed::Client(error.clone())));
        }
    }
}

//! A service's login.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::limits::UNAUTHENTICATED_BYTES;
use countersign_proto::session::{LoginError, OptionList, SessionRefusal, server};

use crate::pair::{ALL, Advanced, Failed, Site, Who, log_in, log_in_through};

#[test]
fn a_service_logs_in_under_every_option() {
    for option in ALL {
        let site = Site::with(OptionList::new([option]), 65_536);
        let mut settings = site.client();
        settings.accepted = vec![option];
        // The second login takes the static-static secret from both caches.
        for _ in 0..2 {
            let pair = log_in(&site, settings.clone(), Who::Service(&site.robot)).unwrap();
            assert!(pair.client.identity.is_none());
        }
        assert_eq!(
            (site.settings.static_keys.len(), settings.static_keys.len()),
            (1, 1)
        );
    }
}

/// [SES-16]
#[test]
fn unknown_and_locked_services_get_the_same_refusal_inside_the_session() {
    let mut site = Site::new();
    let other_service = Arc::new(Identity::generate(&mut SystemEntropy));
    let refused = |site: &Site, who| {
        let mut answers = Vec::new();
        let failed = log_in_through(site, site.client(), who, &mut |from_client, bytes| {
            if !from_client {
                answers.push(bytes.len());
            }
        });
        (failed.err(), answers)
    };
    let unknown = refused(&site, Who::Service(&other_service));
    assert_eq!(
        unknown.0,
        Some(Failed::Client(LoginError::NotAuthenticated))
    );
    site.locked = true;
    assert_eq!(refused(&site, Who::Service(&site.robot)), unknown);
}

/// [SES-18]
#[test]
fn a_server_with_another_key_learns_nothing_and_the_client_reports_it() {
    let site = Site::new();
    let mut settings = site.client();
    settings.site = SiteKey::from_seed(SiteSeed(Secret::from_bytes([99; 32]))).public();
    let failed = log_in(&site, settings, Who::Service(&site.robot)).err();
    assert_eq!(failed, Some(Failed::Client(LoginError::WrongSite)));
    let mut settings = site.client();
    settings.site = SiteKey::from_seed(SiteSeed(Secret::from_bytes([99; 32]))).public();
    let mut out = Vec::new();
    let login = Who::Service(&site.robot).start(settings, &mut out).unwrap();
    let told = &mut SessionRefusal::OtherSite.wire().to_wire();
    let error = login
        .receive(told, &mut SystemEntropy, &mut out)
        .map(|_| ())
        .err();
    assert_eq!(error, Some(LoginError::WrongSite));
}

/// [SES-17]
#[test]
fn a_replayed_first_message_opens_no_session() {
    let site = Site::new();
    let mut flight = Vec::new();
    log_in_through(
        &site,
        site.client(),
        Who::Service(&site.robot),
        &mut |from_client, bytes| {
            if from_client && flight.is_empty() {
                flight = bytes.clone();
            }
        },
    )
    .unwrap();
    let mut out = Vec::new();
    let login = server::ServerLoginAttempt::new(site.settings.clone());
    let advanced = site.advance(login, &mut flight, &mut out).unwrap();
    let Advanced::NeedMore(login) = advanced else {
        panic!("it waits for the confirmation")
    };
    // The attacker has no keys for any further packet.
    let mut forged = [&[0xa0, 0x03, 0, 0, 0, 22, 0, 0, 0, 2][..], &[0; 18]].concat();
    assert_eq!(
        site.advance(login, &mut forged, &mut out).map(|_| ()).err(),
        Some(SessionRefusal::BadPacket(
            "forged, repeated or out of order"
        ))
    );
}

/// [SES-6]
#[test]
fn every_changed_byte_of_a_flight_ends_the_login() {
    let site = Site::new();
    let who = Who::Service(&site.robot);
    let mut lengths = Vec::new();
    log_in_through(&site, site.client(), who, &mut |_, bytes| {
        lengths.push(bytes.len());
    })
    .unwrap();
    for (flight, length) in lengths.iter().enumerate() {
        for at in 0..*length {
            let mut flights = 0;
            let result = log_in_through(&site, site.client(), who, &mut |_, bytes| {
                if flights == flight {
                    bytes[at] ^= 0x10;
                }
                flights += 1;
            });
            assert!(result.is_err(), "flight {flight}, byte {at}");
        }
    }
}

/// [SES-3] The server does not buffer a packet for an unauthenticated handshake.
#[test]
fn an_unauthenticated_client_is_not_read_beyond_the_limit_even_for_a_packet() {
    let site = Site::new();
    let other_service = Arc::new(Identity::generate(&mut SystemEntropy));
    let ended = |over: usize| {
        let mut sent = 0;
        let failed = log_in_through(
            &site,
            site.client(),
            Who::Service(&other_service),
            &mut |from_client, bytes| {
                if from_client && sent > 0 {
                    // The beginning of a packet of 60,000 bytes.
                    *bytes = vec![0xa0, 0x03, 0, 0, 0xea, 0x60];
                    bytes.resize(UNAUTHENTICATED_BYTES - sent + over, 0);
                }
                if from_client {
                    sent += bytes.len();
                }
            },
        );
        failed.err()
    };
    let refused = Some(Failed::Server(SessionRefusal::TooManyUnauthenticated));
    assert_ne!(ended(0), refused);
    assert_eq!(ended(1), refused);
}

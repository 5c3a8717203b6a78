//! Key events before authentication: clients that slept while the site replaced its key.

use countersign_proto::risp::{Value, put};
use countersign_proto::session::client::{ClientSettings, read_key_events, request_key_events};
use countersign_proto::session::{
    EncryptionOption, LoginError, OptionList, SessionRefusal, command as c, server,
};
use countersign_proto::site_identity::{
    KeyEventLog, KeyEventWalk, KeyEventsError, KnownSite, WalkStep,
};

use crate::pair::{Failed, PASSPHRASE, Site, Who, log_in, log_in_through, rotated};

fn known(times: u8) -> KnownSite {
    KnownSite::whole(&rotated(times).1).unwrap()
}

fn settings(times: u8) -> ClientSettings {
    ClientSettings {
        known: Some(known(times)),
        ..Site::new().client()
    }
}

const MARIA: Who<'_> = Who::Person("maria", PASSPHRASE);

// SES-80, SES-81
#[test]
fn a_client_learns_the_site_id_in_its_first_login() {
    let site = Site::new();
    for who in [MARIA, Who::Service(&site.robot.clone())] {
        let pair = log_in(&site, site.client(), who).unwrap();
        assert_eq!(pair.client.site, known(0));
    }
}

// SES-80: the key in its URI, and the key that it knows, were replaced; OPAQUE is bound to the
// site id.
#[test]
fn a_person_who_slept_three_rotations_logs_in_over_the_same_connection() {
    let site = Site::new().rotated(3);
    for settings in [Site::new().client(), settings(0), settings(2), settings(3)] {
        let pair = log_in(&site, settings, MARIA).unwrap();
        assert_eq!(pair.client.site, known(3));
    }
}

// SES-84
#[test]
fn a_service_that_slept_three_rotations_follows_them_and_connects_again() {
    let site = Site::new().rotated(3);
    let robot = Who::Service(&site.robot);
    for slept in [Site::new().client(), settings(0), settings(2)] {
        let Err(Failed::Reconnect(step)) = log_in(&site, slept, robot) else {
            panic!("it used a key that the site does not have any more")
        };
        let WalkStep::Done(known) = *step else {
            panic!("the answer has room for three events")
        };
        let pair = log_in(
            &site,
            ClientSettings {
                known: Some(known),
                ..Site::new().client()
            },
            robot,
        );
        assert_eq!(pair.unwrap().client.site, self::known(3));
    }
}

// SES-80
#[test]
fn a_delivered_key_and_a_session_outlive_a_rotation() {
    let option = EncryptionOption::DeliveredKey;
    let site = Site::with(OptionList::new(vec![option]), 65_536).rotated(2);
    let mut client = settings(0);
    (client.options, client.accepted) = (OptionList::new(vec![option]), vec![option]);
    for who in [MARIA, Who::Service(&site.robot)] {
        let pair = log_in(&site, client.clone(), who).unwrap();
        assert_eq!(pair.client.site, known(2));
    }

    let before = Site::new();
    let pair = log_in(&before, before.client(), MARIA).unwrap();
    let resumed = before.rotated(1);
    let slept = settings(0);
    let pair = log_in(&resumed, slept, Who::Return(&pair.client.resumption)).unwrap();
    assert_eq!(pair.client.site, known(1));
}

// SES-81
#[test]
fn a_site_without_the_pinned_key_is_refused_before_anything_is_proved() {
    let site = Site::new();
    let other = Site::with_key([99; 32], OptionList::default(), 65_536);
    let refused = Some(Failed::Client(LoginError::WrongSite));
    for who in [MARIA, Who::Service(&site.robot)] {
        let mut sent = 0;
        let mut count = |by_client: bool, _: &mut Vec<u8>| sent += usize::from(by_client);
        let result = log_in_through(&other, site.client(), who, &mut count);
        assert_eq!(result.err(), refused);
        assert_eq!(sent, 1, "only the first flight");
    }
}

// SES-82
#[test]
fn a_fork_of_the_key_events_is_refused_with_an_error_of_its_own() {
    // A thief of two consecutive keys made another event 1.
    let (thief, _) = rotated(1);
    let (_, events) = rotated(0);
    let (old, _) = rotated(0);
    let other = rotated(7).0.public();
    let fork = events[0].replaced_by(&old, &thief, &other, 3_000, None);
    let site = Site::new().rotated(1);
    let forked = KeyEventLog::new(&[events[0], fork]).unwrap();
    let mut forge = |by_client: bool, bytes: &mut Vec<u8>| {
        if !by_client {
            let mut forged = Vec::new();
            put(&mut forged, c::KEY_EVENTS, Value::Bytes(&forked.page(2, 4))).unwrap();
            *bytes = forged;
        }
    };
    let fork = LoginError::KeyEvents(KeyEventsError::Fork { number: 1 });
    for who in [MARIA, Who::Service(&site.robot)] {
        let refused = log_in_through(&site, settings(1), who, &mut forge);
        assert_eq!(refused.err(), Some(Failed::Client(fork.clone())));
    }
}

// SES-80
#[test]
fn key_events_that_an_attacker_changes_or_drops_end_the_login() {
    let site = Site::new().rotated(1);
    let length = 4 + site.settings.key_events.page(1, 4).len();
    for at in (0..length).step_by(7) {
        let mut change = |by_client: bool, bytes: &mut Vec<u8>| {
            if !by_client {
                bytes[at] ^= 1;
            }
        };
        let result = log_in_through(&site, settings(0), MARIA, &mut change);
        assert!(result.is_err(), "byte {at}");
    }
    let mut drop = |by_client: bool, bytes: &mut Vec<u8>| {
        if !by_client {
            bytes.drain(..length);
        }
    };
    let dropped = log_in_through(&site, settings(0), MARIA, &mut drop);
    let missing = LoginError::Protocol("an answer without KEY-EVENTS");
    assert_eq!(dropped.err(), Some(Failed::Client(missing)));
}

// SES-83, SES-3
#[test]
fn a_walk_that_is_too_long_for_an_answer_goes_page_by_page() {
    let site = Site::new().rotated(20);
    let Err(Failed::Reconnect(step)) = log_in(&site, settings(0), MARIA) else {
        panic!("the answer has room for four events")
    };
    let WalkStep::More(mut walk) = *step else {
        panic!("there are more events")
    };
    assert_eq!(walk.wanted(), 5);
    let mut pages = 0;
    let known = loop {
        pages += 1;
        let mut out = Vec::new();
        let login = server::ServerLoginAttempt::new(site.settings.clone());
        let mut request = request_key_events(walk.wanted()).unwrap();
        let (step, used) = login.receive(&mut request, &mut out).unwrap();
        let server::ServerStep::NeedMore(login) = step else {
            panic!("a page is no login")
        };
        assert!(login.only_key_events());
        assert_eq!(used, request.len());
        assert!(out.len() <= 4_096);
        // A second page has to be requested over another connection.
        let again = login.receive(&mut request_key_events(0).unwrap(), &mut out);
        assert_eq!(again.err(), Some(SessionRefusal::TooManyUnauthenticated));
        let page = read_key_events(&out).unwrap().unwrap();
        match walk.receive(page).unwrap() {
            WalkStep::More(more) => walk = more,
            WalkStep::Done(known) => break known,
        }
    };
    assert_eq!((known, pages), (self::known(20), 2));
}

// SES-83
#[test]
fn a_page_that_has_not_arrived_completely_is_waited_for() {
    let log = Site::new().rotated(2).settings.key_events.page(0, 14);
    let mut wire = Vec::new();
    put(&mut wire, c::KEY_EVENTS, Value::Bytes(&log)).unwrap();
    for length in 0..wire.len() {
        assert_eq!(read_key_events(&wire[..length]), Ok(None));
    }
    let page = read_key_events(&wire).unwrap().unwrap();
    let walk = KeyEventWalk::from_known(known(0));
    assert!(walk.receive(page).is_err(), "it begins with event 0");
    assert_eq!(read_key_events(&[0, 1, 3]), Err(LoginError::Sealed));
}

//! Walks along honest and hostile key events.

use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use proptest::prelude::*;

use super::*;

fn key(byte: u16) -> SiteKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&byte.to_be_bytes());
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(seed)))
}

/// The first events of a site whose keys are 1, 2, 3 and so on.
fn events(count: u16) -> Vec<SignedKeyEvent> {
    let mut events = vec![SignedKeyEvent::first(&key(1), &key(2).public(), 0)];
    for number in 2..=count {
        let (next, time) = (key(number + 1).public(), i64::from(number));
        let last = events[events.len() - 1];
        events.push(last.replaced_by(&key(number - 1), &key(number), &next, time, None));
    }
    events
}

fn log(count: u16) -> KeyEventLog {
    KeyEventLog::new(&events(count)).unwrap()
}

fn known(count: u16) -> KnownSite {
    KnownSite::whole(&events(count)).unwrap()
}

/// Follows the pages of a log to the end. Returns what is known then, and the number of pages.
fn walked(
    mut walk: KeyEventWalk,
    log: &KeyEventLog,
    most: usize,
) -> Result<(KnownSite, usize), KeyEventsError> {
    for pages in 1.. {
        let page = log.page(walk.wanted(), most);
        assert!(page.len() <= MAX_PAGE);
        match walk.receive(&page)? {
            WalkStep::More(more) => walk = more,
            WalkStep::Done(known) => return Ok((known, pages)),
        }
    }
    unreachable!()
}

// SES-83
#[test]
fn a_walk_reaches_the_newest_event_in_pages() {
    let (log, pin) = (log(31), key(5).public().signing);
    for (most, pages) in [(14, 3), (10, 4), (4, 8)] {
        let first = walked(KeyEventWalk::first_contact(pin), &log, most);
        assert_eq!(first, Ok((known(31), pages)));
    }
    let slept = KeyEventWalk::from_known(known(28));
    assert_eq!(walked(slept, &log, 4), Ok((known(31), 1)));
    let awake = KeyEventWalk::from_known(known(31));
    assert_eq!(walked(awake, &log, 4), Ok((known(31), 1)));
    assert_eq!(log.page(31, 14).len(), 40, "no event is sent twice");
}

// SES-81
#[test]
fn a_walk_without_the_pinned_key_is_refused_at_its_end() {
    let other = KeyEventWalk::first_contact(key(900).public().signing);
    let refused = walked(other, &log(20), 14);
    assert_eq!(refused, Err(KeyEventsError::UnknownPin));
}

// SES-82
#[test]
fn a_site_that_contradicts_a_known_event_is_refused() {
    let fork = events(1)[0].replaced_by(&key(1), &key(2), &key(99).public(), 2, None);
    let forked = KeyEventLog::new(&[events(1)[0], fork]).unwrap();
    let refused = KeyEventsError::Fork { number: 1 };
    let awake = KeyEventWalk::from_known(known(2));
    assert_eq!(walked(awake, &forked, 4), Err(refused));
    let behind = KeyEventsError::Behind {
        known: 2,
        newest: 1,
    };
    let ahead = KeyEventWalk::from_known(known(3));
    assert_eq!(walked(ahead, &forked, 4), Err(behind));
}

// SES-82
#[test]
fn the_event_of_a_thief_of_the_current_key_ends_the_walk() {
    let last = events(3)[2];
    let stolen = last.replaced_by(&key(3), &key(66), &key(67).public(), 9, None);
    let mut events = events(3);
    events.push(stolen);
    let log = KeyEventLog::new(&events).unwrap();
    let fork = KeyEventsError::Fork { number: 3 };
    for walk in [
        KeyEventWalk::from_known(known(1)),
        KeyEventWalk::first_contact(key(1).public().signing),
    ] {
        assert_eq!(walked(walk, &log, 14), Err(fork));
    }
}

// SES-83
#[test]
fn a_page_without_the_wanted_event_is_a_gap() {
    let log = log(6);
    let walk = KeyEventWalk::from_known(known(2));
    let gap = Err(KeyEventsError::Gap { expected: 2 });
    for page in [log.page(3, 4), log.page(1, 4), log.page(2, 0)] {
        assert_eq!(walk.receive(&page), gap);
    }
    let nothing = KeyEventWalk::first_contact(key(1).public().signing);
    let gap = Err(KeyEventsError::Gap { expected: 0 });
    assert_eq!(nothing.receive(&log.page(0, 0)), gap);
}

// SES-83
#[test]
fn a_page_cut_at_any_byte_is_refused_or_ends_between_events() {
    let page = log(4).page(0, 4);
    let walk = KeyEventWalk::first_contact(key(1).public().signing);
    for length in 0..page.len() {
        let result = walk.receive(&page[..length]);
        let whole = length > 40 && (length - 40) % SignedKeyEvent::LENGTH == 0;
        match whole {
            true => assert!(matches!(result, Ok(WalkStep::More(_))), "{length}"),
            false => assert!(result.is_err(), "{length}"),
        }
    }
}

// SES-83
#[test]
fn a_site_with_more_events_than_the_limit_is_refused() {
    let walk = KeyEventWalk::from_known(known(1));
    let mut page = log(2).page(1, 4);
    page[..8].copy_from_slice(&(MAX_KEY_EVENTS as u64).to_be_bytes());
    assert_eq!(walk.receive(&page), Err(KeyEventsError::TooMany));
    page[..8].copy_from_slice(&(MAX_KEY_EVENTS as u64 - 1).to_be_bytes());
    assert!(matches!(walk.receive(&page), Ok(WalkStep::More(_))));
    let long = [log(15).page(0, 15)].concat();
    let first = KeyEventWalk::first_contact(key(1).public().signing);
    assert_eq!(first.receive(&long), Err(KeyEventsError::Malformed));
}

proptest! {
    #[test]
    fn a_changed_page_never_leads_to_another_site(at in 0_usize..1_164, bit in 0_u8..8) {
        let mut page = log(4).page(0, 4);
        page[at] ^= 1 << bit;
        let walk = KeyEventWalk::first_contact(key(2).public().signing);
        match walk.receive(&page) {
            Ok(WalkStep::Done(reached)) => prop_assert_eq!(reached, known(4)),
            // Only the number of the newest event was changed: the walk goes on.
            Ok(WalkStep::More(_)) => prop_assert!(at < 8),
            Err(_) => {}
        }
    }
}

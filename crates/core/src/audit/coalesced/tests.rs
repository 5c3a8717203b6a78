use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_772_366_400_000 + seconds * 1_000)
}

fn robot(operation: &str) -> Occurrence {
    let caller = Caller {
        name: "robot@example.org".to_owned(),
        ..Caller::site()
    };
    Occurrence::of_caller(&caller, operation, AuditOutcome::NotPermitted)
}

fn source(number: u32) -> Occurrence {
    let source = Source::V4(number.into());
    Occurrence::of_source(
        source,
        Channel::Session,
        "session.login",
        AuditOutcome::Failed,
    )
}

/// Returns how many events the entries stand for.
fn events(entries: &[Counted]) -> u64 {
    entries.iter().map(|entry| entry.counter.unwritten).sum()
}

#[test]
fn the_first_event_is_written_at_once_and_later_ones_as_one_entry_with_a_count() {
    let mut coalesced = Coalesced::default();
    assert!(coalesced.record(robot("person.delete").with("reason", "a"), at(0)));
    let first = coalesced.take(at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].draft().details, r#"{"reason":"a"}"#);
    for _ in 0..9 {
        assert!(!coalesced.record(robot("person.delete").with("reason", "b"), at(30)));
    }
    assert!(coalesced.take(at(59)).is_empty());
    let rest = coalesced.take(at(60));
    assert_eq!(rest.len(), 1);
    let draft = rest[0].draft();
    assert_eq!(draft.time, at(30));
    let details: Value = serde_json::from_str(&draft.details).unwrap();
    assert_eq!(
        details,
        json!({ "count": 9, "since": at(0), "reason": "b" })
    );
    // The next event is the first of its window again.
    assert!(coalesced.record(robot("person.delete"), at(61)));
}

/// An alarm asked the admins to block the address of a person who had looked at a page with a hundred images.
#[test]
fn unreported_events_are_audited_and_never_repeated() {
    let mut coalesced = Coalesced::default();
    for _ in 0..2 * REPEATED_THRESHOLD {
        coalesced.record(source(1).unreported(), at(0));
    }
    assert_eq!(coalesced.take_repeated(), []);
    for _ in 0..REPEATED_THRESHOLD {
        coalesced.record(source(1), at(0));
    }
    let repeated = coalesced.take_repeated();
    assert_eq!(repeated[0].count, REPEATED_THRESHOLD);
    assert_eq!(events(&coalesced.take_all()), 3 * REPEATED_THRESHOLD);
}

#[test]
fn counted_events_are_written_when_the_site_stops() {
    let mut coalesced = Coalesced::default();
    for _ in 0..5 {
        coalesced.record(robot("person.delete"), at(0));
    }
    assert_eq!(events(&coalesced.take_all()), 5);
    assert!(coalesced.take_all().is_empty());
}

/// Far beyond an actor's limit, further kinds of events share one counter and no event is lost.
#[test]
fn the_counters_of_one_actor_are_limited() {
    let mut coalesced = Coalesced::default();
    for operation in 0..1_000 {
        coalesced.record(robot(&format!("test.operation{operation}")), at(0));
    }
    let entries = coalesced.take_all();
    assert_eq!(
        entries.len(),
        MAX_COUNTERS_PER_ACTOR + 1 + 1,
        "one immediate entry per kind; the first of `others` and the rest"
    );
    assert_eq!(events(&entries), 1_000);
    let others = entries.last().unwrap().draft();
    assert_eq!(
        (&*others.operation, &*others.actor.name),
        ("others", "robot@example.org")
    );
}

/// A flood from 100,000 addresses writes a limited number of entries in a window, counts every
/// event, and uses no counter of an account.
#[test]
fn memory_and_entries_are_bounded_for_any_number_of_actors() {
    let mut coalesced = Coalesced::default();
    for number in 0..100_000 {
        coalesced.record(source(number), at(0));
    }
    assert!(coalesced.record(robot("person.delete"), at(0)));
    let immediate = coalesced.take(at(0));
    assert_eq!(immediate.len(), MAX_IMMEDIATE / 2 + 1);
    let rest = coalesced.take(at(60));
    assert_eq!(rest.len(), MAX_COUNTERS / 2 - MAX_IMMEDIATE / 2 + 1);
    assert_eq!(events(&immediate) + events(&rest), 100_001);
    assert!(coalesced.counters.is_empty() && coalesced.of_actor.is_empty());
}

/// With a full disk no counted event is lost, and memory stays bounded.
#[test]
fn entries_that_cannot_be_written_are_kept_with_their_count() {
    let mut coalesced = Coalesced::default();
    let mut count = 0;
    for window in 0..100 {
        for number in 0..200 {
            coalesced.record(source(number), at(60 * window));
            count += 1;
        }
        let entries = coalesced.take(at(60 * window + 59));
        coalesced.put_back(entries);
    }
    let entries = coalesced.take_all();
    assert!(entries.len() <= MAX_WAITING + 1, "{}", entries.len());
    assert_eq!(events(&entries), count);
}

#[test]
fn a_clock_that_is_set_back_ends_the_window() {
    let mut coalesced = Coalesced::default();
    for _ in 0..3 {
        coalesced.record(robot("person.delete"), at(1_000));
    }
    assert_eq!(coalesced.take(at(1_000)).len(), 1);
    assert_eq!(events(&coalesced.take(at(0))), 2);
}

#[test]
fn many_refusals_of_one_kind_are_reported_once_in_a_window() {
    let mut coalesced = Coalesced::default();
    for _ in 1..REPEATED_THRESHOLD {
        coalesced.record(robot("person.delete"), at(0));
    }
    assert!(coalesced.take_repeated().is_empty());
    for _ in 0..REPEATED_THRESHOLD {
        coalesced.record(robot("person.delete"), at(0));
    }
    let repeated = coalesced.take_repeated();
    assert_eq!(repeated.len(), 1);
    assert_eq!(
        (
            &*repeated[0].actor,
            &*repeated[0].operation,
            repeated[0].count
        ),
        ("robot@example.org", "person.delete", REPEATED_THRESHOLD)
    );
    // Successful events are not reported.
    let ticket = Occurrence::of_caller(&Caller::site(), "broker.ticket", AuditOutcome::Done);
    coalesced.record(ticket.times(10_000), at(0));
    assert!(coalesced.take_repeated().is_empty());
}

//! Who is admitted, and who makes room.

use super::*;

/// The random number that rejects no network early, and the one that rejects each that may be.
const LUCKY: u32 = u32::MAX;
const UNLUCKY: u32 = 0;

fn limits() -> Limits {
    Limits {
        connections: 60,
        per_source: 26,
        per_network: 4_096,
        unauthenticated: 40,
        unauthenticated_per_source: 25,
        unauthenticated_per_network: 1_024,
        early: 40,
    }
}

/// A source that is its own network.
fn source(last: u64) -> Origin<u64> {
    Origin {
        source: last,
        network: last,
    }
}

/// One of many sources of one network.
fn of_network(subnet: u64) -> Origin<u64> {
    Origin {
        source: 1_000 + subnet,
        network: 1_000,
    }
}

type Connection = Admitted<u64>;

impl Admission<u64> {
    fn from(self: &Arc<Self>, last: u64) -> Result<Connection, Rejected> {
        self.admit(source(last), LUCKY)
    }
}

#[test]
fn a_source_gets_its_share_and_no_more() {
    let admission = Admission::new(limits());
    let mut held: Vec<Connection> = (0..25).map(|_| admission.from(1).unwrap()).collect();
    assert_eq!(admission.from(1).err(), Some(Rejected::TooManyFromSource));
    held.iter_mut().for_each(Connection::authenticated);
    held.push(admission.from(1).unwrap());
    assert_eq!(admission.from(1).err(), Some(Rejected::TooManyFromSource));
    held.truncate(1);
    held.push(admission.from(1).unwrap());
    held.push(admission.from(2).unwrap());
    assert_eq!(admission.count(), (3, 2));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
    let state = admission.state();
    assert!(state.sources.is_empty() && state.networks.is_empty());
    assert_eq!(
        (state.unauthenticated(), state.unauthenticated_networks),
        (0, 0)
    );
}

/// At the limit and one over: somebody with a whole network, one connection from each source of it.
#[test]
fn a_network_gets_its_share_and_no_more() {
    let admission = Admission::new(Limits {
        per_network: 7,
        unauthenticated_per_network: 5,
        ..limits()
    });
    let admit = |subnet| admission.admit(of_network(subnet), LUCKY);
    let mut held: Vec<Connection> = (0..5).map(|subnet| admit(subnet).unwrap()).collect();
    assert_eq!(admit(5).err(), Some(Rejected::TooManyFromSource));
    held.iter_mut().for_each(Connection::authenticated);
    held.extend([admit(6).unwrap(), admit(7).unwrap()]);
    assert_eq!(admit(8).err(), Some(Rejected::TooManyFromSource));
    assert!(admission.from(1).is_ok());
}

/// Its many sources are one crowd, which makes room for others before they do for it.
#[test]
fn a_network_is_one_crowd() {
    let admission = Admission::new(limits());
    let mut honest = admission.from(1).unwrap();
    let mut crowd: Vec<Connection> = (0..39)
        .map(|subnet| admission.admit(of_network(subnet), LUCKY).unwrap())
        .collect();
    let mut other = admission.from(2).unwrap();
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    assert!(!ended(&mut honest) && !ended(&mut other));
    assert!(ended(&mut crowd[0]) && !ended(&mut crowd[1]));
}

#[test]
fn connections_are_limited_in_all() {
    let admission = Admission::new(Limits {
        per_source: 100,
        ..limits()
    });
    let mut held = Vec::new();
    for last in 0..60 {
        let mut admitted = admission.from(last).unwrap();
        admitted.authenticated();
        held.push(admitted);
    }
    assert_eq!(admission.from(99).err(), Some(Rejected::Full));
}

/// A site that allowed as many unauthenticated connections as connections refused all clients once a flood
/// had taken them.
#[test]
fn unauthenticated_connections_make_room_when_connections_are_used_up() {
    let admission = Admission::new(Limits {
        unauthenticated: 60,
        ..limits()
    });
    let mut held: Vec<Connection> = (0..60)
        .map(|number| admission.from(number % 4).unwrap())
        .collect();
    let mut newcomer = admission.from(100).unwrap();
    assert!(held[0].ended().unwrap().try_recv().is_ok());
    assert_eq!(admission.count(), (60, 60));
    drop(held.remove(0));
    assert_eq!(admission.count(), (60, 60));
    newcomer.authenticated();
    drop(newcomer);
    assert_eq!(admission.count(), (59, 59));
}

/// Evicted in the moment in which it was authenticated: it stays, and is counted once.
#[test]
fn a_connection_that_was_evicted_too_late_counts_again() {
    let admission = Admission::new(limits());
    let mut held = admission.from(1).unwrap();
    assert!(admission.evict() && !admission.evict());
    assert_eq!(admission.count(), (0, 0));
    held.authenticated();
    held.authenticated();
    assert_eq!(admission.count(), (1, 0));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
}

/// At the limit, and one over: whoever has most makes room, beginning with the oldest.
#[test]
fn a_crowd_makes_room_for_a_newcomer() {
    let admission = Admission::new(limits());
    let mut others: Vec<Connection> = (2..10).map(|last| admission.from(last).unwrap()).collect();
    let mut office: Vec<Connection> = (0..15).map(|_| admission.from(50).unwrap()).collect();
    let mut crowd: Vec<Connection> = (0..17).map(|_| admission.from(1).unwrap()).collect();
    assert_eq!(admission.count(), (40, 40));
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    let mut newcomer = admission.from(100).unwrap();
    assert_eq!(admission.count(), (40, 40));
    assert!(ended(&mut crowd[0]) && !ended(&mut crowd[1]));
    assert!(!others.iter_mut().any(ended) && !ended(&mut newcomer));
    assert!(!office.iter_mut().any(ended));
    drop(crowd);
    assert_eq!(admission.count(), (24, 24));
}

/// Where there is no crowd, whoever came first goes, wherever it comes from, and however many of its network
/// log in beside it.
#[test]
fn where_there_is_no_crowd_the_oldest_makes_room() {
    let admission = Admission::new(limits());
    let order = [5, 2, 9, 1, 8, 3, 7, 4, 6, 10];
    let mut held: Vec<Connection> = (0..36).map(|last| admission.from(last).unwrap()).collect();
    let mut office: Vec<Connection> = (0..4).map(|_| admission.from(50).unwrap()).collect();
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    let _newcomers: Vec<Connection> = order
        .iter()
        .map(|last| admission.from(100 + last).unwrap())
        .collect();
    let gone: Vec<bool> = held.iter_mut().map(ended).collect();
    assert!(gone[..10].iter().all(|gone| *gone) && !gone[10..].iter().any(|gone| *gone));
    assert!(!office.iter_mut().any(ended));
}

#[test]
fn a_source_with_its_share_is_rejected_early_and_a_new_one_is_not() {
    let admission = Admission::new(Limits {
        early: 8,
        ..limits()
    });
    let mut crowd: Vec<Connection> = (0..15).map(|_| admission.from(1).unwrap()).collect();
    crowd.push(admission.admit(source(1), UNLUCKY).unwrap());
    let early = admission.admit(source(1), UNLUCKY);
    assert_eq!(early.err(), Some(Rejected::EarlyDrop));
    // A quarter of the places between the two limits is taken.
    let chance = u32::MAX / 4;
    assert!(admission.admit(source(1), chance + 1).is_ok());
    assert!(admission.admit(source(1), chance - 1).is_err());
    assert!(admission.admit(source(2), UNLUCKY).is_ok());
}

/// With 430 places, slow clients from more networks than there are places evicted each honest login after some
/// 130 ms, while its client still stretched the pass phrase.
#[test]
fn a_client_that_sent_its_first_flight_outlasts_a_crowd_that_did_not() {
    let admission = Admission::new(limits());
    let mut honest = admission.from(1).unwrap();
    honest.heard();
    let crowd: Vec<Connection> = (2..250).map(|last| admission.from(last).unwrap()).collect();
    assert_eq!(admission.count(), (40, 40));
    assert!(honest.ended().unwrap().try_recv().is_err());
    honest.authenticated();
    drop((honest, crowd));
    assert_eq!(admission.count(), (0, 0));
    let state = admission.state();
    assert_eq!((state.opening.len(), state.heard.len()), (0, 0));
}

/// At the floor and one over: of 40 places, 10 are left to those that have not sent a whole first flight.
#[test]
fn first_flights_leave_places_for_newcomers() {
    let admission = Admission::new(limits());
    let mut crowd: Vec<Connection> = (0..30).map(|last| admission.from(last).unwrap()).collect();
    crowd.iter().for_each(Connection::heard);
    let mut newcomers: Vec<Connection> = (100..110)
        .map(|last| admission.from(last).unwrap())
        .collect();
    let ended = |admitted: &mut Connection| {
        let ended = admitted.ended.as_mut();
        ended.is_some_and(|ended| ended.try_recv().is_ok())
    };
    // Ten are opening: the oldest that was heard makes room.
    newcomers.push(admission.from(110).unwrap());
    assert!(ended(&mut crowd[0]) && !newcomers.iter_mut().any(ended));
    // Eleven are: the oldest of them does.
    newcomers.push(admission.from(111).unwrap());
    assert!(ended(&mut newcomers[0]) && !ended(&mut crowd[1]));
    assert_eq!(admission.count(), (40, 40));
}

/// An attacker who sends first flights too: the largest network makes room, beginning with its oldest.
#[test]
fn a_crowd_that_sends_first_flights_makes_room_for_others_that_do() {
    let admission = Admission::new(limits());
    let mut honest = admission.from(1).unwrap();
    honest.heard();
    let mut crowd: Vec<Connection> = (0..24).map(|_| admission.from(2).unwrap()).collect();
    // In another order than they came: the oldest connection is the first to go all the same.
    crowd.iter().rev().for_each(Connection::heard);
    let newcomers: Vec<Connection> = (100..116)
        .map(|last| {
            let newcomer = admission.from(last).unwrap();
            newcomer.heard();
            newcomer
        })
        .collect();
    let gone = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    assert!(gone(&mut crowd[0]) && !gone(&mut crowd[1]) && !gone(&mut honest));
    assert_eq!(newcomers.len() + 24, admission.count().0);
}

/// A first flight that comes when its connection was evicted or authenticated changes nothing.
#[test]
fn a_first_flight_that_is_heard_too_late_counts_for_nothing() {
    let admission = Admission::new(limits());
    let mut held = admission.from(1).unwrap();
    assert!(admission.evict());
    held.heard();
    assert_eq!(admission.count(), (0, 0));
    held.authenticated();
    held.heard();
    held.heard();
    assert_eq!(admission.count(), (1, 0));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
}

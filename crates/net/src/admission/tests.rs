//! Who is admitted, and who makes room.

use super::*;

/// The dice that turn nobody away early, and those that turn away whoever may be.
const LUCKY: u32 = u32::MAX;
const UNLUCKY: u32 = 0;

fn limits() -> Limits {
    Limits {
        connections: 60,
        connections_per_source: 26,
        unproved: 40,
        unproved_per_source: 25,
        unproved_early: 40,
        ..Limits::default()
    }
}

fn admission(limits: Limits) -> Arc<Admission> {
    Admission::new(limits, Arc::default())
}

fn source(last: u8) -> Source {
    Source::V4([192, 0, 2, last].into())
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

impl Admission {
    fn from(self: &Arc<Self>, last: u8) -> Result<Admitted, TurnedAway> {
        self.admit(source(last), NOW, LUCKY)
    }
}

#[test]
fn a_source_gets_its_share_and_no_more() {
    let admission = admission(limits());
    let mut held: Vec<Admitted> = (0..25).map(|_| admission.from(1).unwrap()).collect();
    assert_eq!(admission.from(1).err(), Some(TurnedAway::TooManyFromSource));
    held.iter_mut().for_each(Admitted::proved);
    held.push(admission.from(1).unwrap());
    assert_eq!(admission.from(1).err(), Some(TurnedAway::TooManyFromSource));
    held.truncate(1);
    held.push(admission.from(1).unwrap());
    held.push(admission.from(2).unwrap());
    assert_eq!(admission.count(), (3, 2));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
    let state = admission.state();
    assert!(state.sources.is_empty() && state.networks.is_empty());
    assert_eq!((state.unproved(), state.unproved_networks), (0, 0));
}

/// At the limit and one over: somebody with a whole network, one connection from each source of it.
#[test]
fn a_network_gets_its_share_and_no_more() {
    let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
    let admission = admission(Limits {
        connections_per_network: 7,
        unproved_per_network: 5,
        ..limits()
    });
    let admit = |subnet| admission.admit(address(subnet), NOW, LUCKY);
    let mut held: Vec<Admitted> = (0..5).map(|subnet| admit(subnet).unwrap()).collect();
    assert_eq!(admit(5).err(), Some(TurnedAway::TooManyFromSource));
    held.iter_mut().for_each(Admitted::proved);
    held.extend([admit(6).unwrap(), admit(7).unwrap()]);
    assert_eq!(admit(8).err(), Some(TurnedAway::TooManyFromSource));
    assert!(admission.from(1).is_ok());
}

/// Its many sources are one crowd, which makes room for others before they do for it.
#[test]
fn a_network_is_one_crowd() {
    let address = |subnet: u64| Source::V6(0x2001_0db8_0001_0000 | subnet);
    let admission = admission(limits());
    let mut honest = admission.from(1).unwrap();
    let mut crowd: Vec<Admitted> = (0..39)
        .map(|subnet| admission.admit(address(subnet), NOW, LUCKY).unwrap())
        .collect();
    let mut other = admission.from(2).unwrap();
    let ended = |admitted: &mut Admitted| admitted.ended().unwrap().try_recv().is_ok();
    assert!(!ended(&mut honest) && !ended(&mut other));
    assert!(ended(&mut crowd[0]) && !ended(&mut crowd[1]));
}

#[test]
fn connections_are_limited_in_all() {
    let admission = admission(Limits {
        connections_per_source: 100,
        ..limits()
    });
    let mut held = Vec::new();
    for last in 0..60 {
        let mut admitted = admission.from(last).unwrap();
        admitted.proved();
        held.push(admitted);
    }
    assert_eq!(admission.from(99).err(), Some(TurnedAway::Full));
}

/// A site that allowed as many unauthenticated connections as connections refused all clients once a flood
/// had taken them.
#[test]
fn unauthenticated_connections_make_room_when_connections_are_used_up() {
    let admission = admission(Limits {
        unproved: 60,
        ..limits()
    });
    let mut held: Vec<Admitted> = (0..60)
        .map(|number| admission.from(number % 4).unwrap())
        .collect();
    let mut newcomer = admission.from(100).unwrap();
    assert!(held[0].ended().unwrap().try_recv().is_ok());
    assert_eq!(admission.count(), (60, 60));
    drop(held.remove(0));
    assert_eq!(admission.count(), (60, 60));
    newcomer.proved();
    drop(newcomer);
    assert_eq!(admission.count(), (59, 59));
}

/// Evicted in the moment in which it was authenticated: it stays, and is counted once.
#[test]
fn a_connection_that_was_evicted_too_late_counts_again() {
    let admission = admission(limits());
    let mut held = admission.from(1).unwrap();
    assert!(admission.evict() && !admission.evict());
    assert_eq!(admission.count(), (0, 0));
    held.proved();
    held.proved();
    assert_eq!(admission.count(), (1, 0));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
}

/// 16 malformed connections to the session port from 127.0.0.1 closed HTTP for the proxy on the same machine,
/// for up to an hour; 256 idle ones did the same.
#[test]
fn a_proxy_has_a_share_of_its_own_and_no_penalties() {
    let limits = Limits {
        proxied_connections: 30,
        ..limits()
    };
    let guard = Arc::<Guard>::default();
    let clients = Admission::new(limits.clone(), guard);
    let proxies = Admission::for_proxies(&limits);
    let idle: Vec<Admitted> = (0..25).map(|_| clients.from(1).unwrap()).collect();
    for _ in 0..16 {
        idle[0].punish(Offence::Malformed, NOW);
    }
    assert_eq!(clients.from(1).err(), Some(TurnedAway::Penalized));
    let mut passed: Vec<Admitted> = (0..30).map(|_| proxies.from(1).unwrap()).collect();
    // At the share and one over: its own oldest makes room.
    passed.push(proxies.from(1).unwrap());
    assert!(passed[0].ended().unwrap().try_recv().is_ok());
    assert_eq!(proxies.count(), (30, 30));
    passed[1].punish(Offence::Malformed, NOW);
    assert!(proxies.from(1).is_ok());
}

/// At the limit, and one over: whoever has most makes room, beginning with the oldest.
#[test]
fn a_crowd_makes_room_for_a_newcomer() {
    let admission = admission(limits());
    let mut others: Vec<Admitted> = (2..10).map(|last| admission.from(last).unwrap()).collect();
    let mut office: Vec<Admitted> = (0..15).map(|_| admission.from(50).unwrap()).collect();
    let mut crowd: Vec<Admitted> = (0..17).map(|_| admission.from(1).unwrap()).collect();
    assert_eq!(admission.count(), (40, 40));
    let ended = |admitted: &mut Admitted| admitted.ended().unwrap().try_recv().is_ok();
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
    let admission = admission(limits());
    let order = [5, 2, 9, 1, 8, 3, 7, 4, 6, 10];
    let mut held: Vec<Admitted> = (0..36).map(|last| admission.from(last).unwrap()).collect();
    let mut office: Vec<Admitted> = (0..4).map(|_| admission.from(50).unwrap()).collect();
    let ended = |admitted: &mut Admitted| admitted.ended().unwrap().try_recv().is_ok();
    let _newcomers: Vec<Admitted> = order
        .iter()
        .map(|last| admission.from(100 + last).unwrap())
        .collect();
    let gone: Vec<bool> = held.iter_mut().map(ended).collect();
    assert!(gone[..10].iter().all(|gone| *gone) && !gone[10..].iter().any(|gone| *gone));
    assert!(!office.iter_mut().any(ended));
}

#[test]
fn a_source_with_its_share_is_turned_away_early_and_a_newcomer_is_not() {
    let admission = admission(Limits {
        unproved_early: 8,
        ..limits()
    });
    let mut crowd: Vec<Admitted> = (0..15).map(|_| admission.from(1).unwrap()).collect();
    crowd.push(admission.admit(source(1), NOW, UNLUCKY).unwrap());
    let early = admission.admit(source(1), NOW, UNLUCKY);
    assert_eq!(early.err(), Some(TurnedAway::EarlyDrop));
    // A quarter of the places between the two limits is taken.
    let chance = u32::MAX / 4;
    assert!(admission.admit(source(1), NOW, chance + 1).is_ok());
    assert!(admission.admit(source(1), NOW, chance - 1).is_err());
    assert!(admission.admit(source(2), NOW, UNLUCKY).is_ok());
}

#[test]
fn whoever_has_to_wait_is_turned_away_and_others_are_not() {
    let admission = admission(limits());
    let admitted = admission.from(1).unwrap();
    for _ in 0..16 {
        admitted.punish(Offence::Malformed, NOW);
    }
    assert_eq!(admission.from(1).err(), Some(TurnedAway::Penalized));
    assert!(admission.from(2).is_ok());
    let later = NOW.plus_millis(15_000);
    assert!(admission.admit(source(1), later, LUCKY).is_ok());
}

/// With 430 places, slow clients from more networks than there are places evicted each honest login after some
/// 130 ms, while its client still stretched the pass phrase.
#[test]
fn a_client_that_sent_its_first_flight_outlasts_a_crowd_that_did_not() {
    let admission = admission(limits());
    let mut honest = admission.from(1).unwrap();
    honest.heard();
    let crowd: Vec<Admitted> = (2..250).map(|last| admission.from(last).unwrap()).collect();
    assert_eq!(admission.count(), (40, 40));
    assert!(honest.ended().unwrap().try_recv().is_err());
    honest.proved();
    drop((honest, crowd));
    assert_eq!(admission.count(), (0, 0));
    let state = admission.state();
    assert_eq!((state.opening.len(), state.heard.len()), (0, 0));
}

/// At the floor and one over: of 40 places, 10 are left to those that have not sent a whole first flight.
#[test]
fn first_flights_leave_places_for_newcomers() {
    let admission = admission(limits());
    let mut crowd: Vec<Admitted> = (0..30).map(|last| admission.from(last).unwrap()).collect();
    crowd.iter().for_each(Admitted::heard);
    let mut newcomers: Vec<Admitted> = (100..110)
        .map(|last| admission.from(last).unwrap())
        .collect();
    let ended = |admitted: &mut Admitted| {
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
    let admission = admission(limits());
    let mut honest = admission.from(1).unwrap();
    honest.heard();
    let mut crowd: Vec<Admitted> = (0..24).map(|_| admission.from(2).unwrap()).collect();
    // In another order than they came: the oldest connection is the first to go all the same.
    crowd.iter().rev().for_each(Admitted::heard);
    let newcomers: Vec<Admitted> = (100..116)
        .map(|last| {
            let newcomer = admission.from(last).unwrap();
            newcomer.heard();
            newcomer
        })
        .collect();
    let gone = |admitted: &mut Admitted| admitted.ended().unwrap().try_recv().is_ok();
    assert!(gone(&mut crowd[0]) && !gone(&mut crowd[1]) && !gone(&mut honest));
    assert_eq!(newcomers.len() + 24, admission.count().0);
}

/// A first flight that comes when its connection was evicted or proved changes nothing.
#[test]
fn a_first_flight_that_is_heard_too_late_counts_for_nothing() {
    let admission = admission(limits());
    let mut held = admission.from(1).unwrap();
    assert!(admission.evict());
    held.heard();
    assert_eq!(admission.count(), (0, 0));
    held.proved();
    held.heard();
    held.heard();
    assert_eq!(admission.count(), (1, 0));
    drop(held);
    assert_eq!(admission.count(), (0, 0));
}

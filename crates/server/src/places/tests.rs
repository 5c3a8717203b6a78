//! Tests of places, random early drop and eviction.

use super::*;

/// The random numbers for which early drop rejects no connection, and each to which it applies.
const NO_EARLY_DROP: u32 = u32::MAX;
const EARLY_DROP: u32 = 0;

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

/// A network with one source.
fn source(last: u64) -> Origin<u64> {
    Origin {
        source: last,
        network: last,
    }
}

/// One of many sources in one network.
fn of_network(subnet: u64) -> Origin<u64> {
    Origin {
        source: 1_000 + subnet,
        network: 1_000,
    }
}

type Connection = Place<u64>;

impl Places<u64> {
    fn from(self: &Arc<Self>, last: u64) -> Result<Connection, Rejected> {
        self.admit(source(last), NO_EARLY_DROP)
    }
}

#[test]
fn the_limits_of_a_source_are_enforced() {
    let places = Places::new(limits());
    let mut connections: Vec<Connection> = (0..25).map(|_| places.from(1).unwrap()).collect();
    assert_eq!(places.from(1).err(), Some(Rejected::TooManyFromSource));
    connections.iter_mut().for_each(Connection::authenticated);
    connections.push(places.from(1).unwrap());
    assert_eq!(places.from(1).err(), Some(Rejected::TooManyFromSource));
    connections.truncate(1);
    connections.push(places.from(1).unwrap());
    connections.push(places.from(2).unwrap());
    assert_eq!(places.count(), (3, 2));
    drop(connections);
    assert_eq!(places.count(), (0, 0));
    let state = places.state();
    assert!(state.sources.is_empty() && state.networks.is_empty());
    assert_eq!(
        (state.unauthenticated(), state.unauthenticated_networks),
        (0, 0)
    );
}

/// At the limit and one over, with one connection from each source of a network.
#[test]
fn the_limits_of_a_network_are_enforced() {
    let places = Places::new(Limits {
        per_network: 7,
        unauthenticated_per_network: 5,
        ..limits()
    });
    let admit = |subnet| places.admit(of_network(subnet), NO_EARLY_DROP);
    let mut connections: Vec<Connection> = (0..5).map(|subnet| admit(subnet).unwrap()).collect();
    assert_eq!(admit(5).err(), Some(Rejected::TooManyFromSource));
    connections.iter_mut().for_each(Connection::authenticated);
    connections.extend([admit(6).unwrap(), admit(7).unwrap()]);
    assert_eq!(admit(8).err(), Some(Rejected::TooManyFromSource));
    assert!(places.from(1).is_ok());
}

/// Many sources of one network are evicted before other networks are.
#[test]
fn eviction_treats_all_sources_of_a_network_as_one_group() {
    let places = Places::new(limits());
    let mut honest = places.from(1).unwrap();
    let mut flood: Vec<Connection> = (0..39)
        .map(|subnet| places.admit(of_network(subnet), NO_EARLY_DROP).unwrap())
        .collect();
    let mut other = places.from(2).unwrap();
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    assert!(!ended(&mut honest) && !ended(&mut other));
    assert!(ended(&mut flood[0]) && !ended(&mut flood[1]));
}

#[test]
fn connections_are_limited_in_total() {
    let places = Places::new(Limits {
        per_source: 100,
        ..limits()
    });
    let mut connections = Vec::new();
    for last in 0..60 {
        let mut admitted = places.from(last).unwrap();
        admitted.authenticated();
        connections.push(admitted);
    }
    assert_eq!(places.from(99).err(), Some(Rejected::Full));
}

/// Regression: a site that allowed as many unauthenticated connections as connections rejected all
/// clients once a flood had used them up.
#[test]
fn unauthenticated_connections_are_evicted_when_the_total_limit_is_reached() {
    let places = Places::new(Limits {
        unauthenticated: 60,
        ..limits()
    });
    let mut connections: Vec<Connection> = (0..60)
        .map(|number| places.from(number % 4).unwrap())
        .collect();
    let mut newcomer = places.from(100).unwrap();
    assert!(connections[0].ended().unwrap().try_recv().is_ok());
    assert_eq!(places.count(), (60, 60));
    drop(connections.remove(0));
    assert_eq!(places.count(), (60, 60));
    newcomer.authenticated();
    drop(newcomer);
    assert_eq!(places.count(), (59, 59));
}

/// Evicted at the moment it was authenticated: the connection stays and is counted once.
#[test]
fn a_connection_that_is_authenticated_after_its_eviction_is_counted_again() {
    let places = Places::new(limits());
    let mut connection = places.from(1).unwrap();
    assert!(places.evict() && !places.evict());
    assert_eq!(places.count(), (0, 0));
    connection.authenticated();
    connection.authenticated();
    assert_eq!(places.count(), (1, 0));
    drop(connection);
    assert_eq!(places.count(), (0, 0));
}

/// At the limit and one over: the network with most connections loses its oldest one.
#[test]
fn the_oldest_connection_of_the_largest_network_is_evicted() {
    let places = Places::new(limits());
    let mut others: Vec<Connection> = (2..10).map(|last| places.from(last).unwrap()).collect();
    let mut office: Vec<Connection> = (0..15).map(|_| places.from(50).unwrap()).collect();
    let mut flood: Vec<Connection> = (0..17).map(|_| places.from(1).unwrap()).collect();
    assert_eq!(places.count(), (40, 40));
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    let mut newcomer = places.from(100).unwrap();
    assert_eq!(places.count(), (40, 40));
    assert!(ended(&mut flood[0]) && !ended(&mut flood[1]));
    assert!(!others.iter_mut().any(ended) && !ended(&mut newcomer));
    assert!(!office.iter_mut().any(ended));
    drop(flood);
    assert_eq!(places.count(), (24, 24));
}

/// If no network is large, the oldest connection is evicted, regardless of its network and of other
/// logins from there.
#[test]
fn without_a_large_network_the_oldest_connection_is_evicted() {
    let places = Places::new(limits());
    let order = [5, 2, 9, 1, 8, 3, 7, 4, 6, 10];
    let mut connections: Vec<Connection> = (0..36).map(|last| places.from(last).unwrap()).collect();
    let mut office: Vec<Connection> = (0..4).map(|_| places.from(50).unwrap()).collect();
    let ended = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    let _newcomers: Vec<Connection> = order
        .iter()
        .map(|last| places.from(100 + last).unwrap())
        .collect();
    let evicted: Vec<bool> = connections.iter_mut().map(ended).collect();
    assert!(
        evicted[..10].iter().all(|evicted| *evicted)
            && !evicted[10..].iter().any(|evicted| *evicted)
    );
    assert!(!office.iter_mut().any(ended));
}

#[test]
fn early_drop_rejects_a_source_with_its_share_and_not_a_new_one() {
    let places = Places::new(Limits {
        early: 8,
        ..limits()
    });
    let mut flood: Vec<Connection> = (0..15).map(|_| places.from(1).unwrap()).collect();
    flood.push(places.admit(source(1), EARLY_DROP).unwrap());
    let early = places.admit(source(1), EARLY_DROP);
    assert_eq!(early.err(), Some(Rejected::EarlyDrop));
    // A quarter of the places between the two limits is used.
    let chance = u32::MAX / 4;
    assert!(places.admit(source(1), chance + 1).is_ok());
    assert!(places.admit(source(1), chance - 1).is_err());
    assert!(places.admit(source(2), EARLY_DROP).is_ok());
}

/// Regression: with 430 places, slow clients from more networks than places evicted each legitimate
/// login after about 130 ms, while its client was still stretching the pass phrase.
#[test]
fn a_client_that_sent_its_first_flight_is_not_evicted_by_a_flood_that_did_not() {
    let places = Places::new(limits());
    let mut honest = places.from(1).unwrap();
    honest.first_flight_received();
    let flood: Vec<Connection> = (2..250).map(|last| places.from(last).unwrap()).collect();
    assert_eq!(places.count(), (40, 40));
    assert!(honest.ended().unwrap().try_recv().is_err());
    honest.authenticated();
    drop((honest, flood));
    assert_eq!(places.count(), (0, 0));
    let state = places.state();
    assert_eq!(
        (state.opening.len(), state.first_flight_received.len()),
        (0, 0)
    );
}

/// At the boundary and one over: of 40 places, 10 are reserved for connections without a complete
/// first flight.
#[test]
fn first_flights_leave_places_for_new_connections() {
    let places = Places::new(limits());
    let mut flood: Vec<Connection> = (0..30).map(|last| places.from(last).unwrap()).collect();
    flood.iter().for_each(Connection::first_flight_received);
    let mut newcomers: Vec<Connection> =
        (100..110).map(|last| places.from(last).unwrap()).collect();
    let ended = |admitted: &mut Connection| {
        let ended = admitted.ended.as_mut();
        ended.is_some_and(|ended| ended.try_recv().is_ok())
    };
    // Ten have sent no first flight: the oldest that has is evicted.
    newcomers.push(places.from(110).unwrap());
    assert!(ended(&mut flood[0]) && !newcomers.iter_mut().any(ended));
    // Eleven have sent none: the oldest of these is evicted.
    newcomers.push(places.from(111).unwrap());
    assert!(ended(&mut newcomers[0]) && !ended(&mut flood[1]));
    assert_eq!(places.count(), (40, 40));
}

/// An attacker also sends first flights: the largest network loses its oldest connection.
#[test]
fn a_flood_that_sends_first_flights_is_evicted_before_other_clients_that_do() {
    let places = Places::new(limits());
    let mut honest = places.from(1).unwrap();
    honest.first_flight_received();
    let mut flood: Vec<Connection> = (0..24).map(|_| places.from(2).unwrap()).collect();
    // In reverse order of arrival: the oldest connection is still evicted first.
    flood
        .iter()
        .rev()
        .for_each(Connection::first_flight_received);
    let newcomers: Vec<Connection> = (100..116)
        .map(|last| {
            let newcomer = places.from(last).unwrap();
            newcomer.first_flight_received();
            newcomer
        })
        .collect();
    let evicted = |admitted: &mut Connection| admitted.ended().unwrap().try_recv().is_ok();
    assert!(evicted(&mut flood[0]) && !evicted(&mut flood[1]) && !evicted(&mut honest));
    assert_eq!(newcomers.len() + 24, places.count().0);
}

/// A first flight of an evicted or authenticated connection changes nothing.
#[test]
fn a_first_flight_after_eviction_or_authentication_has_no_effect() {
    let places = Places::new(limits());
    let mut connection = places.from(1).unwrap();
    assert!(places.evict());
    connection.first_flight_received();
    assert_eq!(places.count(), (0, 0));
    connection.authenticated();
    connection.first_flight_received();
    connection.first_flight_received();
    assert_eq!(places.count(), (1, 0));
    drop(connection);
    assert_eq!(places.count(), (0, 0));
}

//! The network between client and server, honest or hostile.

use countersign_proto::risp::{MaxLength, Reader};

use crate::entropy::SeededEntropy;

/// A direction of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer = 0,
    /// From the server.
    ToClient = 1,
}

/// Carries flights between client and server.
pub trait Wire {
    /// Returns the pieces that arrive for this flight, in order.
    fn carry(&mut self, direction: Direction, flight: Vec<u8>) -> Vec<Vec<u8>>;

    /// Whether the connection has ended. An ended connection carries nothing.
    fn is_cut(&self) -> bool {
        false
    }
}

/// Every flight arrives as it was sent, in one piece.
#[derive(Debug, Clone, Copy)]
pub struct Honest;

impl Wire for Honest {
    fn carry(&mut self, _: Direction, flight: Vec<u8>) -> Vec<Vec<u8>> {
        vec![flight]
    }
}

/// Every flight arrives unchanged, in pieces of any length.
#[derive(Debug, Clone)]
pub struct Splitting(pub SeededEntropy);

impl Wire for Splitting {
    fn carry(&mut self, _: Direction, flight: Vec<u8>) -> Vec<Vec<u8>> {
        split(&flight, &mut self.0)
    }
}

/// Every byte arrives in a piece of its own.
#[derive(Debug, Clone, Copy)]
pub struct Dripping;

impl Wire for Dripping {
    fn carry(&mut self, _: Direction, flight: Vec<u8>) -> Vec<Vec<u8>> {
        flight.chunks(1).map(<[u8]>::to_vec).collect()
    }
}

/// Tampers with one flight. The others arrive as they were sent.
pub struct Tampering<F> {
    flight: usize,
    seen: usize,
    cut: bool,
    tamper: F,
}

/// What a [`Tampering`] wire does with its flight.
#[derive(Debug, Clone)]
pub enum Tampered {
    /// These bytes arrive in its place.
    Changed(Vec<u8>),
    /// These bytes arrive in its place, and then the connection ends.
    Cut(Vec<u8>),
}

impl<F: FnMut(Vec<u8>) -> Tampered> Tampering<F> {
    /// Applies `tamper` to one flight. Flights count from 0 over both directions.
    pub const fn with(flight: usize, tamper: F) -> Self {
        Self {
            flight,
            seen: 0,
            cut: false,
            tamper,
        }
    }
}

/// Delivers the first `at` bytes of one flight, then ends the connection.
pub fn cutting(flight: usize, at: usize) -> impl Wire {
    Tampering::with(flight, move |mut bytes: Vec<u8>| {
        bytes.truncate(at);
        Tampered::Cut(bytes)
    })
}

/// Flips one bit of one byte of one flight.
pub fn flipping(flight: usize, at: usize, bit: usize) -> impl Wire {
    Tampering::with(flight, move |mut bytes: Vec<u8>| {
        bytes[at] ^= 1 << (bit % 8);
        Tampered::Changed(bytes)
    })
}

/// Replaces one flight by other bytes.
pub fn splicing(flight: usize, other: Vec<u8>) -> impl Wire {
    Tampering::with(flight, move |_| Tampered::Changed(other.clone()))
}

impl<F: FnMut(Vec<u8>) -> Tampered> Wire for Tampering<F> {
    fn carry(&mut self, _: Direction, flight: Vec<u8>) -> Vec<Vec<u8>> {
        self.seen += 1;
        if self.seen != self.flight + 1 {
            return vec![flight];
        }
        match (self.tamper)(flight) {
            Tampered::Changed(bytes) => vec![bytes],
            Tampered::Cut(bytes) => {
                self.cut = true;
                vec![bytes]
            }
        }
    }

    fn is_cut(&self) -> bool {
        self.cut
    }
}

/// Mutates about one flight in `one_in` at random: drops, repeats, reorders, replays or truncates
/// commands, or flips a bit. Splits every flight into pieces.
#[derive(Debug, Clone)]
pub struct Hostile {
    entropy: SeededEntropy,
    one_in: usize,
    earlier: Vec<Vec<u8>>,
    cut: bool,
    /// The number of flights that were changed.
    pub mutated: usize,
}

impl Hostile {
    /// A wire that takes its random choices from `entropy`.
    #[must_use]
    pub const fn new(entropy: SeededEntropy, one_in: usize) -> Self {
        Self {
            entropy,
            one_in,
            earlier: Vec::new(),
            cut: false,
            mutated: 0,
        }
    }

    fn mutate(&mut self, flight: &mut Vec<u8>) {
        let mut commands = commands(flight);
        let at = self.entropy.below(commands.len());
        match self.entropy.below(7) {
            0 => drop(commands.remove(at)),
            1 => commands.insert(at, commands[at].clone()),
            2 => {
                let other = self.entropy.below(commands.len());
                commands.swap(at, other);
            }
            3 => {
                let old = self.entropy.below(self.earlier.len());
                commands.insert(at, self.earlier[old].clone());
            }
            4 => {
                let old = self.entropy.below(self.earlier.len());
                commands[at].clone_from(&self.earlier[old]);
            }
            5 => {
                let byte = self.entropy.below(commands[at].len());
                commands[at][byte] ^= 1 << self.entropy.below(8);
            }
            _ => {
                let length = self.entropy.below(commands[at].len());
                commands.truncate(at + 1);
                commands[at].truncate(length);
                self.cut = true;
            }
        }
        *flight = commands.concat();
    }
}

impl Wire for Hostile {
    fn carry(&mut self, _: Direction, mut flight: Vec<u8>) -> Vec<Vec<u8>> {
        self.earlier.extend(commands(&flight));
        if self.entropy.one_in(self.one_in) {
            let sent = flight.clone();
            self.mutate(&mut flight);
            self.mutated += usize::from(sent != flight);
        }
        split(&flight, &mut self.entropy)
    }

    fn is_cut(&self) -> bool {
        self.cut
    }
}

/// The commands of a flight, each in its wire form. An incomplete command comes last.
#[must_use]
pub fn commands(flight: &[u8]) -> Vec<Vec<u8>> {
    let mut commands = Vec::new();
    let max_length = MaxLength(u64::from(u32::MAX));
    let mut reader = Reader::new(flight, &max_length);
    let mut start = 0;
    while let Some(Ok(_)) = reader.next() {
        commands.push(flight[start..reader.consumed()].to_vec());
        start = reader.consumed();
    }
    if start < flight.len() {
        commands.push(flight[start..].to_vec());
    }
    commands
}

fn split(mut flight: &[u8], entropy: &mut SeededEntropy) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while !flight.is_empty() {
        // Short pieces find more faults, but long ones have to occur too.
        let max_length = [1, 8, 64, 4_096][entropy.below(4)];
        let length = 1 + entropy.below(max_length);
        let (piece, rest) = flight.split_at(length.min(flight.len()));
        pieces.push(piece.to_vec());
        flight = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_loses_no_byte() {
        let flight: Vec<u8> = (0..=255).collect();
        for seed in 0..50 {
            let mut wire = Splitting(SeededEntropy::new(seed));
            assert_eq!(
                wire.carry(Direction::ToServer, flight.clone()).concat(),
                flight
            );
        }
        assert_eq!(
            Dripping.carry(Direction::ToClient, flight.clone()).concat(),
            flight
        );
    }

    #[test]
    fn a_cut_wire_lets_the_flights_before_it_through() {
        let mut wire = cutting(1, 2);
        assert_eq!(wire.carry(Direction::ToServer, vec![1, 2, 3]), [[1, 2, 3]]);
        assert!(!wire.is_cut());
        assert_eq!(wire.carry(Direction::ToClient, vec![1, 2, 3]), [[1, 2]]);
        assert!(wire.is_cut());
    }

    #[test]
    fn a_flight_is_split_into_its_commands_and_no_byte_is_lost() {
        let flight = [0x70, 0, 0x80, 0, 2, 7, 7, 0x70, 1, 0x80];
        let parts = commands(&flight);
        assert_eq!(parts.concat(), flight);
        assert_eq!(parts.len(), 4);
    }
}

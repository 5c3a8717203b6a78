//! Mutations of bytes in flight by an attacker on the network. The receiver has to detect each
//! mutation, and must not receive anything that the other end did not send.

use super::{MAX_IN_FLIGHT, Simulator, open, some_direction, some_option};
use crate::entropy::SeededEntropy;
use crate::wire::{Direction, commands};

/// The number of packets of each direction that are remembered for replay.
const REMEMBERED: usize = 8;
/// Longer packets are not remembered.
const MAX_REMEMBERED_BYTES: usize = 8_192;
/// The number of bytes that the sender may send after the mutation until the receiver has to detect
/// it. A changed length can make the receiver wait for a packet of the maximum size.
const MAX_SENT_BYTES: usize = 4 * MAX_IN_FLIGHT;

impl Simulator<'_> {
    /// Remembers some of the packets on the wires, from these offsets on.
    pub(super) fn remember(&mut self, before: [usize; 2]) {
        for (direction, before) in before.into_iter().enumerate() {
            for packet in commands(&self.wires[direction][before..]) {
                if packet.len() <= MAX_REMEMBERED_BYTES {
                    self.recent[direction].push_back(packet);
                }
            }
            let over = self.recent[direction].len().saturating_sub(REMEMBERED);
            self.recent[direction].drain(..over);
        }
    }

    /// Mutates what is in flight in one direction. The receiver has to refuse it; then the client
    /// resumes the session.
    pub(super) fn mutate(&mut self) {
        if self.is_over() {
            return;
        }
        let direction = some_direction(&mut self.choices);
        // Makes sure that there are bytes to mutate.
        self.send_something(direction, 10);
        self.flush();
        let sent = self.wires[direction as usize].clone();
        let mutated = match self.choices.below(9) {
            0..=3 => self.mutate_bytes(sent.clone()),
            _ => self.mutate_packets(direction, &sent),
        };
        if mutated == sent {
            return;
        }
        self.wires[direction as usize] = mutated;
        self.deliver_until_refused(direction);
        self.counts.mutations += 1;
        self.lose_connection();
    }

    fn deliver_until_refused(&mut self, direction: Direction) {
        let mut sent = 0;
        while self.deliver(direction, usize::MAX).is_ok() {
            assert!(
                sent < MAX_SENT_BYTES,
                "{direction:?}: the receiver did not detect the mutation"
            );
            self.send_something(direction, 10_000);
            sent += 10_000;
        }
    }

    /// The sender of that direction sends an operation or an event.
    fn send_something(&mut self, direction: Direction, length: u16) {
        match direction {
            Direction::ToServer => self.send_operation(length.into()),
            Direction::ToClient => self.send_event(length.into()),
        }
    }

    /// Flips a bit, drops or repeats a range of bytes, or swaps two bytes.
    fn mutate_bytes(&mut self, mut wire: Vec<u8>) -> Vec<u8> {
        let (at, other) = (
            self.choices.below(wire.len()),
            self.choices.below(wire.len()),
        );
        let (from, to) = (at.min(other), at.max(other) + 1);
        match self.choices.below(4) {
            0 => wire[at] ^= 1 << self.choices.below(8),
            1 => drop(wire.drain(from..to)),
            2 => {
                let repeated = wire[from..to].to_vec();
                wire.splice(to..to, repeated);
            }
            _ => wire.swap(at, other),
        }
        wire
    }

    /// Drops, repeats, reorders, replays or reflects whole packets, or inserts one of another
    /// session. The packet that has arrived in part stays first.
    fn mutate_packets(&mut self, direction: Direction, wire: &[u8]) -> Vec<u8> {
        let half = self.inboxes[direction as usize].unread().to_vec();
        let whole = [&half[..], wire].concat();
        let mut packets = commands(&whole);
        // A packet of the original form consists of several commands. Some of them may have arrived
        // completely.
        let mut begins = 0;
        let first = packets
            .iter()
            .take_while(|packet| {
                let arrived = begins < half.len();
                begins += packet.len();
                arrived
            })
            .count();
        if packets.len() <= first {
            return wire.to_vec();
        }
        let at = first + self.choices.below(packets.len() - first);
        let other = first + self.choices.below(packets.len() - first);
        match self.choices.below(6) {
            0 => drop(packets.remove(at)),
            1 => packets.insert(at, packets[at].clone()),
            2 => packets.swap(at, other),
            3 => self.insert_recent(direction, &mut packets, at),
            4 => self.insert_recent(back(direction), &mut packets, at),
            _ => packets[at] = self.packet_of_another_session(direction),
        }
        packets.concat().split_off(half.len())
    }

    fn insert_recent(&mut self, direction: Direction, packets: &mut Vec<Vec<u8>>, at: usize) {
        let recent = &self.recent[direction as usize];
        if let Some(packet) = recent.get(self.choices.below(recent.len().max(1))) {
            packets.insert(at, packet.clone());
        }
    }

    fn packet_of_another_session(&mut self, direction: Direction) -> Vec<u8> {
        let option = some_option(self.site, &mut self.choices);
        let entropy = &mut SeededEntropy::new(1).fork("another");
        let resumable = self.site.resumable();
        let (mut client, mut server) = open(self.site, option, None, entropy);
        if let Some((account, secret)) = resumable {
            self.site.session_opened(account, secret);
        }
        let mut packet = Vec::new();
        match direction {
            Direction::ToServer => {
                client.session.keep_alive().unwrap();
                client.session.flush(&mut packet).unwrap();
            }
            Direction::ToClient => {
                server.send_options(&self.site.settings.options).unwrap();
                server.flush(&mut packet).unwrap();
            }
        }
        packet
    }
}

fn back(direction: Direction) -> Direction {
    match direction {
        Direction::ToServer => Direction::ToClient,
        Direction::ToClient => Direction::ToServer,
    }
}

//! What somebody in between may do to the bytes under way. Whatever it is, the end that it reaches finds
//! it, and hears nothing that was not said.

use super::{Simulator, UNDER_WAY, open, some_option, some_way};
use crate::entropy::SeededEntropy;
use crate::wire::{Way, commands};

/// How many packets of each direction are kept to be repeated.
const KEPT: usize = 8;
/// Longer ones are not kept.
const KEPT_BYTES: usize = 8_192;
/// Bytes that an end says after the harm at most until it has to be found. A length that was changed may
/// let a reader wait for the longest packet, and its sender takes turns.
const MOST_SAID: usize = 4 * UNDER_WAY;

impl Simulator<'_> {
    /// Keeps some of what was put on the wires after these lengths.
    pub(super) fn remember(&mut self, before: [usize; 2]) {
        for (way, before) in before.into_iter().enumerate() {
            for packet in commands(&self.wires[way][before..]) {
                if packet.len() <= KEPT_BYTES {
                    self.lately[way].push_back(packet);
                }
            }
            let over = self.lately[way].len().saturating_sub(KEPT);
            self.lately[way].drain(..over);
        }
    }

    /// Somebody harms what is under way in one direction. The end that it reaches refuses it, and the
    /// client returns to the session, which goes on.
    pub(super) fn mutation(&mut self) {
        if self.is_over() {
            return;
        }
        let way = some_way(&mut self.choices);
        // There is something to harm.
        self.say(way, 10);
        self.flush();
        let sent = self.wires[way as usize].clone();
        let harmed = match self.choices.below(9) {
            0..=3 => self.mutate_bytes(sent.clone()),
            _ => self.mutate_packets(way, &sent),
        };
        if harmed == sent {
            return;
        }
        self.wires[way as usize] = harmed;
        self.hear_until_refused(way);
        self.happened.harmed += 1;
        self.lose();
    }

    fn hear_until_refused(&mut self, way: Way) {
        let mut said = 0;
        while self.deliver(way, usize::MAX).is_ok() {
            assert!(said < MOST_SAID, "{way:?}: harm that nobody finds");
            self.say(way, 10_000);
            said += 10_000;
        }
    }

    /// The sender of that direction says something.
    fn say(&mut self, way: Way, length: u16) {
        match way {
            Way::ToServer => self.ask(length.into()),
            Way::ToClient => self.tell(length.into()),
        }
    }

    /// A bit is turned over, or a stretch of bytes is dropped, repeated or swapped.
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

    /// Whole packets are dropped, repeated, moved, reflected, or come from another session. What
    /// arrived of a packet stands first.
    fn mutate_packets(&mut self, way: Way, wire: &[u8]) -> Vec<u8> {
        let half = self.inboxes[way as usize].unread().to_vec();
        let whole = [&half[..], wire].concat();
        let mut packets = commands(&whole);
        // A packet of the original form is several commands, some of which may have arrived whole.
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
            3 => self.insert_one_of_lately(way, &mut packets, at),
            4 => self.insert_one_of_lately(back(way), &mut packets, at),
            _ => packets[at] = self.packet_of_another_session(way),
        }
        packets.concat().split_off(half.len())
    }

    fn insert_one_of_lately(&mut self, way: Way, packets: &mut Vec<Vec<u8>>, at: usize) {
        let lately = &self.lately[way as usize];
        if let Some(packet) = lately.get(self.choices.below(lately.len().max(1))) {
            packets.insert(at, packet.clone());
        }
    }

    fn packet_of_another_session(&mut self, way: Way) -> Vec<u8> {
        let option = some_option(self.site, &mut self.choices);
        let entropy = &mut SeededEntropy::new(1).fork("another");
        let returnable = self.site.returnable();
        let (mut client, mut server) = open(self.site, option, None, entropy);
        if let Some((account, secret)) = returnable {
            self.site.opened(account, secret);
        }
        let mut packet = Vec::new();
        match way {
            Way::ToServer => {
                client.session.keep_alive().unwrap();
                client.session.flush(&mut packet).unwrap();
            }
            Way::ToClient => {
                server.send_options(&self.site.settings.options).unwrap();
                server.flush(&mut packet).unwrap();
            }
        }
        packet
    }
}

fn back(way: Way) -> Way {
    match way {
        Way::ToServer => Way::ToClient,
        Way::ToClient => Way::ToServer,
    }
}

//! Lives of sessions by fixed seeds. A seed that fails fails again.

use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::simulator::{Action, Choices, Happened, Simulator};
use countersign_testkit::site::Site;

use crate::seeds::seeds;

const ACTS: usize = 40;

fn site(max_packet: u32) -> Site {
    let options = OptionList::new(EncryptionOption::ALL);
    Site::offering(options, max_packet)
}

/// Seeds of a part, of which there are five for each length of packets: no test takes long.
const PART: u64 = 680;

/// Whatever the two ends do, and whatever is done to what they say, in any order.
fn runs(max_packet: u32, part: u64) {
    let site = site(max_packet);
    let seeds = seeds(PART);
    let mut all = Happened::default();
    for seed in part * seeds..(part + 1) * seeds {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        simulator.live(ACTS);
        simulator.settle();
        all.add(simulator.happened());
    }
    // The seeds are worth something only if all of this happened.
    let least = Happened {
        answered: 4 * seeds,
        whole: seeds / 4,
        renewed: seeds,
        returned: seeds / 4,
        harmed: seeds / 8,
        expired: seeds / 680,
    };
    assert!(all.is_at_least(&least), "{all:?}");
}

/// [SES-19], [SES-23], [SES-29] and [SES-40] to [SES-48]: harm is found, only what was said is heard, and
/// nobody is stuck.
#[test]
fn ends_understand_each_other_and_find_all_harm_in_packets_of_the_usual_length() {
    runs(65_536, 0);
}

/// The same: messages are cut.
#[test]
fn ends_understand_each_other_and_find_all_harm_in_packets_of_a_page() {
    runs(4_096, 0);
}

/// The same: a message's fixed fields fill a packet.
#[test]
fn ends_understand_each_other_and_find_all_harm_in_the_shortest_packets() {
    runs(256, 0);
}

macro_rules! other_parts {
    ($($name:ident: $max_packet:literal, $part:literal;)*) => {$(
        #[test]
        fn $name() {
            runs($max_packet, $part);
        }
    )*};
}

other_parts! {
    the_same_with_seeds_of_part_1_in_packets_of_the_usual_length: 65_536, 1;
    the_same_with_seeds_of_part_2_in_packets_of_the_usual_length: 65_536, 2;
    the_same_with_seeds_of_part_3_in_packets_of_the_usual_length: 65_536, 3;
    the_same_with_seeds_of_part_4_in_packets_of_the_usual_length: 65_536, 4;
    the_same_with_seeds_of_part_1_in_packets_of_a_page: 4_096, 1;
    the_same_with_seeds_of_part_2_in_packets_of_a_page: 4_096, 2;
    the_same_with_seeds_of_part_3_in_packets_of_a_page: 4_096, 3;
    the_same_with_seeds_of_part_4_in_packets_of_a_page: 4_096, 4;
    the_same_with_seeds_of_part_1_in_the_shortest_packets: 256, 1;
    the_same_with_seeds_of_part_2_in_the_shortest_packets: 256, 2;
    the_same_with_seeds_of_part_3_in_the_shortest_packets: 256, 3;
    the_same_with_seeds_of_part_4_in_the_shortest_packets: 256, 4;
}

/// [SES-19] to [SES-21]
#[test]
fn a_life_with_much_harm_is_a_life_of_many_returns() {
    let site = site(4_096);
    for seed in 0..seeds(300) {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        for _ in 0..6 {
            simulator.live(3);
            simulator.act(Action::Mutation);
        }
        simulator.settle();
        assert!(simulator.happened().harmed >= 3, "seed {seed}");
    }
}

/// [SES-29] and [SES-46]: a clock that is set by a day, forward or back, ends what is over and nothing else.
#[test]
fn a_clock_that_jumps_ends_sessions_that_are_over_and_no_others() {
    let site = site(65_536);
    let mut all = Happened::default();
    for seed in 0..seeds(300) {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        for _ in 0..12 {
            simulator.act(Action::SetClock);
            simulator.live(1);
        }
        simulator.settle();
        all.add(simulator.happened());
    }
    assert!(all.expired > 100 && all.answered > 300, "{all:?}");
}

//! Simulated sessions from fixed seeds. A failure is reproducible from its seed.

use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::simulator::{Action, Choices, Counts, Simulator};
use countersign_testkit::site::Site;

use crate::seeds::seeds;

const ACTIONS: usize = 40;

fn site(max_packet: u32) -> Site {
    let options = OptionList::new(EncryptionOption::ALL);
    Site::offering(options, max_packet)
}

/// The number of seeds of a part. There are five parts for each maximum packet size, so that no
/// test takes long.
const PART: u64 = 680;

/// Simulates the seeds of a part.
fn runs(max_packet: u32, part: u64) {
    let site = site(max_packet);
    let seeds = seeds(PART);
    let mut all = Counts::default();
    for seed in part * seeds..(part + 1) * seeds {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        simulator.run(ACTIONS);
        simulator.settle();
        all.add(simulator.counts());
    }
    // The seeds have to cause enough of each event.
    let least = Counts {
        results: 4 * seeds,
        contents: seeds / 4,
        rekeyings: seeds,
        resumptions: seeds / 4,
        mutations: seeds / 8,
        expirations: seeds / 680,
    };
    assert!(all.is_at_least(&least), "{all:?}");
}

/// [SES-19], [SES-23], [SES-29] and [SES-40] to [SES-48]: mutations are detected, only sent
/// messages are received, and both ends make progress.
#[test]
fn ends_interoperate_and_detect_all_mutations_in_packets_of_the_default_size() {
    runs(65_536, 0);
}

/// The same with messages in several packets.
#[test]
fn ends_interoperate_and_detect_all_mutations_in_packets_of_4096_bytes() {
    runs(4_096, 0);
}

/// The same with packets that a message's fixed fields fill.
#[test]
fn ends_interoperate_and_detect_all_mutations_in_packets_of_the_minimum_size() {
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
    the_same_with_seeds_of_part_1_in_packets_of_the_default_size: 65_536, 1;
    the_same_with_seeds_of_part_2_in_packets_of_the_default_size: 65_536, 2;
    the_same_with_seeds_of_part_3_in_packets_of_the_default_size: 65_536, 3;
    the_same_with_seeds_of_part_4_in_packets_of_the_default_size: 65_536, 4;
    the_same_with_seeds_of_part_1_in_packets_of_4096_bytes: 4_096, 1;
    the_same_with_seeds_of_part_2_in_packets_of_4096_bytes: 4_096, 2;
    the_same_with_seeds_of_part_3_in_packets_of_4096_bytes: 4_096, 3;
    the_same_with_seeds_of_part_4_in_packets_of_4096_bytes: 4_096, 4;
    the_same_with_seeds_of_part_1_in_packets_of_the_minimum_size: 256, 1;
    the_same_with_seeds_of_part_2_in_packets_of_the_minimum_size: 256, 2;
    the_same_with_seeds_of_part_3_in_packets_of_the_minimum_size: 256, 3;
    the_same_with_seeds_of_part_4_in_packets_of_the_minimum_size: 256, 4;
}

/// [SES-19] to [SES-21]
#[test]
fn a_session_survives_many_mutations_by_resumption() {
    let site = site(4_096);
    for seed in 0..seeds(300) {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        for _ in 0..6 {
            simulator.run(3);
            simulator.perform(Action::Mutate);
        }
        simulator.settle();
        assert!(simulator.counts().mutations >= 3, "seed {seed}");
    }
}

/// [SES-29] and [SES-46]: the clock is set forward or back by a day.
#[test]
fn a_clock_that_jumps_ends_expired_sessions_and_no_others() {
    let site = site(65_536);
    let mut all = Counts::default();
    for seed in 0..seeds(300) {
        let mut simulator = Simulator::new(&site, Choices::seeded(seed));
        for _ in 0..12 {
            simulator.perform(Action::SetClock);
            simulator.run(1);
        }
        simulator.settle();
        all.add(simulator.counts());
    }
    assert!(all.expirations > 100 && all.results > 300, "{all:?}");
}

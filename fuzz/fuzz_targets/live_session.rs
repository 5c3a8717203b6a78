//! A live session in which the input decides all that happens, in any order: what the two ends say, what
//! arrives of it and when, what is done to it in between, when the connection is lost, how the clock is
//! set. Harm is found, only what was said is heard, and nobody is stuck (`countersign_testkit::simulator`).

#![no_main]

use std::sync::LazyLock;

use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::simulator::{Choices, Simulator};
use countersign_testkit::site::Site;
use libfuzzer_sys::fuzz_target;

/// As long as packets usually are, and as short as they may be.
static SITES: LazyLock<[Site; 2]> = LazyLock::new(|| {
    [65_536, 256].map(|limit| Site::offering(OptionList::new(EncryptionOption::ALL), limit))
});

const MOST_ACTS: usize = 400;

// The first byte says how long packets are, the rest what happens.
fuzz_target!(|input: &[u8]| {
    let Some((first, chances)) = input.split_first() else {
        return;
    };
    let site = &SITES[usize::from(first % 2)];
    let mut simulator = Simulator::new(site, Choices::written(chances));
    simulator.live(MOST_ACTS);
    simulator.settle();
});

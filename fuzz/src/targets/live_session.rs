//! Simulates a session (`countersign_testkit::simulator`). The input makes all choices: the actions
//! of both ends, the bytes that arrive, the mutations, lost connections and settings of the clock.
//! Mutations are detected, only sent messages are received, and both ends make progress.

use std::sync::LazyLock;

use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::simulator::{Choices, Simulator};
use countersign_testkit::site::Site;

/// Sites with the default and with the minimum packet size.
static SITES: LazyLock<[Site; 2]> = LazyLock::new(|| {
    [65_536, 256].map(|limit| Site::offering(OptionList::new(EncryptionOption::ALL), limit))
});

const MAX_ACTIONS: usize = 400;

// The first byte selects the packet size, the rest the choices.
pub(super) fn run(input: &[u8]) {
    let Some((first, choices)) = input.split_first() else {
        return;
    };
    let site = &SITES[usize::from(first % 2)];
    let mut simulator = Simulator::new(site, Choices::written(choices));
    simulator.run(MAX_ACTIONS);
    simulator.settle();
}

//! Random meddling from fixed seeds. A seed that fails fails again.

use countersign_proto::session::EncryptionOption;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::server::FromClient;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::Who;
use countersign_testkit::simulator::operation;
use countersign_testkit::wire::{Hostile, Splitting};

use crate::dialog::{log_in, site};
use crate::seeds::seeds;

/// [SES-6], [SES-19] and [SES-21]: what either end accepts had come unchanged and in order, and what it
/// heard is what the other said, from the first word on.
#[test]
fn whatever_is_done_to_a_service_only_what_was_said_is_heard() {
    let seeds = seeds(2_000);
    let sites = EncryptionOption::ALL.map(site);
    let (mut logged_in, mut harmed, mut ended) = (0, 0, 0);
    for seed in 0..seeds {
        let mut choices = SeededEntropy::new(seed).fork("choices");
        let site = &sites[choices.below(sites.len())];
        // Half of the logins are left alone, so that there are sessions to meddle with.
        let mut pair = if choices.one_in(2) {
            let mut wire = Splitting(choices.fork("honest"));
            log_in(site, Who::Service(&site.robot), seed, &mut wire)
        } else {
            let mut wire = Hostile::new(choices.fork("login"), 4);
            let pair = log_in(site, Who::Service(&site.robot), seed, &mut wire);
            assert_eq!(wire.harmed == 0, pair.client.is_live(), "seed {seed}");
            assert!(wire.harmed > 0 || !pair.is_stuck(), "seed {seed}");
            pair
        };
        logged_in += u64::from(pair.client.is_live());

        let mut wire = Hostile::new(choices.fork("live"), 6);
        let mut said = Vec::new();
        for round in 0..4 {
            for _ in 0..=choices.below(3) {
                let length = [0, 10, 300, 5_000][choices.below(4)];
                let operation = operation(1 + round * 10 + said.len() as u64, length);
                pair.client.ask(&operation);
                said.push(operation);
            }
            pair.run(&mut wire);
        }
        harmed += u64::from(wire.harmed > 0);
        ended += u64::from(pair.client.opened() && pair.client.over().is_some());

        pair.assert_accepted_as_sent();
        for (at, heard) in pair.server.heard().iter().enumerate() {
            let FromClient::Operation(operation) = heard else {
                panic!("seed {seed}: {heard:?}")
            };
            assert_eq!(operation, &said[at], "seed {seed}");
        }
        for (at, heard) in pair.client.heard().iter().enumerate() {
            let FromSite::Outcome(outcome) = heard else {
                panic!("seed {seed}: {heard:?}")
            };
            let answered = (outcome.id, outcome.data.get());
            assert_eq!(
                answered,
                (said[at].id, said[at].params.get()),
                "seed {seed}"
            );
        }
        assert!(pair.client.heard().len() <= pair.server.heard().len());
        if pair.client.is_live() && wire.harmed == 0 {
            assert_eq!(pair.client.heard().len(), said.len(), "seed {seed}");
        }
    }
    // The seeds are worth something only if all of this happened.
    for count in [logged_in, harmed, ended] {
        assert!(count > seeds / 4, "{logged_in} {harmed} {ended}");
    }
}

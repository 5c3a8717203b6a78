//! Random interference from fixed seeds. A failure is reproducible from its seed.

use countersign_proto::session::EncryptionOption;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::server::FromClient;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::Who;
use countersign_testkit::simulator::operation;
use countersign_testkit::wire::{Hostile, Splitting};

use crate::dialog::{log_in, site};
use crate::seeds::seeds;

/// [SES-6], [SES-19] and [SES-21]: each end accepts only bytes that arrived unchanged and in order,
/// and the messages that it receives are the first messages that the other end sent.
#[test]
fn only_sent_messages_are_received_under_random_interference() {
    let seeds = seeds(2_000);
    let sites = EncryptionOption::ALL.map(site);
    let (mut logged_in, mut mutated, mut ended) = (0, 0, 0);
    for seed in 0..seeds {
        let mut choices = SeededEntropy::new(seed).fork("choices");
        let site = &sites[choices.below(sites.len())];
        // Half of the logins are honest, so that there are sessions to interfere with.
        let mut pair = if choices.one_in(2) {
            let mut wire = Splitting(choices.fork("honest"));
            log_in(site, Who::Service(&site.robot), seed, &mut wire)
        } else {
            let mut wire = Hostile::new(choices.fork("login"), 4);
            let pair = log_in(site, Who::Service(&site.robot), seed, &mut wire);
            assert_eq!(wire.mutated == 0, pair.client.is_live(), "seed {seed}");
            assert!(wire.mutated > 0 || !pair.is_stuck(), "seed {seed}");
            pair
        };
        logged_in += u64::from(pair.client.is_live());

        let mut wire = Hostile::new(choices.fork("live"), 6);
        let mut sent = Vec::new();
        for round in 0..4 {
            for _ in 0..=choices.below(3) {
                let length = [0, 10, 300, 5_000][choices.below(4)];
                let operation = operation(1 + round * 10 + sent.len() as u64, length);
                pair.client.send_operation(&operation);
                sent.push(operation);
            }
            pair.run(&mut wire);
        }
        mutated += u64::from(wire.mutated > 0);
        ended += u64::from(pair.client.had_session() && pair.client.closed().is_some());

        pair.assert_accepted_as_sent();
        for (at, received) in pair.server.received().iter().enumerate() {
            let FromClient::Operation(operation) = received else {
                panic!("seed {seed}: {received:?}")
            };
            assert_eq!(operation, &sent[at], "seed {seed}");
        }
        for (at, received) in pair.client.received().iter().enumerate() {
            let FromSite::Outcome(outcome) = received else {
                panic!("seed {seed}: {received:?}")
            };
            let answered = (outcome.id, outcome.data.get());
            assert_eq!(
                answered,
                (sent[at].id, sent[at].params.get()),
                "seed {seed}"
            );
        }
        assert!(pair.client.received().len() <= pair.server.received().len());
        if pair.client.is_live() && wire.mutated == 0 {
            assert_eq!(pair.client.received().len(), sent.len(), "seed {seed}");
        }
    }
    // The seeds have to cause enough of each event.
    for count in [logged_in, mutated, ended] {
        assert!(count > seeds / 4, "{logged_in} {mutated} {ended}");
    }
}

//! A server and whoever connects to it; a client and a site whose options it does not know yet.

use countersign_crypto::entropy::Entropy;
use countersign_proto::session::limits::{UNAUTHENTICATED_ANSWER_BYTES, UNAUTHENTICATED_BYTES};
use countersign_proto::session::{EncryptionOption, OptionList, command};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::{LIFE, Pair, Server, Who};
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Honest, Splitting, Way, Wire};

/// [SES-1], [SES-3] and [SES-5]: bytes that mean nothing, some of them after a sound beginning.
#[test]
fn a_server_survives_any_bytes_and_says_little() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    let mut client = Pair::new(&site, site.client(), Who::MARIA, 1).client;
    let sound = client.take_outbox();
    for seed in 0..3_000 {
        let mut choices = SeededEntropy::new(seed).fork("stranger");
        let mut server = Server::new(&site, choices.fork("server"), LIFE);
        assert!(server.take_outbox().is_empty(), "nobody has asked");

        let mut bytes = sound[..choices.below(sound.len() + 1)].to_vec();
        let mut noise = vec![0; choices.below(UNAUTHENTICATED_BYTES * 2)];
        choices.fill(&mut noise);
        // Half of the noise begins as commands do that have no value or a short one.
        if choices.one_in(2) {
            noise.chunks_mut(2).for_each(|command| command[0] = 0x70);
        }
        bytes.extend(noise);
        for piece in Splitting(choices).carry(Way::ToServer, bytes) {
            server.receive(0, &piece);
        }
        assert_eq!(server.opened(), None, "seed {seed}");
        // An ERROR may follow the answer.
        let answered = server.take_outbox().len();
        assert!(answered <= UNAUTHENTICATED_ANSWER_BYTES + 3, "seed {seed}");
    }
    assert!(site.settings.static_keys.is_empty());
}

/// [SES-3]: what was answered to questions counts together with the answer to a login.
#[test]
fn whoever_asks_much_and_then_logs_in_is_sent_no_more_than_others() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let login = Pair::new(&site, site.client(), who, 1).client.take_outbox();
        for questions in 0..200 {
            let mut wire = command::OPTIONS_REQUEST.0.to_be_bytes().repeat(questions);
            wire.extend(&login);
            let mut server = Server::new(&site, SeededEntropy::new(1), LIFE);
            server.receive(0, &wire);
            let answered = server.take_outbox().len();
            assert!(answered <= UNAUTHENTICATED_ANSWER_BYTES + 3, "{questions}");
        }
    }
}

/// [SES-9]
#[test]
fn a_client_that_knows_no_acceptable_option_asks_and_waits() {
    let option = EncryptionOption::X25519ChaCha20Poly1305;
    let site = Site::offering(OptionList::new([option]), 65_536);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let mut settings = site.client();
        settings.options = OptionList::default();
        let mut pair = Pair::new(&site, settings, who, 1);
        pair.run(&mut Honest);
        let asked = command::OPTIONS_REQUEST.0.to_be_bytes();
        assert_eq!(pair.flights[0].bytes, asked, "nothing but the question");
        assert_eq!(pair.flights.len(), 6);
        assert!(pair.client.is_live() && pair.server.is_live());
    }
}

//! A server and unauthenticated clients; a client without the site's list of options.

use countersign_crypto::entropy::Entropy;
use countersign_proto::session::limits::{UNAUTHENTICATED_ANSWER_BYTES, UNAUTHENTICATED_BYTES};
use countersign_proto::session::{EncryptionOption, OptionList, command};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::{Pair, SESSION_LIFETIME, Server, Who};
use countersign_testkit::site::Site;
use countersign_testkit::wire::{Direction, Honest, Splitting, Wire};

/// [SES-1], [SES-3] and [SES-5]: random bytes, some of them after the beginning of a valid flight.
#[test]
fn a_server_survives_any_bytes_and_sends_little() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    let mut client = Pair::new(&site, site.client(), Who::MARIA, 1).client;
    let valid = client.take_outbox();
    for seed in 0..3_000 {
        let mut choices = SeededEntropy::new(seed).fork("unauthenticated");
        let mut server = Server::new(&site, choices.fork("server"), SESSION_LIFETIME);
        assert!(
            server.take_outbox().is_empty(),
            "the server sends nothing unprompted"
        );

        let mut bytes = valid[..choices.below(valid.len() + 1)].to_vec();
        let mut noise = vec![0; choices.below(UNAUTHENTICATED_BYTES * 2)];
        choices.fill(&mut noise);
        // Half of the noise has the form of commands with no value or a short one.
        if choices.one_in(2) {
            noise.chunks_mut(2).for_each(|command| command[0] = 0x70);
        }
        bytes.extend(noise);
        for piece in Splitting(choices).carry(Direction::ToServer, bytes) {
            server.receive(0, &piece);
        }
        assert_eq!(server.session_account(), None, "seed {seed}");
        // An ERROR may follow the reply.
        let answered = server.take_outbox().len();
        assert!(answered <= UNAUTHENTICATED_ANSWER_BYTES + 3, "seed {seed}");
    }
    assert!(site.settings.static_keys.is_empty());
}

/// [SES-3]: the limit applies to the replies to requests and to the login together.
#[test]
fn a_client_with_many_requests_before_its_login_gets_no_more_bytes_than_others() {
    let site = Site::offering(OptionList::new(EncryptionOption::ALL), 65_536);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let login = Pair::new(&site, site.client(), who, 1).client.take_outbox();
        for questions in 0..200 {
            let mut wire = command::OPTIONS_REQUEST.0.to_be_bytes().repeat(questions);
            wire.extend(&login);
            let mut server = Server::new(&site, SeededEntropy::new(1), SESSION_LIFETIME);
            server.receive(0, &wire);
            let answered = server.take_outbox().len();
            assert!(answered <= UNAUTHENTICATED_ANSWER_BYTES + 3, "{questions}");
        }
    }
}

/// [SES-9]
#[test]
fn a_client_without_an_acceptable_option_requests_the_list_and_waits() {
    let option = EncryptionOption::X25519ChaCha20Poly1305;
    let site = Site::offering(OptionList::new([option]), 65_536);
    for who in [Who::MARIA, Who::Service(&site.robot)] {
        let mut settings = site.client();
        settings.options = OptionList::default();
        let mut pair = Pair::new(&site, settings, who, 1);
        pair.run(&mut Honest);
        let asked = command::OPTIONS_REQUEST.0.to_be_bytes();
        assert_eq!(
            pair.flights[0].bytes, asked,
            "only the request for the list"
        );
        assert_eq!(pair.flights.len(), 6);
        assert!(pair.client.is_live() && pair.server.is_live());
    }
}

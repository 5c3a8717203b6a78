//! Gives any bytes, in any pieces, to a client that logs in as a person or a service. The client
//! never accepts them as its site's, and sends nothing but first flights.

use std::sync::LazyLock;

use countersign_proto::session::{EncryptionOption, OptionList, command};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::{Client, Who};
use countersign_testkit::site::Site;
use countersign_testkit::wire::commands;

static SITE: LazyLock<Site> =
    LazyLock::new(|| Site::offering(OptionList::new(EncryptionOption::ALL), 65_536));

// The first byte selects the account and whether it uses the original dialog, the second the length
// of the pieces.
pub(super) fn run(input: &[u8]) {
    let [who, piece, wire @ ..] = input else {
        return;
    };
    let original = who & 2 != 0;
    let who = match who % 2 {
        0 => Who::MARIA,
        _ => Who::Service(&SITE.robot),
    };
    let mut settings = SITE.client();
    if original {
        settings.accepted = vec![EncryptionOption::DeliveredKey];
    }
    let mut client = Client::new(settings, who, SeededEntropy::new(1));
    for piece in wire.chunks(usize::from(*piece).max(1)) {
        client.receive(piece);
    }
    assert!(!client.had_session());
    let secret = [command::SESSION_PROOF, command::WRAPPED].map(|command| command.0.to_be_bytes());
    for command in commands(&client.take_outbox()) {
        assert!(!secret.iter().any(|secret| command.starts_with(secret)));
    }
}

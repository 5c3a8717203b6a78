//! Gives any bytes, in any pieces, to a server with known accounts. It never authenticates the
//! sender.

use std::sync::LazyLock;

use countersign_proto::session::limits::UNAUTHENTICATED_ANSWER_BYTES;
use countersign_proto::session::{EncryptionOption, OptionList};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::pair::Server;
use countersign_testkit::site::Site;

static SITE: LazyLock<Site> =
    LazyLock::new(|| Site::offering(OptionList::new(EncryptionOption::ALL), 65_536));

// The first byte is the length of the pieces.
pub(super) fn run(input: &[u8]) {
    let Some((piece, wire)) = input.split_first() else {
        return;
    };
    let mut server = Server::new(&SITE, SeededEntropy::new(1), u64::MAX);
    for piece in wire.chunks(usize::from(*piece).max(1)) {
        server.receive(0, piece);
    }
    assert_eq!(server.session_account(), None);
    // An ERROR may follow the replies.
    assert!(server.take_outbox().len() <= UNAUTHENTICATED_ANSWER_BYTES + 3);
}

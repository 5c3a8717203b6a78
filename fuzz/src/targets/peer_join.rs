//! The first line of a client on the peer port from any bytes: what is read does not depend on how the bytes are cut,
//! and nothing opens or verifies that was not made for this site and connection. The first byte says in which pieces
//! the bytes arrive; with an even one the rest is what was sealed.

use countersign_crypto::agreement::AgreementKey;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::Exporter;
use countersign_proto::peer::{AwaitingFirst, FirstStep, JoinAnswer, JoinRequest};
use countersign_proto::site_identity::KeyEventsRequest;

pub(super) fn run(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    if size % 2 == 0 {
        if let Ok(request) = JoinRequest::read(bytes) {
            let site = SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32]))).public();
            // The seeds were made for another connection.
            assert!(request.verify(&Exporter([0; 32]), &site).is_err());
        }
        let _ = JoinAnswer::read(bytes);
        let _ = KeyEventsRequest::read_answer(bytes);
    }
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(*size).max(1)));
}

fn read(bytes: &[u8], size: usize) -> Option<String> {
    let mut waiting = AwaitingFirst::new();
    for piece in bytes.chunks(size) {
        assert!(waiting.room() > 0);
        match waiting.receive(piece).ok()? {
            FirstStep::More(more) => waiting = more,
            FirstStep::KeyEvents(asked) => return Some(format!("{asked:?}")),
            FirstStep::Join(sealed) => {
                let key = AgreementKey::from_secret(Secret::from_bytes([1; 32]));
                assert!(sealed.open(&key, &Exporter([0; 32])).is_err());
                return Some(format!("{sealed:?}"));
            }
        }
    }
    None
}

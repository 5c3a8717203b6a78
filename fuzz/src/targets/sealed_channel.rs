//! The bytes that open a sealed channel and its records, at both ends. How the bytes are cut does not matter, and
//! what an end takes is bounded.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::channel::client::{AwaitingSiteKey, SiteKeyStep};
use countersign_proto::enrolment::channel::{
    AwaitingClientKey, CLIENT_KEY_LENGTH, ClientKey, ClientKeyStep, MAX_SEALED_RECORD,
    SealedChannel,
};

/// Entropy that repeats, so that a finding does too.
struct Recorded;

impl Entropy for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }

    fn fill_kem(&mut self, out: &mut [u8]) -> bool {
        out.fill(7);
        true
    }
}

pub(super) fn run(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let whole = client_key(bytes, CLIENT_KEY_LENGTH).map(|key| answer(&key));
    let in_pieces = client_key(bytes, size).map(|key| answer(&key));
    assert!(whole == in_pieces);
    let (mut awaiting, key) = AwaitingSiteKey::start(&mut Recorded);
    for piece in bytes.chunks(size) {
        match awaiting.receive(piece) {
            Ok(SiteKeyStep::More(more)) => awaiting = more,
            Ok(SiteKeyStep::Open(channel, _)) => {
                records(*channel, bytes, size);
                break;
            }
            Err(_) => break,
        }
    }
    let Some(key) = client_key(&key, CLIENT_KEY_LENGTH) else {
        panic!("the client's own key is refused");
    };
    let Some((of_site, _)) = key.answer(site().signing(), &mut Recorded).ok() else {
        panic!("the client's own key is not answered");
    };
    records(of_site, bytes, size);
}

fn site() -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])))
}

fn client_key(bytes: &[u8], size: usize) -> Option<ClientKey> {
    let mut awaiting = AwaitingClientKey::new();
    for piece in bytes.chunks(size) {
        assert!(awaiting.room() > 0);
        match awaiting.receive(piece).ok()? {
            ClientKeyStep::More(more) => awaiting = more,
            ClientKeyStep::Key(key) => return Some(key),
        }
    }
    None
}

fn answer(key: &ClientKey) -> Option<Vec<u8>> {
    let answered = key.answer(site().signing(), &mut Recorded);
    answered.ok().map(|(_, answer)| answer)
}

fn records(mut channel: SealedChannel, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        assert!((1..=MAX_SEALED_RECORD + 18).contains(&channel.room()));
        match channel.receive(piece) {
            Ok((next, text)) => {
                assert!(text.expose().is_empty(), "a record was forged");
                channel = next;
            }
            Err(_) => return,
        }
    }
}

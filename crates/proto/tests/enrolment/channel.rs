//! A sealed channel: both ends, however the bytes are cut, and what is refused at which stage.

use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_crypto::hash::sha256;
use countersign_crypto::identity::Identity;
use countersign_proto::enrolment::Token;
use countersign_proto::enrolment::channel::client::{AwaitingSiteKey, BadSiteKey, SiteKeyStep};
use countersign_proto::enrolment::channel::{
    AwaitingClientKey, BadClientKey, BadSealedRecord, CLIENT_KEY_LENGTH, ClientKey, ClientKeyStep,
    MAX_SEALED_RECORD, SITE_KEY_LENGTH, SealedChannel,
};
use countersign_proto::enrolment::passphrase::RegistrationRequest;
use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::site;

/// Entropy that repeats, also for ML-KEM.
struct Recorded(u8);

impl Entropy for Recorded {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(self.0);
    }

    fn fill_kem(&mut self, out: &mut [u8]) -> bool {
        out.fill(self.0);
        true
    }
}

fn client_key(bytes: &[u8], size: usize) -> Result<ClientKey, BadClientKey> {
    let mut awaiting = AwaitingClientKey::new();
    for piece in bytes.chunks(size) {
        match awaiting.receive(piece)? {
            ClientKeyStep::More(more) => awaiting = more,
            ClientKeyStep::Key(key) => return Ok(key),
        }
    }
    panic!("the key is incomplete")
}

fn site_key(
    mut awaiting: AwaitingSiteKey,
    answer: &[u8],
    size: usize,
) -> Result<SealedChannel, BadSiteKey> {
    for piece in answer.chunks(size) {
        match awaiting.receive(piece)? {
            SiteKeyStep::More(more) => awaiting = more,
            SiteKeyStep::Open(channel, key) => {
                assert_eq!(key, site().public().signing);
                return Ok(*channel);
            }
        }
    }
    panic!("the answer is incomplete")
}

/// Both ends of a channel: client, site.
fn pair(entropy: &mut dyn Entropy) -> (SealedChannel, SealedChannel) {
    let (awaiting, key) = AwaitingSiteKey::start(entropy);
    let key = client_key(&key, CLIENT_KEY_LENGTH).unwrap();
    let (of_site, answer) = key.answer(site().signing(), entropy).unwrap();
    (
        site_key(awaiting, &answer, SITE_KEY_LENGTH).unwrap(),
        of_site,
    )
}

fn opened(channel: SealedChannel, sealed: &[u8], size: usize) -> Result<Vec<u8>, BadSealedRecord> {
    let (mut channel, mut rest) = (channel, sealed);
    let mut text = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(size.min(channel.room()).min(rest.len()));
        let (next, part) = channel.receive(piece)?;
        text.extend_from_slice(part.expose());
        (channel, rest) = (next, later);
    }
    Ok(text)
}

// DEV-60
#[test]
fn both_ends_have_the_same_channel_however_the_bytes_are_cut() {
    for size in [1, 7, 1_000, CLIENT_KEY_LENGTH] {
        let (awaiting, key) = AwaitingSiteKey::start(&mut SystemEntropy);
        assert_eq!(key.len(), CLIENT_KEY_LENGTH);
        let key = client_key(&key, size).unwrap();
        let answered = key.answer(site().signing(), &mut SystemEntropy);
        let (mut of_site, answer) = answered.unwrap();
        assert_eq!(answer.len(), SITE_KEY_LENGTH);
        let mut of_client = site_key(awaiting, &answer, size).unwrap();
        assert_eq!(of_client.exporter(), of_site.exporter());
        let from_client = of_client.seal(b"from the client").unwrap();
        let from_site = of_site.seal(b"from the site").unwrap();
        assert_eq!(
            opened(of_site, &from_client, size).unwrap(),
            b"from the client"
        );
        assert_eq!(
            opened(of_client, &from_site, size).unwrap(),
            b"from the site"
        );
    }
}

/// Another implementation compares its own bytes with these.
// DEV-61
#[test]
fn the_bytes_of_a_channel_with_fixed_randomness_are_stable() {
    let (mut of_client, mut of_site) = pair(&mut Recorded(7));
    let (_, key) = AwaitingSiteKey::start(&mut Recorded(7));
    let answer = client_key(&key, CLIENT_KEY_LENGTH).unwrap();
    let (_, answer) = answer.answer(site().signing(), &mut Recorded(7)).unwrap();
    let digest = |bytes: &[u8]| HEXLOWER.encode(&sha256(bytes));
    let vector = [
        digest(&key),
        digest(&answer),
        HEXLOWER.encode(&of_client.exporter().0),
        HEXLOWER.encode(&of_client.seal(b"one\n").unwrap()),
        HEXLOWER.encode(&of_site.seal(b"two\n").unwrap()),
    ];
    assert_eq!(vector, VECTOR);
}

/// SHA-256 of the client's key and of the site's answer; exporter; a record of each end.
const VECTOR: [&str; 5] = [
    "74943b4ecd441ec7f92d22c3fb377a29cd7fb96687efda8fae74ae2219a1c279",
    "f9f317f435ba6ee0c17e0d22003852672ac58896358348d52d0f4a695a78e5f7",
    "ce1c8d0a60d86a60adaef06a2aa028be4519bfe33073887d9d4d8872badfadbb",
    "0014f8144432c007afafccb7d21075b9acda7d96240c",
    "0014e9214e8170d90025d7c5f1c548d5bf1b80f5ae8d",
];

// DEV-60
#[test]
fn a_changed_byte_anywhere_in_the_answer_opens_no_channel() {
    let (_, key) = AwaitingSiteKey::start(&mut Recorded(1));
    let key = client_key(&key, CLIENT_KEY_LENGTH).unwrap();
    let (_, answer) = key.answer(site().signing(), &mut Recorded(2)).unwrap();
    for at in (0..SITE_KEY_LENGTH)
        .step_by(61)
        .chain([SITE_KEY_LENGTH - 1])
    {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        let (awaiting, _) = AwaitingSiteKey::start(&mut Recorded(1));
        let refused = site_key(awaiting, &changed, SITE_KEY_LENGTH);
        assert!(matches!(refused, Err(BadSiteKey::Signature(_))), "{at}");
    }
    // The answer to another client.
    let (awaiting, _) = AwaitingSiteKey::start(&mut Recorded(3));
    let refused = site_key(awaiting, &answer, SITE_KEY_LENGTH);
    assert!(matches!(refused, Err(BadSiteKey::Signature(_))));
}

// DEV-60
#[test]
fn a_client_key_that_is_none_is_refused_before_public_key_work() {
    let refused = client_key(&[0xff; CLIENT_KEY_LENGTH], 100);
    assert!(matches!(refused, Err(BadClientKey::Key(_))));
    // The X25519 half is a point of small order, which only the work shows.
    let (_, mut key) = AwaitingSiteKey::start(&mut SystemEntropy);
    key[CLIENT_KEY_LENGTH - 32..].fill(0);
    let key = client_key(&key, CLIENT_KEY_LENGTH).unwrap();
    let refused = key.answer(site().signing(), &mut SystemEntropy);
    assert!(matches!(refused, Err(BadClientKey::SmallOrder(_))));
}

// DEV-62
#[test]
fn a_record_has_its_limits_and_its_place() {
    let length = |bytes: u16| [&bytes.to_be_bytes()[..], &[0; 64]].concat();
    let most = u16::try_from(MAX_SEALED_RECORD + 16).unwrap();
    for wrong in [0, 15, 16, most + 1, u16::MAX] {
        let (_, of_site) = pair(&mut SystemEntropy);
        let refused = of_site.receive(&length(wrong)).err();
        assert_eq!(refused, Some(BadSealedRecord::Length(wrong)));
    }
    for right in [17, most] {
        let (_, of_site) = pair(&mut SystemEntropy);
        let refused = of_site.receive(&length(right)).err();
        assert!(
            !matches!(refused, Some(BadSealedRecord::Length(_))),
            "{right}"
        );
    }
    // The longest one, and one that is cut into two.
    for length in [MAX_SEALED_RECORD, MAX_SEALED_RECORD + 1] {
        let (mut of_client, of_site) = pair(&mut SystemEntropy);
        let sealed = of_client.seal(&vec![1; length]).unwrap();
        assert_eq!(opened(of_site, &sealed, 1_024).unwrap().len(), length);
    }
    // Repeated, exchanged, reflected, and one bit changed.
    let (mut of_client, of_site) = pair(&mut SystemEntropy);
    let (one, two) = (of_client.seal(b"1").unwrap(), of_client.seal(b"2").unwrap());
    let twice = [&one[..], &one].concat();
    assert!(matches!(
        opened(of_site, &twice, 99),
        Err(BadSealedRecord::Record(_))
    ));
    let (_, of_site) = pair(&mut SystemEntropy);
    assert!(matches!(
        opened(of_site, &two, 99),
        Err(BadSealedRecord::Record(_))
    ));
    assert!(matches!(
        opened(of_client, &one, 99),
        Err(BadSealedRecord::Record(_))
    ));
    let (mut of_client, of_site) = pair(&mut SystemEntropy);
    let mut changed = of_client.seal(b"1").unwrap();
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(
        opened(of_site, &changed, 99),
        Err(BadSealedRecord::Record(_))
    ));
}

/// A server in the middle, to which a client wants to go, passes the client's request on to another site.
// DEV-65
#[test]
fn a_proof_of_one_channel_is_of_no_use_on_another() {
    let (one, _) = pair(&mut SystemEntropy);
    let (other, of_site) = pair(&mut SystemEntropy);
    let request = |channel: &SealedChannel| {
        let token = Token::from_bytes([2; 16]);
        let id = "ada@example.org".parse().unwrap();
        let identity = Identity::generate(&mut SystemEntropy);
        RegistrationRequest::new(token, id, &identity, vec![5; 32], channel.exporter()).unwrap()
    };
    assert!(request(&other).verify(of_site.exporter()).is_ok());
    assert!(request(&one).verify(of_site.exporter()).is_err());
}

#[test]
fn a_channel_does_not_print_its_keys() {
    let (of_client, _) = pair(&mut SystemEntropy);
    assert_eq!(format!("{of_client:?}"), "SealedChannel(..)");
}

proptest! {
    // Each case agrees on keys, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_passes_in_pieces_of_any_size(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9_000), 0..4),
        size in 1_usize..5_000,
    ) {
        let (mut of_client, of_site) = pair(&mut Recorded(5));
        let sealed: Vec<_> = texts.iter().flat_map(|text| of_client.seal(text).unwrap()).collect();
        prop_assert_eq!(opened(of_site, &sealed, size).unwrap(), texts.concat());
    }

    #[test]
    fn no_bytes_make_either_end_panic(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let (_, of_site) = pair(&mut Recorded(5));
        let _ = of_site.receive(&bytes);
        let _ = AwaitingClientKey::new().receive(&bytes);
        let (awaiting, _) = AwaitingSiteKey::start(&mut Recorded(5));
        let _ = awaiting.receive(&bytes);
    }
}

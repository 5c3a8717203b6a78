//! Gives any bytes to the site, the provider and the consumer of the broker's edition v1, and to
//! the parser of Hawk headers. None of them accepts an unsigned message.

use std::sync::LazyLock;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1::consumer::{ResponseAction, V1Consumer};
use countersign_proto::broker::v1::hawk::Header;
use countersign_proto::broker::v1::provider::V1Provider;
use countersign_proto::broker::v1::site::V1Site;

const NOW: u64 = 1_795_203_562_570;

struct Parties {
    master: V1Site,
    provider: V1Provider,
    consumer: V1Consumer,
    unregistered: RsaPublicKey,
}

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let key = |pem: &str| RsaKey::from_pem(&pem.to_owned().into()).unwrap();
    let master = || {
        key(include_str!(
            "../../../vectors/serveros/keys/master.key.pem"
        ))
    };
    let consumer = key(include_str!(
        "../../../vectors/serveros/keys/consumer.key.pem"
    ));
    let provider = key(include_str!(
        "../../../vectors/serveros/keys/provider.key.pem"
    ));
    let (ciphers, hashes) = (Cipher::ALL.to_vec(), RsaHash::ALL.to_vec());
    Parties {
        unregistered: provider.public().clone(),
        provider: V1Provider {
            id: "Application B".to_owned(),
            keys: vec![provider],
            site_keys: vec![master().public().clone()],
            ciphers: ciphers.clone(),
            hashes: hashes.clone(),
        },
        consumer: V1Consumer {
            id: "Application A".to_owned(),
            keys: vec![consumer],
            site_keys: vec![master().public().clone()],
            ciphers: ciphers.clone(),
            hashes: hashes.clone(),
        },
        master: V1Site {
            keys: vec![master()],
            ciphers,
            hashes,
        },
    }
});

// The first byte selects the recipient of the rest.
pub(super) fn run(input: &[u8]) {
    let Some((recipient, text)) = input.split_first() else {
        return;
    };
    let parties = &*PARTIES;
    match recipient % 5 {
        0 => {
            let text = String::from_utf8_lossy(text);
            if let Ok(opened) = parties.master.open(&text) {
                let unregistered = &parties.unregistered;
                assert!(
                    opened
                        .verify(&parties.master, None, unregistered, NOW)
                        .is_err()
                );
            }
        }
        1 => {
            if let Err(refusal) = parties.provider.accept(text, NOW) {
                assert!(refusal.body().len() < 1_024);
            }
        }
        2 | 3 => {
            let status = if recipient % 5 == 2 { 200 } else { 409 };
            let entropy = &mut SystemEntropy;
            let (asked, _) = parties.consumer.ask("Application B", NOW, entropy).unwrap();
            let answered = parties
                .consumer
                .read_response(asked, status, text, NOW, entropy);
            assert!(!matches!(answered, Ok(ResponseAction::Granted(_))));
        }
        _ => drop(Header::parse(&String::from_utf8_lossy(text))),
    }
}

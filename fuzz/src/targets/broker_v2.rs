//! Gives any bytes to the site, the provider and the consumer of the broker's edition v2, and to
//! the parser of signed requests. They accept no message without a valid signature; only the seeds
//! have such messages.

use std::sync::{Arc, LazyLock};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::broker::v2::signature::{self, Fields, UnverifiedSignature};
use countersign_proto::broker::v2::site::{Site, UnverifiedRequest};
use countersign_proto::broker::v2::{Credentials, TicketKey};

const NOW: u64 = 1_800_000_000_000;

struct Parties {
    site: Site,
    provider: Provider,
    consumer: Consumer,
    unregistered: PartyPublic,
}

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let party = |byte| {
        let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
        PartyKey::new(Arc::new(Identity::from_seed(seed)))
    };
    Parties {
        unregistered: party(9).public().clone(),
        provider: Provider {
            id: "ledger".to_owned(),
            keys: vec![party(3)],
            site: "example.org".to_owned(),
            site_keys: vec![party(1).public().clone()],
            ticket_keys: vec![TicketKey::new(Secret::from_bytes([7; 32]), NOW, NOW + 1)],
        },
        consumer: Consumer {
            id: "billing".to_owned(),
            keys: vec![party(2)],
            site: "example.org".to_owned(),
            site_keys: vec![party(1).public().clone()],
            suite: SealingSuite::X25519,
        },
        site: Site {
            id: "example.org".to_owned(),
            keys: vec![party(1)],
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
            if let Ok(request) = UnverifiedRequest::read(text) {
                assert!(
                    request
                        .verify(&parties.site, None, &parties.unregistered, NOW)
                        .is_err()
                );
            }
        }
        1 => {
            if let Ok(presented) = parties.provider.accept(text, NOW) {
                // A valid one is in a seed.
                assert_eq!(presented.requester(), "billing");
            }
        }
        2 => {
            let (asked, _) = parties
                .consumer
                .ask("ledger", NOW, &mut SystemEntropy)
                .unwrap();
            assert!(parties.consumer.read_response(asked, text).is_err());
        }
        3 => {
            let text = String::from_utf8_lossy(text);
            let mut lines = text.lines().map(str::to_owned);
            let mut line = || lines.next().unwrap_or_default();
            let fields = Fields {
                signature_input: line(),
                signature: line(),
                content_digest: line(),
            };
            if let Ok(signed) = UnverifiedSignature::read(&fields) {
                let credentials = Credentials {
                    application: "billing".to_owned(),
                    id: signed.id(),
                    secret: Secret::from_bytes([5; 32]),
                    expires: u64::MAX,
                };
                let request = signature::HttpRequest {
                    method: "GET",
                    authority: "ledger.example.org",
                    target: "/",
                    content: &[],
                };
                assert!(signed.verify(&credentials, &request, NOW / 1_000).is_err());
            }
        }
        _ => {
            if let Ok(clock) = serde_json::from_slice::<Clock>(text) {
                let site = &parties.consumer.site_keys;
                // A valid one is in a seed.
                assert!(matches!(
                    clock.offset(Nonce([0; 16]), site, NOW),
                    None | Some(0)
                ));
            }
        }
    }
}

//! A site, a consumer and a provider that are registered with each other.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::consumer::{Consumer, IssuedTicket, PendingPresentation};
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::broker::v2::site::{Application, Site, UnverifiedRequest};
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use serde_json::value::to_raw_value;

pub(super) const NOW: u64 = 1_800_000_000_000;
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const A: &str = "billing";
pub(super) const B: &str = "ledger";
pub(super) const SITE: &str = "example.org";

pub(super) fn party(byte: u8) -> PartyKey {
    let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

pub(super) fn public(byte: u8) -> PartyPublic {
    party(byte).public().clone()
}

/// A key that belongs to no party.
pub(super) fn unknown_key() -> PartyPublic {
    public(99)
}

pub(super) struct Parties {
    pub(super) site: Site,
    pub(super) first: Application,
    pub(super) second: Application,
    pub(super) consumer: Consumer,
    pub(super) provider: Provider,
}

impl Parties {
    pub(super) fn new(suite: SealingSuite) -> Self {
        let application = |id: &str, byte| Application {
            id: id.to_owned(),
            keys: vec![public(byte)],
            suite,
            keys_last: HOUR,
            auth_data: to_raw_value(&serde_json::json!({ "may": ["read"] })).ok(),
        };
        Self {
            site: Site {
                id: SITE.to_owned(),
                keys: vec![party(1)],
            },
            first: application(A, 2),
            second: application(B, 3),
            consumer: Consumer {
                id: A.to_owned(),
                keys: vec![party(2)],
                site: SITE.to_owned(),
                site_keys: vec![public(1)],
                suite,
            },
            provider: Provider {
                id: B.to_owned(),
                keys: vec![party(3)],
                site: SITE.to_owned(),
                site_keys: vec![public(1)],
                ticket_keys: Vec::new(),
            },
        }
    }

    /// The site's complete part.
    pub(super) fn answer(&self, request: &SealedMessage, now: u64) -> Result<String, Refusal> {
        let text = serde_json::to_vec(request).unwrap();
        let request = UnverifiedRequest::read(&text)?;
        let known = (request.requester() == A).then_some(&self.first);
        let verified = request.verify(&self.site, known, &unknown_key(), now)?;
        let requested = (verified.requested() == B).then_some(&self.second);
        let entropy = &mut SystemEntropy;
        let answer = verified.answer(&self.site, &self.first, requested, now, entropy)?;
        Ok(serde_json::to_string(&answer).unwrap())
    }

    pub(super) fn granted(&self) -> IssuedTicket {
        let (asked, request) = self.consumer.ask(B, NOW, &mut SystemEntropy).unwrap();
        let answer = self.answer(&request, NOW).unwrap();
        self.consumer
            .read_response(asked, answer.as_bytes())
            .unwrap()
    }

    pub(super) fn presented(&self) -> (PendingPresentation, String) {
        self.granted().present(NOW, &mut SystemEntropy).unwrap()
    }

    /// The provider's part without the replay cache.
    pub(super) fn accept(&self, presentation: &str, now: u64) -> Result<(), Refusal> {
        let presented = self.provider.accept(presentation.as_bytes(), now)?;
        presented.acknowledge(now, &mut SystemEntropy).map(|_| ())
    }
}

//! Edition v1 on the site's side. Its protocol calls the broker the master.

use std::sync::Mutex;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::sha256;
use countersign_crypto::rsa::RsaKey;
use countersign_proto::broker::v1::limits::TOLERANCE;
use countersign_proto::broker::v1::site::{OpenedRequest, V1Site, V1VerifiedRequest};
use countersign_proto::broker::v1::{Role, V1Refusal, V1SealedMessage};
use countersign_proto::replay::{ReplayCache, ReplayError, ReplayWindow};

use super::{Denial, LIMITS, Registered, Replays, RequestDigest, TicketEdition, millis};
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

/// Edition v1. A site without a key for it refuses every request as not verified.
#[derive(Debug)]
pub enum V1 {}

fn master(keys: &BrokerKeys) -> Result<&V1Site, V1Refusal> {
    keys.master.as_ref().ok_or(V1Refusal::NotVerified)
}

impl TicketEdition for V1 {
    type Received = String;
    type Opened = OpenedRequest;
    type Verified = V1VerifiedRequest;
    type Sealed = V1SealedMessage;
    type Refusal = V1Refusal;

    fn read(text: Vec<u8>) -> Result<String, V1Refusal> {
        String::from_utf8(text).map_err(|_| V1Refusal::NotVerified)
    }

    fn digest(received: &String) -> RequestDigest {
        sha256(received.as_bytes())
    }

    fn open(keys: &BrokerKeys, received: String) -> Result<OpenedRequest, V1Refusal> {
        master(keys)?.open(&received)
    }

    fn consumer(opened: &OpenedRequest) -> &str {
        opened.requester()
    }

    fn verify(
        keys: &BrokerKeys,
        opened: OpenedRequest,
        consumer: Option<&Registered>,
        now: u64,
    ) -> Result<V1VerifiedRequest, V1Refusal> {
        let master = master(keys)?;
        // Only the site could sign with its own key, and it makes no requests, so the key serves as
        // a decoy.
        let decoy = master.keys.first().map(RsaKey::public);
        let decoy = decoy.ok_or(V1Refusal::NotVerified)?;
        let consumer = consumer.and_then(|known| known.v1.as_ref());
        opened.verify(master, consumer, decoy, now)
    }

    fn provider(verified: &V1VerifiedRequest) -> &str {
        verified.requested()
    }

    /// Consumers of this edition do not repeat a request that is refused as too old. So a request
    /// from before the start may be answered a second time, but only to the consumer that made it.
    fn replay_cache(started: Timestamp) -> ReplayCache {
        let window = ReplayWindow {
            past: TOLERANCE,
            ahead: TOLERANCE,
        };
        ReplayCache::new(window, LIMITS, 0, millis(started))
    }

    fn replays(replays: &Replays) -> &Mutex<ReplayCache> {
        &replays.v1
    }

    fn record_request(
        cache: &mut ReplayCache,
        verified: &V1VerifiedRequest,
        now: u64,
    ) -> Result<(), ReplayError> {
        let (consumer, nonce) = verified.replay_key();
        cache.insert(consumer, &nonce.to_be_bytes(), verified.issued_at(), now)
    }

    fn seal(
        keys: &BrokerKeys,
        verified: V1VerifiedRequest,
        (consumer, provider): (&Registered, &Registered),
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<V1SealedMessage, V1Refusal> {
        let consumer = consumer.v1.as_ref().ok_or(V1Refusal::NotVerified)?;
        verified.answer(master(keys)?, consumer, provider.v1.as_ref(), now, entropy)
    }

    fn refusal(denial: Denial) -> V1Refusal {
        match denial {
            Denial::NotVerified => V1Refusal::NotVerified,
            Denial::Replayed => V1Refusal::Nonces,
            Denial::Stale { clock } => V1Refusal::Stale { clock },
            Denial::NotAllowed | Denial::PeerUnreachable => V1Refusal::Application(Role::Requested),
        }
    }

    fn lasting_denial(refusal: &V1Refusal) -> Option<Denial> {
        match refusal {
            V1Refusal::Nonces => Some(Denial::Replayed),
            V1Refusal::Stale { clock } => Some(Denial::Stale { clock: *clock }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    /// [BRK-5]: the cache starts without a lower bound.
    #[test]
    fn each_request_is_answered_once_while_the_site_runs() {
        let mut cache = V1::replay_cache(Timestamp::from_millis(1_000_000));
        let before = START - 59_000;
        assert_eq!(cache.insert("billing", &[1], before, before), Ok(()));
        let ahead = START + 60_000;
        assert_eq!(cache.insert("billing", &[2], ahead, START), Ok(()));
        for now in [ahead, START + 120_000] {
            let again = cache.insert("billing", &[2], ahead, now);
            assert_eq!(again, Err(ReplayError::Replayed));
        }
    }
}

//! Edition v2 on the site's side.

use std::sync::Mutex;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::hash::sha256;
use countersign_proto::broker::v2::limits::{AHEAD, TOLERANCE};
use countersign_proto::broker::v2::message::AuthResponse;
use countersign_proto::broker::v2::site::{UnverifiedRequest, VerifiedRequest};
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use countersign_proto::name::Zone;
use countersign_proto::replay::{ReplayCache, ReplayError, ReplayWindow};

use super::{
    Denial, ForeignAsk, LIMITS, Registered, Replays, RequestDigest, TicketEdition, millis,
};
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

/// Edition v2.
#[derive(Debug)]
pub enum V2 {}

impl TicketEdition for V2 {
    type Received = UnverifiedRequest;
    type Opened = UnverifiedRequest;
    type Verified = VerifiedRequest;
    type Sealed = SealedMessage;
    type Refusal = Refusal;

    fn read(text: Vec<u8>) -> Result<UnverifiedRequest, Refusal> {
        UnverifiedRequest::read(&text)
    }

    fn digest(received: &UnverifiedRequest) -> RequestDigest {
        sha256(received.signature())
    }

    fn open(_: &BrokerKeys, received: UnverifiedRequest) -> Result<UnverifiedRequest, Refusal> {
        Ok(received)
    }

    fn consumer(opened: &UnverifiedRequest) -> &str {
        opened.requester()
    }

    fn verify(
        keys: &BrokerKeys,
        opened: UnverifiedRequest,
        consumer: Option<&Registered>,
        now: u64,
    ) -> Result<VerifiedRequest, Refusal> {
        let consumer = consumer.and_then(|known| known.v2.as_ref());
        opened.verify(&keys.site, consumer, &keys.decoy, now)
    }

    fn provider(verified: &VerifiedRequest) -> &str {
        verified.requested()
    }

    /// A previous run of the site may have answered requests whose time is up to [`AHEAD`] after
    /// this start. These are refused as stale; their consumers ask for the site's time and repeat
    /// them once.
    fn replay_cache(started: Timestamp) -> ReplayCache {
        let window = ReplayWindow {
            past: TOLERANCE,
            ahead: AHEAD,
        };
        let not_before = millis(started.plus_millis(AHEAD));
        ReplayCache::new(window, LIMITS, not_before, millis(started))
    }

    fn replays(replays: &Replays) -> &Mutex<ReplayCache> {
        &replays.v2
    }

    fn record_request(
        cache: &mut ReplayCache,
        verified: &VerifiedRequest,
        now: u64,
    ) -> Result<(), ReplayError> {
        let (consumer, nonce) = verified.replay_key();
        cache.insert(consumer, &nonce.0, verified.issued_at(), now)
    }

    fn seal(
        keys: &BrokerKeys,
        verified: VerifiedRequest,
        (consumer, provider): (&Registered, &Registered),
        now: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let consumer = consumer.v2.as_ref().ok_or(Refusal::NotVerified)?;
        verified.answer(&keys.site, consumer, provider.v2.as_ref(), now, entropy)
    }

    fn foreign(
        verified: &VerifiedRequest,
        consumer: &Registered,
        own: &Zone,
    ) -> Result<Option<ForeignAsk>, Refusal> {
        let Some(request) = verified.foreign(own) else {
            return Ok(None);
        };
        verified.check_algorithms()?;
        let keys = consumer.v2.as_ref().map(|consumer| &consumer.keys);
        let signer = keys.and_then(|keys| keys.get(verified.signer()));
        let key = Some(signer.ok_or(Refusal::NotVerified)?.fingerprint());
        Ok(Some(ForeignAsk { request, key }))
    }

    fn relay(
        keys: &BrokerKeys,
        verified: &VerifiedRequest,
        consumer: &Registered,
        response: &AuthResponse,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedMessage, Refusal> {
        let consumer = consumer.v2.as_ref().ok_or(Refusal::NotVerified)?;
        verified.seal_response(&keys.site, consumer, response, entropy)
    }

    fn refusal(denial: Denial) -> Refusal {
        match denial {
            Denial::NotVerified => Refusal::NotVerified,
            Denial::Replayed => Refusal::Replayed,
            Denial::Stale { .. } => Refusal::Clock,
            Denial::NotAllowed => Refusal::NotAllowed,
            Denial::PeerUnreachable => Refusal::PeerUnreachable,
        }
    }

    fn lasting_denial(refusal: &Refusal) -> Option<Denial> {
        match refusal {
            Refusal::Replayed => Some(Denial::Replayed),
            Refusal::Clock => Some(Denial::Stale { clock: 0 }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    fn cache() -> ReplayCache {
        let started = i64::try_from(START).unwrap();
        V2::replay_cache(Timestamp::from_millis(started))
    }

    /// [BRK-5]
    #[test]
    fn a_request_is_answered_once_while_it_is_fresh() {
        let mut cache = cache();
        let made = START + 2_000;
        assert_eq!(cache.insert("billing", &[1], made, made), Ok(()));
        for later in [2_000, 2_001, 61_000, 62_000] {
            let again = cache.insert("billing", &[1], made, START + later);
            assert_eq!(again, Err(ReplayError::Replayed), "{later}");
        }
        let again = cache.insert("billing", &[1], made, START + 62_001);
        assert_eq!(again, Err(ReplayError::Stale), "it may be forgotten");
        // Just before the cache changes its generation, with a request made as far ahead as
        // allowed.
        let mut cache = self::cache();
        let made = START + 61_998;
        let first = cache.insert("billing", &[2], made, START + 60_999);
        assert_eq!(first, Ok(()));
        for later in (61_000..=121_998).step_by(500).chain([121_998]) {
            let again = cache.insert("billing", &[2], made, START + later);
            assert_eq!(again, Err(ReplayError::Replayed), "{later}");
        }
        let made = START + 121_998;
        assert_eq!(cache.insert("billing", &[3], made, made), Ok(()));
        assert_eq!(cache.insert("ledger", &[1], made, made), Ok(()));
    }

    /// [BRK-5]: requests that a previous run may have answered are refused.
    #[test]
    fn a_request_made_before_the_site_was_started_is_refused() {
        let mut cache = cache();
        for (made, first) in [
            (START - 1, Err(ReplayError::Stale)),
            (START + 999, Err(ReplayError::Stale)),
            (START + 1_000, Ok(())),
        ] {
            let answered = cache.insert("billing", &[1], made, START + 2_000);
            assert_eq!(answered, first, "{made}");
        }
    }

    /// Regression test. After the clock was set back to before the start, the site refused every
    /// request until it was restarted.
    #[test]
    fn the_replay_cache_restarts_if_the_clock_is_set_back_to_before_the_start() {
        let mut cache = cache();
        let back = START - 500_000;
        let refused = cache.insert("billing", &[1], back - 1, back);
        let stale = Err(ReplayError::Stale);
        assert_eq!(refused, stale, "the consumer asks for the site's time");
        let later = back + 10;
        assert_eq!(cache.insert("billing", &[2], later, later), Ok(()));
        let again = cache.insert("billing", &[2], later, later);
        assert_eq!(again, Err(ReplayError::Replayed));
        // A difference of less than a minute resolves itself soon.
        let mut cache = self::cache();
        let back = START - 59_000;
        assert_eq!(cache.insert("billing", &[1], back, back), stale);
        assert_eq!(cache.insert("billing", &[1], back, back), stale);
    }

    #[test]
    fn the_replay_cache_keeps_requests_if_the_clock_is_set_back() {
        let mut cache = cache();
        let made = START + 50_000;
        assert_eq!(cache.insert("billing", &[1], made, made), Ok(()));
        for now in [START + 5_000, START + 60_000] {
            let again = cache.insert("billing", &[1], made, now);
            assert_eq!(again, Err(ReplayError::Replayed));
        }
    }
}

//! The fast path: tickets for an application whose service asks in a session, and the keys that they are
//! sealed under. A ticket key is not stored: it follows from the site key and from what is registered.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf::derive;
use countersign_crypto::party::PartyPublic;
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::fast::{Answered, grant};
use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::site::Application as Party;
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};

use super::answer::millis;
use super::{BrokerKeys, Registered};
use crate::account::State;
use crate::caller::Door;
use crate::site::Site;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

impl BrokerKeys {
    /// The key of tickets for this provider that are made on that day, counted from 1970. It goes with the
    /// provider's registration and with one of its keys: after another registration, or for another key, it is
    /// another.
    fn ticket_key(&self, provider: &Registered, fingerprint: &[u8; 32], day: u64) -> TicketKey {
        let application = &provider.application;
        let instance = application.instance.map(|id| *id.as_bytes());
        let context = [
            fingerprint.as_slice(),
            &application.created.millis().to_be_bytes(),
            &instance.unwrap_or_default(),
            &day.to_be_bytes(),
            application.id.as_str().as_bytes(),
        ];
        let secret = derive(
            self.tickets.expose(),
            "broker ticket key",
            &context.concat(),
        );
        let from = day.saturating_mul(TICKET_KEY);
        TicketKey::new(secret, from, from.saturating_add(TICKET_KEY))
    }
}

/// A provider that tickets are made for, and their key.
struct Granting {
    provider: Arc<Registered>,
    key: TicketKey,
}

impl BrokerKeys {
    fn granting(&self, provider: Arc<Registered>, now: Timestamp) -> Option<Granting> {
        let newest = provider.v2.as_ref()?.keys.first()?.fingerprint();
        let key = self.ticket_key(&provider, &newest, day(now));
        Some(Granting { provider, key })
    }
}

impl Granting {
    fn grant(
        &self,
        site: &str,
        requester: &Registered,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Answered, Refusal> {
        let parties = requester.v2.as_ref().zip(self.provider.v2.as_ref());
        let parties = parties.ok_or(Refusal::NotAllowed)?;
        let response = grant(site, &self.key, parties, millis(now), entropy)?;
        Ok(Answered::Granted(Box::new(response)))
    }
}

/// Entropy that is drawn for several tickets at a time: each draw costs more than its bytes do.
struct Batch<E> {
    source: E,
    drawn: Secret<DRAWN>,
    used: usize,
}

/// Bytes that are drawn at a time.
const DRAWN: usize = 1_024;

impl<E: Entropy> Batch<E> {
    fn of(source: E) -> Self {
        Self {
            source,
            drawn: Secret::from_bytes([0; DRAWN]),
            used: DRAWN,
        }
    }
}

impl<E: Entropy> Entropy for Batch<E> {
    fn fill(&mut self, out: &mut [u8]) {
        let left = self.drawn.expose().get(self.used..);
        let Some(bytes) = left.and_then(|left| left.get(..out.len())) else {
            if out.len() > DRAWN {
                return self.source.fill(out);
            }
            self.drawn = Secret::generate(&mut self.source);
            self.used = 0;
            return self.fill(out);
        };
        out.copy_from_slice(bytes);
        self.used += out.len();
    }
}

fn day(now: Timestamp) -> u64 {
    millis(now) / TICKET_KEY
}

impl Site {
    /// A ticket for each of these providers that the requester may call, and a refusal for each other.
    /// Whoever calls this knows who asks.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn fast_tickets(
        &self,
        keys: &BrokerKeys,
        requester: &Registered,
        requested: &[String],
        now: Timestamp,
    ) -> Result<Vec<Answered>, StoreError> {
        // A provider that is asked for again has the same key: it is worked out once for a request.
        let mut providers: HashMap<&str, Option<Granting>> = HashMap::new();
        let mut given: HashMap<&str, u64> = HashMap::new();
        let mut refused = None;
        let mut entropy = Batch::of(self.entropy());
        let mut answers = Vec::with_capacity(requested.len());
        for requested in requested {
            if !providers.contains_key(requested.as_str()) {
                let provider = self.provider(requester, requested, now).await?;
                let granting = provider.and_then(|provider| keys.granting(provider, now));
                providers.insert(requested, granting);
            }
            let granting = providers.get(requested.as_str()).and_then(Option::as_ref);
            let granted = granting
                .ok_or(Refusal::NotAllowed)
                .and_then(|granting| granting.grant(keys.id(), requester, now, &mut entropy));
            match granted {
                Ok(_) => *given.entry(requested).or_default() += 1,
                Err(_) => refused = Some((&**requested, refused.map_or(0, |(_, times)| times) + 1)),
            }
            answers.push(granted.unwrap_or_else(|refusal| {
                // The same for one that is not there and one that may not be called.
                Answered::Refused(refusal.code().to_owned())
            }));
        }
        for granted in given {
            self.count_granted(requester, Door::Session, granted, now);
        }
        if let Some(refused) = refused {
            self.count_refused(requester, Door::Session, refused, now);
        }
        Ok(answers)
    }

    /// The ticket keys of a provider, sealed to it: those of the day before, whose tickets may still be good, of
    /// this one and of the next. A message for each of its keys that is accepted, since each has its own.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] when the provider is locked, or is not of edition v2.
    pub fn ticket_keys(
        &self,
        keys: &BrokerKeys,
        provider: &Registered,
        now: Timestamp,
    ) -> Result<Vec<SealedMessage>, Refusal> {
        let active = provider.application.state == State::Active;
        let party: Option<&Party> = provider.v2.as_ref().filter(|_| active);
        let party = party.ok_or(Refusal::NotAllowed)?;
        let today = day(now);
        let hand_over = |public: &PartyPublic| {
            let days = today.saturating_sub(1)..=today.saturating_add(1);
            let fingerprint = public.fingerprint();
            let of_day = |day| keys.ticket_key(provider, &fingerprint, day);
            let ticket_keys: Vec<TicketKey> = days.map(of_day).collect();
            let entropy = &mut self.entropy();
            keys.site.hand_over(&ticket_keys, party, public, entropy)
        };
        party.keys.iter().map(hand_over).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its bytes, so that none can be given twice.
    struct Counting(u16);

    impl Entropy for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            for two in out.chunks_mut(2) {
                two.copy_from_slice(&self.0.to_be_bytes()[..two.len()]);
                self.0 += 1;
            }
        }
    }

    #[test]
    fn no_byte_of_a_batch_is_given_twice() {
        let mut batch = Batch::of(Counting(1));
        let mut given = Vec::new();
        for length in [16, 32, 1_000, 16, 1_024, 2_000, 2, 32] {
            let mut out = vec![0; length];
            batch.fill(&mut out);
            given.extend(out.chunks(2).map(<[u8]>::to_vec));
        }
        let all = given.len();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), all);
    }
}

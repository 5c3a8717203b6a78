//! The symmetric ticket path, which the protocol calls the fast path: tickets for an application whose service asks in
//! a session, and the keys that they are sealed under. A ticket key is not stored: it follows from the site key and
//! from what is registered.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::kdf::derive;
use countersign_crypto::party::PartyPublic;
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::site::Application as Party;
use countersign_proto::broker::v2::symmetric::{TicketResult, grant};
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};

use super::audited::{granted, refused};
use super::{Registered, millis};
use crate::access::Channel;
use crate::accounts::State;
use crate::audit::coalesced::Occurrence;
use crate::site_key::BrokerKeys;
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

/// A ticket for each of these providers that the consumer may call, and a refusal for each other; with what is to be
/// audited of them. The caller knows who asks. `providers` are those that the consumer may call.
pub(crate) fn tickets(
    keys: &BrokerKeys,
    consumer: &Registered,
    requested: &[String],
    providers: &HashMap<&str, Arc<Registered>>,
    now: Timestamp,
    entropy: impl Entropy,
) -> (Vec<TicketResult>, Vec<Occurrence>) {
    // A provider that is asked for again has the same key: it is worked out once for a request.
    let keyed = providers.iter().filter_map(|(id, provider)| {
        let party = provider.v2.as_ref()?;
        let newest = party.keys.first()?.fingerprint();
        let key = keys.ticket_key(provider, &newest, day(now));
        Some((*id, (key, party)))
    });
    let providers: HashMap<&str, (TicketKey, &Party)> = keyed.collect();
    let mut entropy = Batch::of(entropy);
    let mut issue = |id: &str| {
        let parties = consumer.v2.as_ref().zip(providers.get(id));
        let (consumer, (key, provider)) = parties.ok_or(Refusal::NotAllowed)?;
        let parties = (consumer, *provider);
        grant(keys.id(), key, parties, millis(now), &mut entropy)
    };
    let mut given: HashMap<&str, u64> = HashMap::new();
    let mut denied: Option<(&str, u64)> = None;
    let answers = requested.iter().map(|id| match issue(id) {
        Ok(response) => {
            *given.entry(id).or_default() += 1;
            TicketResult::Granted(Box::new(response))
        }
        Err(refusal) => {
            denied = Some((id, denied.map_or(0, |(_, times)| times) + 1));
            // The same for one that is not there and one that may not be called.
            TicketResult::Refused(refusal.code().to_owned())
        }
    });
    let answers = answers.collect();
    let given = given.into_iter();
    let given = given.map(|(id, times)| granted(consumer, Channel::Session, id, times));
    let denied = denied.map(|(id, times)| refused(consumer, Channel::Session, id, times));
    (answers, given.chain(denied).collect())
}

/// The ticket keys of a provider, sealed to it: those of the day before, whose tickets may still be good, of
/// this one and of the next. A message for each of its keys that is accepted, since each has its own.
///
/// # Errors
/// [`Refusal::NotAllowed`] when the provider is locked, or is not of edition v2.
pub(crate) fn ticket_keys(
    keys: &BrokerKeys,
    provider: &Registered,
    now: Timestamp,
    entropy: &mut dyn Entropy,
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
        keys.site
            .seal_ticket_keys(&ticket_keys, party, public, entropy)
    };
    party.keys.iter().map(hand_over).collect()
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

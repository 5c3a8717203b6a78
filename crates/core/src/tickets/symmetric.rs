//! The symmetric ticket path, which the protocol calls the fast path: tickets for an application
//! whose service asks, and the keys under which these are sealed. Ticket keys are not
//! stored but derived from the site key and the provider's registration.

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
use crate::access::Arrival;
use crate::accounts::State;
use crate::audit::coalesced::Occurrence;
use crate::site_key::BrokerKeys;
use crate::timestamp::Timestamp;

impl BrokerKeys {
    /// Derives the key for tickets for this provider that are issued on this day, counted from
    /// 1970. It also depends on the provider's registration and on one of its keys, so that it
    /// changes with either.
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

/// Issues a ticket for each requested provider that is in `providers`, and a refusal for each
/// other. Also returns the events to audit. The caller has authenticated the consumer, which asks
/// by `arrival`, and `providers` contains only applications that the consumer may call.
pub(crate) fn tickets(
    keys: &BrokerKeys,
    consumer: &Registered,
    arrival: Arrival,
    requested: &[String],
    providers: &HashMap<&str, Arc<Registered>>,
    now: Timestamp,
    entropy: impl Entropy,
) -> (Vec<TicketResult>, Vec<Occurrence>) {
    // The key of a provider is derived once per request, even if the provider is requested
    // repeatedly.
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
    let mut issued: HashMap<&str, u64> = HashMap::new();
    let mut denied: Option<(&str, u64)> = None;
    let answers = requested.iter().map(|id| match issue(id) {
        Ok(response) => {
            *issued.entry(id).or_default() += 1;
            TicketResult::Granted(Box::new(response))
        }
        Err(refusal) => {
            denied = Some((id, denied.map_or(0, |(_, times)| times) + 1));
            // The refusal is the same for an application that does not exist and one that may not
            // be called.
            TicketResult::Refused(refusal.code().to_owned())
        }
    });
    let answers = answers.collect();
    let issued = issued.into_iter();
    let issued = issued.map(|(id, times)| granted(consumer, arrival, id, times));
    let denied = denied.map(|(id, times)| refused(consumer, arrival, id, times));
    (answers, issued.chain(denied).collect())
}

/// Returns the ticket keys of a provider for the previous day (whose tickets may still be valid),
/// the current and the next day. There is one sealed message for each of the provider's valid keys,
/// because ticket keys depend on that key.
///
/// # Errors
/// [`Refusal::NotAllowed`] if the provider is locked, or is not of edition v2.
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

/// A source that draws entropy for several tickets at a time, because each draw has a fixed cost.
struct Batch<E> {
    source: E,
    drawn: Secret<DRAWN>,
    used: usize,
}

/// The number of bytes in a draw.
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

    /// Returns consecutive numbers, so that the test notices a repeated byte pair.
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
    fn a_batch_returns_no_byte_twice() {
        let mut batch = Batch::of(Counting(1));
        let mut issued = Vec::new();
        for length in [16, 32, 1_000, 16, 1_024, 2_000, 2, 32] {
            let mut out = vec![0; length];
            batch.fill(&mut out);
            issued.extend(out.chunks(2).map(<[u8]>::to_vec));
        }
        let all = issued.len();
        issued.sort();
        issued.dedup();
        assert_eq!(issued.len(), all);
    }
}

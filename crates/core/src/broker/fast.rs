//! The fast path: tickets for an application whose service asks in a session, and the keys that they are
//! sealed under. A ticket key is not stored: it follows from the site key and from what is registered.

use countersign_crypto::kdf::derive;
use countersign_crypto::party::PartyPublic;
use countersign_proto::broker::v2::fast::{Answered, grant};
use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::site::Application as Party;
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};

use super::answer::millis;
use super::{BrokerKeys, Registered};
use crate::account::State;
use crate::site::Site;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

impl BrokerKeys {
    /// The key of tickets for this provider that are made on that day, counted from 1970. It goes with the
    /// provider's registration and with one of its keys: after another registration, or for another key, it is
    /// another.
    fn ticket_key(&self, provider: &Registered, fingerprint: &[u8; 32], day: u64) -> TicketKey {
        let application = &provider.application;
        let context = [
            fingerprint.as_slice(),
            &application.created.millis().to_be_bytes(),
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
        let mut answers = Vec::with_capacity(requested.len());
        for requested in requested {
            let provider = self.provider(requester, requested, now).await?;
            let provider = provider.as_deref();
            let granted = provider
                .ok_or(Refusal::NotAllowed)
                .and_then(|provider| self.fast_ticket(keys, requester, provider, now));
            answers.push(granted.unwrap_or_else(|refusal| {
                // The same for one that is not there and one that may not be called.
                Answered::Refused(refusal.code().to_owned())
            }));
        }
        Ok(answers)
    }

    fn fast_ticket(
        &self,
        keys: &BrokerKeys,
        requester: &Registered,
        provider: &Registered,
        now: Timestamp,
    ) -> Result<Answered, Refusal> {
        let parties = requester.v2.as_ref().zip(provider.v2.as_ref());
        let (first, second) = parties.ok_or(Refusal::NotAllowed)?;
        let newest = second.keys.first().ok_or(Refusal::NotAllowed)?;
        let key = keys.ticket_key(provider, &newest.fingerprint(), day(now));
        let (site, parties) = (keys.id(), (first, second));
        let response = grant(site, &key, parties, millis(now), &mut self.entropy())?;
        Ok(Answered::Granted(Box::new(response)))
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

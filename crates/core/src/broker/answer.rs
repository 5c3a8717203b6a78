//! What the site answers to whoever asks for a ticket.

use std::sync::Arc;

use countersign_crypto::rsa::RsaKey;
use countersign_proto::broker::{v1, v2};

use super::came::NotNew;
use super::{BrokerKeys, Registered};
use crate::account::State;
use crate::caller::Door;
use crate::site::Site;
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// Why a request got no ticket. `R` is the refusal of its edition.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered<R: std::error::Error> {
    /// It is refused.
    #[error(transparent)]
    Refused(R),
    /// There is no room to remember it: later there is.
    #[error("too many requests in the last minute")]
    Busy,
    /// The store is in trouble.
    #[error(transparent)]
    Store(StoreError),
}

impl<R: std::error::Error> NotAnswered<R> {
    fn of(not_new: NotNew, before: R, too_old: R) -> Self {
        match not_new {
            NotNew::Before => Self::Refused(before),
            NotNew::TooOld => Self::Refused(too_old),
            NotNew::Full => Self::Busy,
        }
    }
}

/// Time as the protocol has it, in milliseconds since 1970.
pub(super) fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap_or_default()
}

impl BrokerKeys {
    /// Verifies that a registered application made this request, lately. One that is not registered costs as
    /// much.
    ///
    /// # Errors
    /// [`v2::Refusal::NotVerified`] and [`v2::Refusal::Clock`].
    pub fn verify(
        &self,
        request: v2::site::Request,
        requester: Option<&Registered>,
        now: Timestamp,
    ) -> Result<v2::site::Verified, v2::Refusal> {
        let requester = requester
            .filter(|known| known.application.state == State::Active)
            .and_then(|known| known.v2.as_ref());
        request.verify(&self.site, requester, &self.stranger, millis(now))
    }

    /// Opens a request of edition v1. Nobody vouches for it yet.
    ///
    /// # Errors
    /// [`v1::Refusal::NotVerified`], also when the site has no key for v1; [`v1::Refusal::Cipher`].
    pub fn open_v1(&self, request: &str) -> Result<v1::master::Opened, v1::Refusal> {
        let master = self.master.as_ref().ok_or(v1::Refusal::NotVerified)?;
        master.open(request)
    }

    /// As [`BrokerKeys::verify`], of edition v1.
    ///
    /// # Errors
    /// Those of [`v1::master::Opened::verify`].
    pub fn verify_v1(
        &self,
        opened: v1::master::Opened,
        requester: Option<&Registered>,
        now: Timestamp,
    ) -> Result<v1::master::Verified, v1::Refusal> {
        let master = self.master.as_ref().ok_or(v1::Refusal::NotVerified)?;
        // Nobody but the site itself could sign with it, and the site asks for nothing.
        let stranger = master.keys.first().map(RsaKey::public);
        let stranger = stranger.ok_or(v1::Refusal::NotVerified)?;
        let requester = requester
            .filter(|known| known.application.state == State::Active)
            .and_then(|known| known.v1.as_ref());
        opened.verify(master, requester, stranger, millis(now))
    }
}

impl Site {
    /// Whether a verified requester may have a ticket for that provider now. Asked before anything dear is
    /// done and before a turn is waited for, so that a refusal takes as long for a provider that does not
    /// exist as for one that may not be called. A refusal is counted here, and its request is not remembered.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn allows(
        &self,
        requester: &Registered,
        requested: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let allowed = self.provider(requester, requested, now).await?.is_some();
        if !allowed {
            self.count_refused(requester, Door::Http, (requested, 1), now);
        }
        Ok(allowed)
    }

    /// Seals a ticket for a requester that was verified, if it did not ask before and policy allows it now: what
    /// was changed since it was verified counts.
    ///
    /// # Errors
    /// [`NotAnswered`].
    pub async fn ticket(
        &self,
        keys: &BrokerKeys,
        verified: v2::site::Verified,
        requester: &Registered,
        now: Timestamp,
    ) -> Result<v2::SealedMessage, NotAnswered<v2::Refusal>> {
        let requested = verified.requested().to_owned();
        let answer = self.answer_v2(keys, verified, requester, now).await;
        self.count_answer(requester, &requested, &answer, now);
        answer
    }

    async fn answer_v2(
        &self,
        keys: &BrokerKeys,
        verified: v2::site::Verified,
        requester: &Registered,
        now: Timestamp,
    ) -> Result<v2::SealedMessage, NotAnswered<v2::Refusal>> {
        let (id, nonce) = verified.names();
        let first = self
            .broker()
            .came()
            .1
            .first(id, &nonce.0, verified.made(), now);
        first.map_err(|not| NotAnswered::of(not, v2::Refusal::Replayed, v2::Refusal::Clock))?;
        let is_as_verified = self.is_unchanged(requester, now).await;
        if !is_as_verified.map_err(NotAnswered::Store)? {
            return Err(NotAnswered::Refused(v2::Refusal::NotVerified));
        }
        let provider = self.provider(requester, verified.requested(), now).await;
        let provider = provider.map_err(NotAnswered::Store)?;
        let requested = provider.as_ref().and_then(|provider| provider.v2.as_ref());
        let refused = NotAnswered::Refused(v2::Refusal::NotVerified);
        let requester = requester.v2.as_ref().ok_or(refused)?;
        verified
            .answer(
                &keys.site,
                requester,
                requested,
                millis(now),
                &mut self.entropy(),
            )
            .map_err(NotAnswered::Refused)
    }

    /// As [`Site::ticket`], of edition v1.
    ///
    /// # Errors
    /// [`NotAnswered`].
    pub async fn ticket_v1(
        &self,
        keys: &BrokerKeys,
        verified: v1::master::Verified,
        requester: &Registered,
        now: Timestamp,
    ) -> Result<v1::SealedMessage, NotAnswered<v1::Refusal>> {
        let requested = verified.requested().to_owned();
        let answer = self.answer_v1(keys, verified, requester, now).await;
        self.count_answer(requester, &requested, &answer, now);
        answer
    }

    async fn answer_v1(
        &self,
        keys: &BrokerKeys,
        verified: v1::master::Verified,
        requester: &Registered,
        now: Timestamp,
    ) -> Result<v1::SealedMessage, NotAnswered<v1::Refusal>> {
        let (id, nonce) = verified.names();
        let first = self
            .broker()
            .came()
            .0
            .first(id, &nonce.to_be_bytes(), verified.made(), now);
        let stale = v1::Refusal::Stale { clock: millis(now) };
        first.map_err(|not| NotAnswered::of(not, v1::Refusal::Nonces, stale))?;
        let is_as_verified = self.is_unchanged(requester, now).await;
        if !is_as_verified.map_err(NotAnswered::Store)? {
            return Err(NotAnswered::Refused(v1::Refusal::NotVerified));
        }
        let provider = self.provider(requester, verified.requested(), now).await;
        let provider = provider.map_err(NotAnswered::Store)?;
        let requested = provider.as_ref().and_then(|provider| provider.v1.as_ref());
        let refused = || NotAnswered::Refused(v1::Refusal::NotVerified);
        let requester = requester.v1.as_ref().ok_or_else(refused)?;
        let master = keys.master.as_ref().ok_or_else(refused)?;
        verified
            .answer(
                master,
                requester,
                requested,
                millis(now),
                &mut self.entropy(),
            )
            .map_err(NotAnswered::Refused)
    }

    /// Whether the application is registered as it was.
    async fn is_unchanged(&self, seen: &Registered, now: Timestamp) -> Result<bool, StoreError> {
        let current = self.registered(seen.application.id.as_str(), now).await?;
        Ok(current.is_some_and(|current| {
            current.application.revision == seen.application.revision
                && current.application.created == seen.application.created
                && current.application.instance == seen.application.instance
        }))
    }

    /// The provider that is asked for, if the requester may call it.
    pub(super) async fn provider(
        &self,
        requester: &Registered,
        requested: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Registered>>, StoreError> {
        let provider = self.registered(requested, now).await?;
        let allowed =
            |provider: &Arc<Registered>| requester.application.may_call(&provider.application);
        Ok(provider.filter(allowed))
    }
}

//! What is shared with one provider: kept, and renewed before it is over.
//!
//! ```text
//!  fresh ── a tenth of the time is left ── due ──────────── over
//!   used                    used; one caller renews      one caller renews, all wait for it
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ConsumerError;

/// At most this long before they are over credentials are renewed, in milliseconds.
const EARLIEST: u64 = 60_000;
/// After a renewal that failed, how long what is still good is used without another try, in milliseconds.
const PAUSE: u64 = 5_000;
/// Credentials younger than this, in milliseconds, are not invalidated because a provider does not know them:
/// one that never believes a signature would cost the site a ticket for each request.
const YOUNGEST: u64 = 1_000;

/// Credentials of any edition.
pub trait Expires: Clone {
    /// Until when they are good, by the site's clock, in milliseconds since 1970.
    fn expires(&self) -> u64;
}

/// Credentials, and when they were made by the site's clock.
#[derive(Debug)]
pub(crate) struct Held<C> {
    pub(crate) credentials: C,
    made: u64,
}

/// The credentials for one provider.
#[derive(Debug)]
pub(crate) struct CredentialCache<C> {
    current: Mutex<Current<C>>,
    renewal: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Current<C> {
    held: Option<Arc<Held<C>>>,
    /// How many renewals there were, and how the last one failed.
    renewals: u64,
    failure: Option<ConsumerError>,
    /// After a failed renewal the next one starts at this time at the earliest.
    retry_after: u64,
}

impl<C: Expires> Held<C> {
    fn is_due(&self, now: u64) -> bool {
        let expires = self.credentials.expires();
        let early = EARLIEST.min(expires.saturating_sub(self.made) / 10);
        now >= expires.saturating_sub(early)
    }
}

impl<C: Expires> CredentialCache<C> {
    /// No credentials yet.
    pub(crate) fn new() -> Self {
        Self {
            current: Mutex::new(Current {
                held: None,
                renewals: 0,
                failure: None,
                retry_after: 0,
            }),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    /// Credentials that are good, `obtain`ed if there are none; `now` by the site's clock.
    pub(crate) async fn get(
        &self,
        now: impl Fn() -> u64 + Send,
        obtain: impl Future<Output = Result<C, ConsumerError>> + Send,
    ) -> Result<Arc<Held<C>>, ConsumerError> {
        let seen = self.current().clone();
        let good = seen.held.filter(|held| now() < held.credentials.expires());
        let _turn = match &good {
            Some(held) if !held.is_due(now()) || now() < seen.retry_after => {
                return Ok(held.clone());
            }
            // Somebody renews already: what is there is good for a while.
            Some(held) => match self.renewal.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(held.clone()),
            },
            None => self.renewal.lock().await,
        };
        let waited = self.current().clone();
        let outcome = match (waited.failure, waited.held) {
            (Some(failure), _) if waited.renewals != seen.renewals => Err(failure),
            (None, Some(held)) if waited.renewals != seen.renewals => Ok(held),
            _ => {
                let renewed = obtain.await;
                self.current().renewed(renewed, now())
            }
        };
        outcome.or_else(|failure| good.ok_or(failure))
    }

    /// The provider does not know these any more. `false` when they are so young that others would not help.
    pub(crate) fn invalidate(&self, these: &Arc<Held<C>>, now: u64) -> bool {
        let mut current = self.current();
        match &current.held {
            Some(held) if Arc::ptr_eq(held, these) => {
                let young = now.saturating_sub(held.made) < YOUNGEST;
                if !young {
                    current.held = None;
                }
                !young
            }
            _ => true,
        }
    }

    /// Nothing awaits while this is held, and no step in between leaves it half changed.
    fn current(&self) -> MutexGuard<'_, Current<C>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Current<C> {
    fn renewed(
        &mut self,
        renewed: Result<C, ConsumerError>,
        now: u64,
    ) -> Result<Arc<Held<C>>, ConsumerError> {
        self.renewals += 1;
        match renewed {
            Ok(credentials) => {
                let made = now;
                let held = Arc::new(Held { credentials, made });
                self.held = Some(held.clone());
                self.failure = None;
                Ok(held)
            }
            Err(failure) => {
                self.failure = Some(failure.clone());
                self.retry_after = now.saturating_add(PAUSE);
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use countersign_crypto::secret::Secret;
    use countersign_proto::broker::v2::Credentials;
    use countersign_proto::broker::v2::message::Nonce;
    use futures_util::FutureExt;

    use super::*;

    /// Time, and a site that gives tickets for 100 s.
    #[derive(Default)]
    struct World {
        now: AtomicU64,
        asked: AtomicU64,
        fails: bool,
    }

    impl World {
        async fn get(
            &self,
            cache: &CredentialCache<Credentials>,
        ) -> Result<Arc<Held<Credentials>>, ConsumerError> {
            let now = || self.now.load(Ordering::Relaxed);
            cache
                .get(now, async {
                    let asked = self.asked.fetch_add(1, Ordering::Relaxed);
                    // Lets everybody else come to where they wait.
                    tokio::task::yield_now().await;
                    let id = Nonce([u8::try_from(asked).unwrap(); 16]);
                    match self.fails {
                        true => Err(ConsumerError::TooSlow(super::super::By::Site)),
                        false => Ok(Credentials {
                            application: "ledger".to_owned(),
                            id,
                            secret: Secret::from_bytes([0; 32]),
                            expires: now() + 100_000,
                        }),
                    }
                })
                .await
        }

        async fn many(
            &self,
            cache: &CredentialCache<Credentials>,
        ) -> Vec<Result<Arc<Held<Credentials>>, ConsumerError>> {
            futures_util::future::join_all((0..100).map(|_| self.get(cache))).await
        }

        fn at(&self, now: u64) {
            self.now.store(now, Ordering::Relaxed);
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_renewal_is_shared_by_all_who_wait_for_it() {
        let (world, cache) = (World::default(), CredentialCache::new());
        let got = world.many(&cache).await;
        assert!(got.iter().all(Result::is_ok));
        assert_eq!(world.asked(), 1);
        world.at(89_999);
        world.many(&cache).await;
        assert_eq!(world.asked(), 1);
        // Due: one renews, and nobody waits for it.
        world.at(90_000);
        let got = world.many(&cache).await;
        assert_eq!(world.asked(), 2);
        let old = |held: &&Result<Arc<Held<Credentials>>, _>| {
            held.as_ref().unwrap().credentials.id == Nonce([0; 16])
        };
        assert_eq!(got.iter().filter(old).count(), 99);
        // Over, for everybody.
        world.at(190_000);
        world.many(&cache).await;
        assert_eq!(world.asked(), 3);
    }

    #[tokio::test]
    async fn a_renewal_that_fails_is_shared_and_what_is_good_is_still_used() {
        let cache = CredentialCache::new();
        let fails = World {
            fails: true,
            ..World::default()
        };
        let got = fails.many(&cache).await;
        assert!(got.iter().all(Result::is_err));
        assert_eq!(fails.asked(), 1);

        World::default().get(&cache).await.unwrap();
        for (now, asked) in [(95_000, 2), (99_999, 2), (100_000, 3)] {
            fails.at(now);
            let got = fails.get(&cache).await;
            assert_eq!(got.is_ok(), now < 100_000, "{now}");
            assert_eq!(fails.asked(), asked, "{now}");
        }
    }

    #[tokio::test]
    async fn a_renewal_whose_caller_goes_away_is_taken_over() {
        let (world, cache) = (World::default(), CredentialCache::new());
        let never = std::future::pending();
        let mut first = Box::pin(cache.get(|| 0, never));
        let mut second = Box::pin(world.get(&cache));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(world.asked(), 0);
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn what_the_provider_does_not_know_is_invalidated_once_and_not_when_it_is_new() {
        let (world, cache) = (World::default(), CredentialCache::new());
        let first = world.get(&cache).await.unwrap();
        assert!(!cache.invalidate(&first, YOUNGEST - 1));
        assert!(cache.invalidate(&first, YOUNGEST));
        let second = world.get(&cache).await.unwrap().credentials.id;
        assert_ne!(first.credentials.id, second);
        // Whoever still used the first one is given the second.
        assert!(cache.invalidate(&first, YOUNGEST));
        assert_eq!(world.get(&cache).await.unwrap().credentials.id, second);
    }
}

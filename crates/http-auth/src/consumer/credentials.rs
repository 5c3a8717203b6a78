//! The cache of the credentials for one provider. They are renewed before they expire.
//!
//! ```text
//!  fresh ── a tenth of the lifetime is left ── due ──────── expired
//!   used                        used; one caller renews      one caller renews, all wait for it
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ConsumerError;

/// Credentials are renewed at most this long before they expire, in milliseconds.
const MAX_RENEWAL_LEAD: u64 = 60_000;
/// Minimum time from a failed renewal to the next while the credentials are valid, in milliseconds.
const RETRY_DELAY: u64 = 5_000;
/// Credentials younger than this, in milliseconds, are not invalidated when a provider rejects
/// them: a provider that rejects every signature would cost the site a ticket for each request.
const MIN_AGE_TO_INVALIDATE: u64 = 1_000;

/// Credentials of any edition.
pub trait Expires: Clone {
    /// When they expire, by the site's clock, in milliseconds since 1970.
    fn expires(&self) -> u64;
}

/// Credentials, and when they were obtained by the site's clock, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Cached<C> {
    pub(crate) credentials: C,
    obtained_at: u64,
}

/// The credentials for one provider.
#[derive(Debug)]
pub(crate) struct CredentialCache<C> {
    current: Mutex<Current<C>>,
    renewal: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Current<C> {
    cached: Option<Arc<Cached<C>>>,
    /// The number of renewals so far, and the error of the last one.
    renewals: u64,
    failure: Option<ConsumerError>,
    /// After a failed renewal, the earliest time of the next one.
    retry_after: u64,
}

impl<C: Expires> Cached<C> {
    fn is_due(&self, now: u64) -> bool {
        let expires = self.credentials.expires();
        let early = MAX_RENEWAL_LEAD.min(expires.saturating_sub(self.obtained_at) / 10);
        now >= expires.saturating_sub(early)
    }
}

impl<C: Expires> CredentialCache<C> {
    /// An empty cache.
    pub(crate) fn new() -> Self {
        Self {
            current: Mutex::new(Current {
                cached: None,
                renewals: 0,
                failure: None,
                retry_after: 0,
            }),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    /// Returns valid credentials, and `obtain`s them if there are none; `now` is the site's time.
    pub(crate) async fn get(
        &self,
        now: impl Fn() -> u64 + Send,
        obtain: impl Future<Output = Result<C, ConsumerError>> + Send,
    ) -> Result<Arc<Cached<C>>, ConsumerError> {
        let seen = self.current().clone();
        let good = seen
            .cached
            .filter(|cached| now() < cached.credentials.expires());
        let _turn = match &good {
            Some(cached) if !cached.is_due(now()) || now() < seen.retry_after => {
                return Ok(cached.clone());
            }
            // Another caller renews them; these are still valid.
            Some(cached) => match self.renewal.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(cached.clone()),
            },
            None => self.renewal.lock().await,
        };
        let waited = self.current().clone();
        let outcome = match (waited.failure, waited.cached) {
            (Some(failure), _) if waited.renewals != seen.renewals => Err(failure),
            (None, Some(cached)) if waited.renewals != seen.renewals => Ok(cached),
            _ => {
                let renewed = obtain.await;
                self.current().renewed(renewed, now())
            }
        };
        outcome.or_else(|failure| good.ok_or(failure))
    }

    /// Removes credentials that the provider rejected. Returns `false` if they are so young that
    /// other ones would not help.
    pub(crate) fn invalidate(&self, these: &Arc<Cached<C>>, now: u64) -> bool {
        let mut current = self.current();
        match &current.cached {
            Some(cached) if Arc::ptr_eq(cached, these) => {
                let young = now.saturating_sub(cached.obtained_at) < MIN_AGE_TO_INVALIDATE;
                if !young {
                    current.cached = None;
                }
                !young
            }
            _ => true,
        }
    }

    /// No await happens under this lock, and no code under it can panic between two changes.
    fn current(&self) -> MutexGuard<'_, Current<C>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Current<C> {
    fn renewed(
        &mut self,
        renewed: Result<C, ConsumerError>,
        now: u64,
    ) -> Result<Arc<Cached<C>>, ConsumerError> {
        self.renewals += 1;
        match renewed {
            Ok(credentials) => {
                let obtained_at = now;
                let cached = Arc::new(Cached {
                    credentials,
                    obtained_at,
                });
                self.cached = Some(cached.clone());
                self.failure = None;
                Ok(cached)
            }
            Err(failure) => {
                self.failure = Some(failure.clone());
                self.retry_after = now.saturating_add(RETRY_DELAY);
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

    /// A clock, and a site whose tickets are valid for 100 s.
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
        ) -> Result<Arc<Cached<Credentials>>, ConsumerError> {
            let now = || self.now.load(Ordering::Relaxed);
            cache
                .get(now, async {
                    let asked = self.asked.fetch_add(1, Ordering::Relaxed);
                    // Lets the other callers reach their await.
                    tokio::task::yield_now().await;
                    let id = Nonce([u8::try_from(asked).unwrap(); 16]);
                    match self.fails {
                        true => Err(ConsumerError::Timeout(super::super::Responder::Site)),
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
        ) -> Vec<Result<Arc<Cached<Credentials>>, ConsumerError>> {
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
    async fn concurrent_callers_share_one_renewal() {
        let (world, cache) = (World::default(), CredentialCache::new());
        let got = world.many(&cache).await;
        assert!(got.iter().all(Result::is_ok));
        assert_eq!(world.asked(), 1);
        world.at(89_999);
        world.many(&cache).await;
        assert_eq!(world.asked(), 1);
        // Due: one caller renews, and the others do not wait for it.
        world.at(90_000);
        let got = world.many(&cache).await;
        assert_eq!(world.asked(), 2);
        let old = |cached: &&Result<Arc<Cached<Credentials>>, _>| {
            cached.as_ref().unwrap().credentials.id == Nonce([0; 16])
        };
        assert_eq!(got.iter().filter(old).count(), 99);
        // Expired for all callers.
        world.at(190_000);
        world.many(&cache).await;
        assert_eq!(world.asked(), 3);
    }

    #[tokio::test]
    async fn a_failed_renewal_is_shared_and_valid_credentials_are_still_used() {
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
    async fn a_waiting_caller_continues_a_renewal_whose_caller_was_dropped() {
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
    async fn rejected_credentials_are_invalidated_once_and_not_while_they_are_young() {
        let (world, cache) = (World::default(), CredentialCache::new());
        let first = world.get(&cache).await.unwrap();
        assert!(!cache.invalidate(&first, MIN_AGE_TO_INVALIDATE - 1));
        assert!(cache.invalidate(&first, MIN_AGE_TO_INVALIDATE));
        let second = world.get(&cache).await.unwrap().credentials.id;
        assert_ne!(first.credentials.id, second);
        // A caller that still used the first credentials gets the second.
        assert!(cache.invalidate(&first, MIN_AGE_TO_INVALIDATE));
        assert_eq!(world.get(&cache).await.unwrap().credentials.id, second);
    }
}

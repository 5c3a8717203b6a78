//! The site's end of TLS with a certificate of the site key.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::engine::Site;
use countersign_core::site_key::UnsealedKeys;
use countersign_crypto::site_key::SiteKey;
use countersign_net::tls::{Acceptor, BadCertificate, Https};
use tracing::error;

/// The site's end of TLS, which is created again when the site was unsealed again.
pub(crate) struct Acceptors {
    make: fn(Arc<SiteKey>) -> Result<Acceptor, BadCertificate>,
    cached: Mutex<Option<(Arc<UnsealedKeys>, Acceptor)>>,
}

impl Default for Acceptors {
    /// For the lines of devices and peers.
    fn default() -> Self {
        Self {
            make: |key| Ok(Acceptor::new(key)?),
            cached: Mutex::default(),
        }
    }
}

impl Acceptors {
    /// For HTTP.
    pub(crate) fn of_https() -> Self {
        Self {
            make: |key| Https::of_site(key).map(|https| https.acceptor),
            cached: Mutex::default(),
        }
    }

    /// Forgets the keys.
    pub(crate) fn clear(&self) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the site's end of TLS; `None` while the site is sealed.
    pub(crate) fn current(&self, site: &Site) -> Option<Acceptor> {
        let keys = site.unsealed_keys()?;
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, acceptor)) = &*cached
            && Arc::ptr_eq(of, &keys)
        {
            return Some(acceptor.clone());
        }
        let acceptor = (self.make)(keys.key.clone())
            .inspect_err(|problem| error!(%problem, "a listener with TLS cannot serve"))
            .ok()?;
        *cached = Some((keys, acceptor.clone()));
        // The site was sealed meanwhile, and the cache may have been emptied before.
        if site.is_sealed() {
            *cached = None;
            return None;
        }
        Some(acceptor)
    }
}

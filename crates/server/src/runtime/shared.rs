//! The state that all connections of a server share.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::engine::Site;
use countersign_core::id::AccountId;
use countersign_core::sessions::{CloseReason, CutHook};
use countersign_core::site_key::UnsealedKeys;
use countersign_crypto::noise::StaticKeyCache;
use countersign_proto::session::server::ServerSettings;
use tokio::sync::{Notify, oneshot, watch};

use crate::admission::AccountShares;
use crate::console_files::ConsoleFiles;
use crate::limits::Limits;
use crate::proxies::Proxies;
use crate::runtime::meters::Meters;
pub(crate) use crate::runtime::meters::log_trouble;
use crate::runtime::queue::{FairQueue, QueueLimits};
use crate::runtime::resumptions::Resumptions;
use crate::tls::certificate_source::CertificateSource;

pub(crate) struct Shared {
    pub(crate) site: Site,
    limits: RwLock<Arc<Limits>>,
    /// The trusted proxies in front of the HTTP listener.
    proxies: RwLock<Arc<Proxies>>,
    /// Origins whose pages may open sessions over HTTP.
    origins: Vec<String>,
    /// The certificate of the HTTP listener; `None` if it has no TLS.
    http_certificate: Option<CertificateSource>,
    /// The files of the web console; `None` if it is not served.
    console: Option<ConsoleFiles>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) known: Arc<StaticKeyCache>,
    pub(crate) resumptions: Resumptions,
    pub(crate) settings: Mutex<Option<(Arc<UnsealedKeys>, Arc<ServerSettings>)>>,
    /// The queue of logins and ticket requests for public-key work, by network.
    pub(crate) logins: Arc<FairQueue>,
    /// The queue of costly operations, by account. Operations of the admin socket have the group `None`.
    pub(crate) operations: Arc<FairQueue<Option<AccountId>>>,
    /// Event streams through trusted proxies. They last, so half of the places of such connections stay
    /// for other requests.
    pub(crate) proxied_streams: Arc<AccountShares>,
    /// The connections with verified requests over HTTP, except those of trusted proxies: an account could
    /// take the places of all others, from many addresses.
    pub(crate) http_connections: Arc<AccountShares>,
    pub(crate) meters: Meters,
    /// Notified when an event was counted.
    pub(crate) noted: Notify,
    /// What clears the caches of listeners that hold keys of the site.
    caches: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Shared {
    pub(crate) fn new(
        site: Site,
        limits: Limits,
        stopping: watch::Receiver<bool>,
        proxies: Proxies,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let logins = FairQueue::new(processors, QueueLimits::of_logins(&limits));
        let operations =
            FairQueue::new((processors / 2).max(1), QueueLimits::of_operations(&limits));
        site.throttle()
            .set_limits(limits.penalties, limits.login_throttle);
        delay_refusals(&site, limits.refusal_time);
        Self {
            site,
            proxies: RwLock::new(Arc::new(proxies)),
            origins: Vec::new(),
            http_certificate: None,
            console: None,
            stopping,
            known: Arc::new(StaticKeyCache::default()),
            resumptions: Resumptions::default(),
            settings: Mutex::default(),
            logins,
            operations,
            proxied_streams: AccountShares::new(limits.proxied_connections / 2),
            http_connections: AccountShares::new(limits.connections),
            meters: Meters::default(),
            noted: Notify::new(),
            caches: Mutex::default(),
            limits: RwLock::new(Arc::new(limits)),
        }
    }

    /// The current limits.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        let limits = self.limits.read();
        limits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current trusted proxies.
    pub(crate) fn proxies(&self) -> Arc<Proxies> {
        let proxies = self.proxies.read();
        proxies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets pages of these origins open sessions.
    pub(crate) fn with_origins(mut self, origins: Vec<String>) -> Self {
        self.origins = origins;
        self
    }

    /// The origins whose pages may open sessions.
    pub(crate) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Serves HTTP over TLS with a certificate.
    pub(crate) fn with_certificate(mut self, source: Option<CertificateSource>) -> Self {
        self.http_certificate = source;
        self
    }

    /// The certificate of the HTTP listener; `None` if it has no TLS.
    pub(crate) const fn http_certificate(&self) -> Option<&CertificateSource> {
        self.http_certificate.as_ref()
    }

    /// Serves the web console.
    pub(crate) fn with_console(mut self, files: Option<ConsoleFiles>) -> Self {
        self.console = files;
        self
    }

    /// The files of the web console, if it is served.
    pub(crate) fn console(&self) -> Option<&ConsoleFiles> {
        self.console.as_ref()
    }

    /// Adds a cache of keys or of other secrets. `clear` empties it when the site was sealed.
    pub(crate) fn add_cache(&self, clear: impl Fn() + Send + Sync + 'static) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.push(Box::new(clear));
    }

    /// Empties the caches of keys, and what may contain other secrets, if the site is sealed, so that
    /// memory does not keep them.
    pub(crate) fn forget_keys_if_sealed(&self) {
        if !self.site.is_sealed() {
            return;
        }
        let settings = self.settings.lock();
        *settings.unwrap_or_else(PoisonError::into_inner) = None;
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        for clear in &*caches {
            clear();
        }
        if let Some(source) = &self.http_certificate {
            source.forget_keys();
        }
    }

    /// Changes the limits and the trusted proxies.
    pub(crate) fn reload(&self, limits: Limits, proxies: Proxies) {
        self.site
            .throttle()
            .set_limits(limits.penalties, limits.login_throttle);
        delay_refusals(&self.site, limits.refusal_time);
        self.logins.keep_to(QueueLimits::of_logins(&limits));
        self.operations.keep_to(QueueLimits::of_operations(&limits));
        self.proxied_streams.keep_to(limits.proxied_connections / 2);
        self.http_connections.keep_to(limits.connections);
        if let Some(source) = &self.http_certificate {
            source.reload(&self.site);
        }
        replace(&self.limits, limits);
        replace(&self.proxies, proxies);
    }
}

fn delay_refusals(site: &Site, time: Duration) {
    site.delay_refusals(Arc::new(move || Box::pin(tokio::time::sleep(time))));
}

fn replace<T>(shared: &RwLock<Arc<T>>, new: T) {
    *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
}

/// A hook that ends a connection with a reason.
pub(crate) fn hook(cut: oneshot::Sender<CloseReason>) -> CutHook {
    Box::new(move |reason| {
        let _ = cut.send(reason);
    })
}

//! What a client knows of its site.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_proto::site_identity::KnownSite;

/// What is known of a site, of which each connection may learn more. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedKnownSite(Arc<Mutex<Option<KnownSite>>>);

impl SharedKnownSite {
    pub(crate) fn get(&self) -> Option<KnownSite> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what is known of the site, unless newer key events are known already.
    pub(crate) fn remember(&self, learned: KnownSite) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| learned.is_newer_than(&known)) {
            *known = Some(learned);
        }
    }
}

//! The session with the site that an end of the broker asks over, if it has one.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Client;

/// A session that can be replaced: each is over at some time.
#[derive(Default)]
pub(super) struct Session(RwLock<Option<Arc<Client>>>);

impl Session {
    pub(super) fn new(client: Option<Arc<Client>>) -> Self {
        Self(RwLock::new(client))
    }

    pub(super) fn set(&self, client: Option<Arc<Client>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = client;
    }

    pub(super) fn client(&self) -> Option<Arc<Client>> {
        let client = self.0.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }
}

//! How long a refusal takes that must not tell what exists.
//!
//! Core reads no clock: a server gives the site what to wait for.

use std::sync::{Arc, PoisonError};

use futures_util::future::{BoxFuture, ready};

use super::Site;

/// Makes a future that is done a fixed time after it was made.
pub type RefusalDelay = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Site {
    /// From now on, refusals that must not tell what exists are answered no sooner than this.
    pub fn delay_refusals(&self, delay: RefusalDelay) {
        let mut own = self.0.delay.write().unwrap_or_else(PoisonError::into_inner);
        *own = Some(delay);
    }

    /// Done when a refusal may be answered whose work begins now; at once when no server set a delay.
    pub(crate) fn refusal_delay(&self) -> BoxFuture<'static, ()> {
        let own = self.0.delay.read().unwrap_or_else(PoisonError::into_inner);
        match &*own {
            Some(delay) => delay(),
            None => Box::pin(ready(())),
        }
    }
}

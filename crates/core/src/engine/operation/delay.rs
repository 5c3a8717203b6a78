//! The minimum time that a refusal takes, where its timing must not reveal whether an object
//! exists.
//!
//! Core reads no clock, so the server provides the timer.

use std::sync::{Arc, PoisonError};

use futures_util::future::{BoxFuture, ready};

use crate::engine::Site;

/// Makes a future that completes a fixed time after it was made.
pub type RefusalDelay = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Site {
    /// Sets the delay for refusals whose timing must not reveal whether an object exists.
    pub fn delay_refusals(&self, delay: RefusalDelay) {
        let mut state = self.0.delay.write().unwrap_or_else(PoisonError::into_inner);
        *state = Some(delay);
    }

    /// Starts the delay. Await it before a refusal is sent. It completes at once if no delay was
    /// set.
    pub(crate) fn refusal_delay(&self) -> BoxFuture<'static, ()> {
        let state = self.0.delay.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            Some(delay) => delay(),
            None => Box::pin(ready(())),
        }
    }
}

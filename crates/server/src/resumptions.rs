//! The secrets that clients resume their sessions with, for as long as those last. In memory alone: after a
//! restart every client logs in anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_core::id::SessionId;
use countersign_proto::session::ResumptionSecret;

/// One session's.
struct Resumption {
    /// Boxed: a table that grows moves its entries, and leaves what was in them behind.
    secret: Box<ResumptionSecret>,
    /// The highest number of an attempt that was accepted.
    attempt: u64,
}

#[derive(Default)]
pub(crate) struct Resumptions(Mutex<HashMap<SessionId, Resumption>>);

impl Resumptions {
    pub(crate) fn keep(&self, session: SessionId, secret: ResumptionSecret) {
        let resumption = Resumption {
            secret: Box::new(secret),
            attempt: 0,
        };
        self.all().insert(session, resumption);
    }

    pub(crate) fn forget(&self, session: SessionId) {
        self.all().remove(&session);
    }

    /// The secret of that session.
    pub(crate) fn secret(&self, session: SessionId) -> Option<ResumptionSecret> {
        let all = self.all();
        all.get(&session)
            .map(|resumption| (*resumption.secret).clone())
    }

    /// Accepts an attempt whose number is above that of every earlier one.
    pub(crate) fn claim(&self, session: SessionId, attempt: u64) -> bool {
        match self.all().get_mut(&session) {
            Some(resumption) if attempt > resumption.attempt => {
                resumption.attempt = attempt;
                true
            }
            _ => false,
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SessionId, Resumption>> {
        // An entry goes in or out whole: a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

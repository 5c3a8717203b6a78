//! The secrets with which clients resume their sessions. They are only in memory: after a restart every
//! client has to log in.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_core::id::SessionId;
use countersign_proto::session::ResumptionSecret;

/// The resumption state of one session.
struct Resumption {
    /// Boxed, because a growing hash table moves its entries and leaves copies in freed memory.
    secret: Box<ResumptionSecret>,
    /// The highest number of an accepted attempt.
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

    /// The secret of a session.
    pub(crate) fn secret(&self, session: SessionId) -> Option<ResumptionSecret> {
        let all = self.all();
        all.get(&session)
            .map(|resumption| (*resumption.secret).clone())
    }

    /// Accepts an attempt if its number is above those of all earlier ones. Returns whether it was accepted.
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
        // Each change is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

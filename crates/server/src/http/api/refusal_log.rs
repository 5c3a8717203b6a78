//! The log of refused requests: a caller who asks why has the id of the request alone.
//!
//! A request without a valid credential is logged at the level `debug`, since anyone can send those.

use std::sync::{Mutex, PoisonError};

use countersign_core::access::Caller;
use hyper::StatusCode;
use tracing::{debug, error, info};

use super::super::problem::{Problem, RequestId};
use crate::clock;

/// Refusals a second of the whole site that are logged above the level `debug`: a program that repeats a
/// request without end must not fill the log, also when the disk is full and each request fails.
const MAX_A_SECOND: u32 = 16;

/// The second in which refusals were logged last, and how many.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<(i64, u32)>);

impl RefusalLog {
    /// Logs the problem of a request with a valid credential: its method and operation, and who sent it.
    pub(super) fn log(
        &self,
        (id, problem): (RequestId, &Problem),
        (method, operation): (&str, &str),
        caller: &Caller,
    ) {
        let (account, code, status) = (&caller.name, problem.code(), problem.status().as_u16());
        if !self.has_room(clock::now().millis() / 1_000) {
            debug!(%id, method, operation, %account, status, code, "an API request was refused");
        } else if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
            error!(%id, method, operation, %account, status, code, "an API request failed");
        } else {
            info!(%id, method, operation, %account, status, code, "an API request was refused");
        }
    }

    fn has_room(&self, second: i64) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.0 != second {
            *logged = (second, 0);
        }
        logged.1 += u32::from(logged.1 <= MAX_A_SECOND);
        logged.1 <= MAX_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_limited_number_of_lines() {
        let log = RefusalLog::default();
        for second in [5, 6] {
            let logged = (0..100).filter(|_| log.has_room(second)).count();
            assert_eq!(logged, MAX_A_SECOND as usize);
        }
    }
}

//! The log of refused requests: a caller who asks why has the id of the request alone.
//!
//! A request without a valid credential is logged at the level `debug`, since anyone can send those.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use countersign_core::access::Caller;
use countersign_core::id::AccountId;
use hyper::StatusCode;
use tracing::{debug, error, info};

use super::super::problem::Problem;
use super::super::request_id::RequestId;
use crate::clock;

/// Refusals a second of the whole site that are logged above the level `debug`, and as many errors with the
/// status 500: a program that repeats a request without end must not fill the log, also when the disk is
/// full and each request fails.
const MAX_A_SECOND: u32 = 16;
/// Those of one account. What one credential sends must not keep the refusals of others out of the log.
const MAX_OF_ACCOUNT: u32 = 2;

/// The lines of the present second.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<Second>);

#[derive(Default)]
struct Second {
    number: i64,
    refusals: Lines,
    /// Errors with the status 500: what a caller makes the site refuse must not hide that it fails.
    failures: Lines,
    /// The requests without a line since the log told their number.
    left_out: u64,
}

#[derive(Default)]
struct Lines {
    all: u32,
    of_accounts: HashMap<Option<AccountId>, u32>,
}

impl Lines {
    /// Counts a line, if there is room for it.
    fn has_room(&mut self, account: Option<AccountId>) -> bool {
        if self.all >= MAX_A_SECOND {
            return false;
        }
        let own = self.of_accounts.entry(account).or_default();
        if *own >= MAX_OF_ACCOUNT {
            return false;
        }
        *own += 1;
        self.all += 1;
        true
    }
}

impl RefusalLog {
    /// Logs the problem of a request with a valid credential: its method and operation, and who sent it.
    pub(super) fn log(
        &self,
        id: RequestId,
        problem: &Problem,
        method: &str,
        operation: &str,
        caller: &Caller,
    ) {
        let (account, code, status) = (&caller.name, problem.code(), problem.status().as_u16());
        let is_failure = problem.status() == StatusCode::INTERNAL_SERVER_ERROR;
        let second = clock::now().millis() / 1_000;
        let Some(left_out) = self.admit(second, caller.account, is_failure) else {
            debug!(%id, method, operation, %account, status, code, "an API request was refused");
            return;
        };
        if left_out > 0 {
            info!(
                left_out,
                "refused API requests had no line in the log, since there were too many in a second"
            );
        }
        if is_failure {
            error!(%id, method, operation, %account, status, code, "an API request failed");
        } else {
            info!(%id, method, operation, %account, status, code, "an API request was refused");
        }
    }

    /// Whether a request has a line. Returns with the first line of a second how many requests had none
    /// before.
    fn admit(&self, second: i64, account: Option<AccountId>, is_failure: bool) -> Option<u64> {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.number != second {
            let left_out = logged.left_out;
            *logged = Second {
                number: second,
                left_out,
                ..Second::default()
            };
        }
        let is_first = logged.refusals.all + logged.failures.all == 0;
        let lines = match is_failure {
            true => &mut logged.failures,
            false => &mut logged.refusals,
        };
        if !lines.has_room(account) {
            logged.left_out = logged.left_out.saturating_add(1);
            return None;
        }
        match is_first {
            true => Some(std::mem::take(&mut logged.left_out)),
            false => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(byte: u8) -> Option<AccountId> {
        Some(AccountId::from_bytes([byte; 16]))
    }

    /// One token that was refused 16 times a second kept the refusals of all others, and the errors of the
    /// site, out of the log, and no line told of it.
    #[test]
    fn one_account_does_not_keep_refusals_of_others_and_errors_out_of_the_log() {
        let log = RefusalLog::default();
        let logged = (0..100).filter_map(|_| log.admit(5, account(1), false));
        assert_eq!(logged.collect::<Vec<_>>(), [0; MAX_OF_ACCOUNT as usize]);
        assert_eq!(log.admit(5, account(2), false), Some(0));
        assert_eq!(log.admit(5, account(3), true), Some(0));
        assert_eq!(log.admit(6, account(2), false), Some(98));
        assert_eq!(log.admit(6, account(1), false), Some(0));
        assert_eq!(log.admit(7, account(1), false), Some(0));
    }

    #[test]
    fn a_second_has_a_limited_number_of_lines() {
        let log = RefusalLog::default();
        for (second, is_failure) in [(5, false), (5, true), (6, false)] {
            let logged = (0..100).filter(|n| log.admit(second, account(*n), is_failure).is_some());
            assert_eq!(logged.count(), MAX_A_SECOND as usize);
        }
        let lines = &log.0.lock().unwrap().refusals;
        assert_eq!(lines.of_accounts.len(), MAX_A_SECOND as usize);
    }
}

//! Counts what a server does, for `/metrics` (`docs/operate/monitoring.md`).
//!
//! Every set of labels is bounded: operations are those of the table, outcomes and statuses are named in the
//! protocol. No label comes from a client.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_core::engine::Entry;
use countersign_core::store::StoreError;
use countersign_proto::operation::Code;
use hyper::StatusCode;
use tracing::error;

/// The upper bounds of the classes of durations, in seconds: from a read in memory to a request that waits
/// for a person. A further class has no bound.
pub(crate) const BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
/// The name under which operations are counted that are not in the table.
const UNKNOWN: &str = "unknown";

/// The errors of the store in this process. The store does not know the server that uses it.
static STORE_ERRORS: AtomicU64 = AtomicU64::new(0);

/// Logs and counts the error of a store operation.
pub(crate) fn log_trouble<T>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(trouble) = &result {
        STORE_ERRORS.fetch_add(1, Ordering::Relaxed);
        error!(%trouble, "the store failed");
    }
    result
}

/// How many store operations failed in this process.
pub(crate) fn store_errors() -> u64 {
    STORE_ERRORS.load(Ordering::Relaxed)
}

/// The counters of a server.
#[derive(Default)]
pub(crate) struct Meters(Mutex<Counts>);

/// A copy of the counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Operations on every channel, by name.
    pub(crate) operations: HashMap<String, OperationCounts>,
    /// Responses over HTTP, by status.
    pub(crate) responses: BTreeMap<u16, u64>,
    /// What clients did that were not authenticated and failed to be, by operation.
    pub(crate) failures: BTreeMap<String, u64>,
}

/// The counters of one operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct OperationCounts {
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    pub(crate) durations: Durations,
}

/// Durations in classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    /// The number of durations in each class of [`BOUNDS`], and above the last.
    pub(crate) classes: [u64; BOUNDS.len() + 1],
    pub(crate) sum: Duration,
}

impl Meters {
    /// Counts an operation that ended. `entry` is `None` for a name that is not in the table.
    pub(crate) fn ran(&self, entry: Option<&Entry>, code: Code, lasted: Duration) {
        let name = entry.map_or(UNKNOWN, Entry::name);
        let outcome = code.name().unwrap_or("application");
        let mut counts = self.counts();
        if !counts.operations.contains_key(name) {
            let new = OperationCounts::default();
            counts.operations.insert(name.to_owned(), new);
        }
        if let Some(operation) = counts.operations.get_mut(name) {
            *operation.outcomes.entry(outcome).or_default() += 1;
            operation.durations.add(lasted);
        }
    }

    /// Counts a response over HTTP.
    pub(crate) fn responded(&self, status: StatusCode) {
        *self.counts().responses.entry(status.as_u16()).or_default() += 1;
    }

    /// Counts a failure. `operation` is one of few names.
    pub(crate) fn failed(&self, operation: &str) {
        let mut counts = self.counts();
        match counts.failures.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                counts.failures.insert(operation.to_owned(), 1);
            }
        }
    }

    /// Returns a copy of the counters.
    pub(crate) fn read(&self) -> Counts {
        self.counts().clone()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Durations {
    fn add(&mut self, lasted: Duration) {
        let seconds = lasted.as_secs_f64();
        let class = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(lasted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_at_a_bound_is_in_its_class() {
        let mut durations = Durations::default();
        for millis in [0, 1, 2, 60_000, 60_001] {
            durations.add(Duration::from_millis(millis));
        }
        assert_eq!(durations.classes, [2, 1, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(durations.sum, Duration::from_millis(120_004));
    }

    #[test]
    fn an_operation_that_is_not_in_the_table_gets_no_label_of_its_own() {
        let meters = Meters::default();
        for code in [Code::UNKNOWN_OPERATION, Code::FIRST_OF_APPLICATION] {
            meters.ran(None, code, Duration::ZERO);
        }
        let counts = meters.read();
        assert_eq!(counts.operations.len(), 1);
        let outcomes = &counts.operations[UNKNOWN].outcomes;
        assert_eq!(outcomes["unknown_operation"], 1);
        assert_eq!(outcomes["application"], 1);
    }
}

//! Runs operations. Costly operations wait for their turn, and every operation runs to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use countersign_core::access::{Caller, Channel};
use countersign_core::content::Content;
use countersign_core::engine::{Carried, Entry, Refusal};
use countersign_core::id::AccountId;
use countersign_proto::operation::{Code, Operation, Outcome};
use futures_util::FutureExt;
use tracing::error;

use crate::clock;
use crate::runtime::counting;
use crate::runtime::queue::Turn;
use crate::runtime::shared::Shared;

/// A result with its content, and the room that was kept for it, in bytes.
pub(crate) type Response = (Outcome, Option<Content>, usize);

/// The turn of a costly operation; `None` for others.
type OperationTurn = Option<Turn<Option<AccountId>>>;

impl Shared {
    /// Runs an operation with its content. Returns the result with its content.
    pub(crate) async fn run_with_content(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
    ) -> (Outcome, Option<Content>) {
        let carried = Carried::content(content);
        self.run_carried(caller, operation, carried).await
    }

    /// Runs an operation with its content and the conditions of its channel. Returns the result with its
    /// content.
    pub(crate) async fn run_carried(
        &self,
        caller: &Caller,
        operation: &Operation,
        carried: Carried,
    ) -> (Outcome, Option<Content>) {
        let begun = clock::monotonic();
        let entry = self.site.table().find(&operation.group, &operation.command);
        let ran = self.run_in_turn(entry, caller, operation, carried).await;
        let lasted = clock::monotonic().saturating_duration_since(begun);
        let entry = entry.map(|entry| &**entry);
        self.meters.ran(entry, ran.0.code, lasted);
        ran
    }

    async fn run_in_turn(
        &self,
        entry: Option<&Arc<Entry>>,
        caller: &Caller,
        operation: &Operation,
        carried: Carried,
    ) -> (Outcome, Option<Content>) {
        let carried = carried.with_clock(clock::now);
        // Costly operations take turns, so that processors stay free for logins. The turn is held by the
        // work, which may outlive its caller.
        let turn = match entry.is_some_and(|entry| entry.is_costly()) {
            false => None,
            true => match self.operations.turn(caller.account).await {
                Some(turn) => Some(turn),
                None => return (Self::queue_full(operation.id), None),
            },
        };
        let (outcome, content) = match entry.filter(|entry| entry.computes()) {
            Some(entry) => {
                let entry = Arc::clone(entry);
                Box::pin(self.run_blocking(entry, caller, operation, carried, turn)).await
            }
            None => {
                let now = clock::now();
                let run = self
                    .site
                    .run_carried(entry, caller, operation, carried, now);
                // A panic in a handler ends only its operation.
                let run = AssertUnwindSafe(run).catch_unwind().await;
                run.unwrap_or_else(|_| interrupted(operation))
            }
        };
        // At once, rather than with the next second.
        if entry.is_some_and(|entry| entry.name() == "site.seal") {
            self.forget_keys_if_sealed();
        }
        if outcome.code != Code::SUCCESS && caller.channel == Channel::AdminSocket {
            let name = (operation.group.as_str(), operation.command.as_str());
            if name == ("site", "unseal") {
                counting::unseal_failed(&caller.name);
            }
        }
        if outcome.code == Code::INTERNAL {
            error!(
                group = %operation.group,
                command = %operation.command,
                problem = outcome.data.get(),
                "an operation failed with an internal error"
            );
        }
        (outcome, content)
    }

    /// The bytes of room to keep for the result of an operation while it runs.
    ///
    /// Without it, all operations in flight that list something would end at once, each with a page
    /// for a client that reads none of them. Operations that run are never paused: one that is not
    /// polled would keep what it holds, such as its turn or its connection to the store, from all
    /// others.
    pub(crate) fn room_for(&self, operation: &Operation) -> usize {
        let entry = self.site.table().find(&operation.group, &operation.command);
        entry.map_or(0, |entry| entry.page_bytes())
    }

    /// Runs an operation with long computations on a thread of its own.
    async fn run_blocking(
        &self,
        entry: Arc<Entry>,
        caller: &Caller,
        operation: &Operation,
        carried: Carried,
        turn: OperationTurn,
    ) -> (Outcome, Option<Content>) {
        let (site, caller, ran) = (self.site.clone(), caller.clone(), operation.clone());
        let runtime = tokio::runtime::Handle::current();
        let aside = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let now = clock::now();
            runtime.block_on(site.run_carried(Some(&entry), &caller, &ran, carried, now))
        });
        aside.await.unwrap_or_else(|_| interrupted(operation))
    }

    /// The result of an operation with content beyond the limit on content streams.
    pub(crate) fn too_many_streams(id: u64) -> Outcome {
        Refusal::busy("too many operations of this session transfer content; wait until one ends")
            .outcome(id)
    }

    /// The result of a costly operation when the queue is full.
    fn queue_full(id: u64) -> Outcome {
        Refusal::busy("too many costly operations are waiting; try again later").outcome(id)
    }

    /// The result of a message that is not an operation.
    pub(crate) fn malformed(id: u64, problem: &str) -> Outcome {
        Refusal::malformed(problem).outcome(id)
    }
}

/// The result of an operation whose handler panicked or was cancelled.
fn interrupted(operation: &Operation) -> (Outcome, Option<Content>) {
    let refusal = Refusal::internal("the operation was interrupted");
    (refusal.outcome(operation.id), None)
}

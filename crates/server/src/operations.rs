//! Runs operations: each at its turn, where costly work takes turns, and to its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use countersign_core::access::{Caller, Channel};
use countersign_core::content::Content;
use countersign_core::engine::{Entry, Refusal};
use countersign_core::id::AccountId;
use countersign_proto::operation::{Code, Operation, Outcome};
use futures_util::FutureExt;
use tracing::error;

use crate::clock;
use crate::counting;
use crate::queue::Turn;
use crate::shared::Shared;

/// The turn of an operation that does costly work; none for others.
type OperationTurn = Option<Turn<Option<AccountId>>>;

impl Shared {
    /// Runs an operation through the one door, with the content that comes with it; its result, and the
    /// content that comes with that.
    pub(crate) async fn run_with_content(
        &self,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
    ) -> (Outcome, Option<Content>) {
        let entry = self.site.table().find(&operation.group, &operation.command);
        // Costly work takes turns, and leaves processors to logins. The turn goes with the work, which may
        // outlast its caller.
        let turn = match entry.is_some_and(|entry| entry.is_costly()) {
            false => None,
            true => match self.operations.turn(caller.account).await {
                Some(turn) => Some(turn),
                None => return (Self::too_much_waits(operation.id), None),
            },
        };
        let (outcome, content) = match entry.filter(|entry| entry.computes()) {
            Some(entry) => {
                let entry = Arc::clone(entry);
                self.run_aside(entry, caller, operation, content, turn)
                    .await
            }
            None => {
                let (entry, now) = (entry.map(|entry| &**entry), clock::now());
                let run = self.site.run_entry(entry, caller, operation, content, now);
                // A fault in a handler is the end of its operation and of nothing else.
                let run = AssertUnwindSafe(run).catch_unwind().await;
                run.unwrap_or_else(|_| interrupted(operation))
            }
        };
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
                "an operation failed through no fault of its caller"
            );
        }
        (outcome, content)
    }

    /// Runs an operation that computes for long on a thread of its own.
    async fn run_aside(
        &self,
        entry: Arc<Entry>,
        caller: &Caller,
        operation: &Operation,
        content: Option<Content>,
        turn: OperationTurn,
    ) -> (Outcome, Option<Content>) {
        let (site, caller, ran) = (self.site.clone(), caller.clone(), operation.clone());
        let runtime = tokio::runtime::Handle::current();
        let aside = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let now = clock::now();
            runtime.block_on(site.run_entry(Some(&entry), &caller, &ran, content, now))
        });
        aside.await.unwrap_or_else(|_| interrupted(operation))
    }

    /// The answer to an operation whose content is one stream too many.
    pub(crate) fn too_many_streams(id: u64) -> Outcome {
        Refusal::busy("too many operations with content at a time").outcome(id)
    }

    /// The answer to an operation that finds no place to wait for its turn.
    fn too_much_waits(id: u64) -> Outcome {
        Refusal::busy("too many operations with public-key work wait").outcome(id)
    }

    /// The answer to what is no operation.
    pub(crate) fn malformed(id: u64, problem: &str) -> Outcome {
        Refusal::malformed(problem).outcome(id)
    }
}

/// The answer to an operation that the server could not bring to its end.
fn interrupted(operation: &Operation) -> (Outcome, Option<Content>) {
    let refusal = Refusal::internal("it was interrupted");
    (refusal.outcome(operation.id), None)
}

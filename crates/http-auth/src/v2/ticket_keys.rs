//! The keys of tickets of the symmetric path: asked for in a session when they are needed, which is before
//! the first ticket and some time before the last of them is over.
//!
//! A client can present a ticket under a key that no site ever named, so one question is under way at a time, all
//! who need its answer wait for that one, and the next one is not asked before a pause.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::provider::{
    Provider as Parties, UnverifiedPresentation, VerifiedPresentation,
};
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::V2;
use super::provider::ProviderError;
use crate::provider::{Reply, Shared};
use crate::session::SiteSession;
use crate::slot::Slot;

/// How long after the end of one question the next one is asked at the earliest.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the site may take for an answer, and a presentation waits for it at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// Presentations that wait for an answer.
const WAITING: usize = 256;

/// The way to ticket keys.
pub(super) struct TicketKeys {
    pub(super) session: Slot<Option<Arc<dyn SiteSession>>>,
    question: Mutex<Question>,
    waiting: Semaphore,
}

#[derive(Default)]
struct Question {
    /// Closed when the question that is under way has ended.
    under_way: Option<watch::Receiver<()>>,
    /// When the last one ended.
    ended: Option<Instant>,
}

/// Ends the question, also where its task is aborted.
struct Ending(
    Arc<Shared<V2>>,
    #[allow(dead_code, reason = "closes when dropped")] watch::Sender<()>,
);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut question = self.0.state.ticket_keys.question();
        question.under_way = None;
        question.ended = Some(Instant::now());
    }
}

/// What `broker ticket-keys` answers.
#[derive(Deserialize)]
struct Told {
    keys: Vec<SealedMessage>,
}

impl TicketKeys {
    pub(super) fn new(session: Option<Arc<dyn SiteSession>>) -> Self {
        Self {
            session: Slot::new(session),
            question: Mutex::default(),
            waiting: Semaphore::new(WAITING),
        }
    }

    fn question(&self) -> MutexGuard<'_, Question> {
        // Nothing under the lock can panic half-way.
        self.question.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared<V2> {
    /// Accepts a ticket of the symmetric path; under a key that is not known yet once the site has told it.
    pub(super) async fn accept_symmetric(
        self: &Arc<Self>,
        read: &UnverifiedPresentation,
        site_time: u64,
    ) -> Result<VerifiedPresentation, Reply<Refusal>> {
        let mut parties = self.parties.get();
        if let Some(client) = self.state.ticket_keys.session.get() {
            if parties.lacks_ticket_key(read) {
                if let Some(mut ended) = self.question(client) {
                    let waiting = self.state.ticket_keys.waiting.try_acquire();
                    let _place = waiting.map_err(|_| Reply::Busy)?;
                    // An error says that it has ended, and nothing is ever sent.
                    let _ = ended.changed().await;
                }
                parties = self.parties.get();
            } else {
                let newest = parties.ticket_keys.iter().map(TicketKey::until).max();
                let soon = site_time.saturating_add(TICKET_KEY);
                if newest.is_some_and(|until| until < soon) {
                    self.question(client);
                }
            }
        }
        parties
            .verify(read, site_time)
            .map_err(|refusal| self.refused(refusal.into()))
    }

    /// The question that is under way: one that was asked before, or a new one. `None` when the last one ended just
    /// now.
    fn question(self: &Arc<Self>, client: Arc<dyn SiteSession>) -> Option<watch::Receiver<()>> {
        let mut question = self.state.ticket_keys.question();
        if question.under_way.is_some() {
            return question.under_way.clone();
        }
        if question.ended.is_some_and(|ended| ended.elapsed() < PAUSE) {
            return None;
        }
        let (sender, ended) = watch::channel(());
        let ending = Ending(self.clone(), sender);
        question.under_way = Some(ended.clone());
        tokio::spawn(async move {
            if let Err(error) = ending.0.ask_ticket_keys(&*client).await {
                tracing::warn!(%error, "tickets of the fast path are refused");
            }
        });
        Some(ended)
    }

    /// Asks the site, and goes on with the keys that it tells and no others.
    pub(super) async fn ask_ticket_keys(
        &self,
        client: &dyn SiteSession,
    ) -> Result<(), ProviderError> {
        let params = json!({ "app": self.parties.get().id });
        let told = client.call("broker", "ticket_keys", &params);
        let told = tokio::time::timeout(PATIENCE, told).await;
        let none = |problem: &str| ProviderError::NoTicketKeys(problem.to_owned());
        let told = told.map_err(|_| none("no answer in time"))?;
        let told = told.map_err(|error| none(&error.to_string()))?;
        // What the parser says could tell of a secret.
        let told = serde_json::from_str(told.get());
        let told: Told = told.map_err(|_| none("the answer is none"))?;
        let parties = self.parties.get();
        // Those for a key that is not here any more, or not yet, cannot be read.
        let read = |message| Parties::ticket_keys(&parties, message).ok();
        let keys: Vec<TicketKey> = told.keys.iter().filter_map(read).flatten().collect();
        if keys.is_empty() {
            return Err(none("none is for a key of this application by this site"));
        }
        self.change(|parties| Parties {
            ticket_keys: keys,
            ..parties.clone()
        });
        Ok(())
    }
}

//! The keys for tickets of the symmetric path. They are requested in a session: at the first
//! ticket, and again before the last key expires.
//!
//! An attacker can present tickets with unknown key ids. So only one request runs at a time, all
//! presentations that need its result wait for it, and there is a pause before the next request.

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
use crate::provider::{Reply, SharedProvider};
use crate::session::SiteSession;
use crate::slot::Slot;

/// Minimum time from the end of one request to the next.
const PAUSE: Duration = Duration::from_secs(5);
/// Timeout of the site's result, and so the maximum time that a presentation waits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of presentations that wait for ticket keys.
const MAX_WAITING: usize = 256;

/// The session, and the state of the request for ticket keys.
pub(super) struct TicketKeys {
    pub(super) session: Slot<Option<Arc<dyn SiteSession>>>,
    fetch: Mutex<Fetch>,
    waiting: Semaphore,
}

#[derive(Default)]
struct Fetch {
    /// Closed when the running request ends.
    running: Option<watch::Receiver<()>>,
    /// When the last request ended.
    ended: Option<Instant>,
}

/// Marks the request as ended when dropped, also if its task is aborted.
struct EndOnDrop(
    Arc<SharedProvider<V2>>,
    #[allow(dead_code, reason = "closes when dropped")] watch::Sender<()>,
);

impl Drop for EndOnDrop {
    #[allow(
        clippy::disallowed_methods,
        reason = "limits how often ticket keys are requested"
    )]
    fn drop(&mut self) {
        let mut fetch = self.0.state.ticket_keys.fetch();
        fetch.running = None;
        fetch.ended = Some(Instant::now());
    }
}

/// The result of the operation `broker ticket_keys`.
#[derive(Deserialize)]
struct TicketKeysResult {
    keys: Vec<SealedMessage>,
}

impl TicketKeys {
    pub(super) fn new(session: Option<Arc<dyn SiteSession>>) -> Self {
        Self {
            session: Slot::new(session),
            fetch: Mutex::default(),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    fn fetch(&self) -> MutexGuard<'_, Fetch> {
        // No code that holds the lock can panic between two changes.
        self.fetch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedProvider<V2> {
    /// Verifies a ticket of the symmetric path. If its key is unknown, it requests the ticket keys
    /// first.
    pub(super) async fn accept_symmetric(
        self: &Arc<Self>,
        read: &UnverifiedPresentation,
        site_time: u64,
    ) -> Result<VerifiedPresentation, Reply<Refusal>> {
        let mut parties = self.parties.get();
        if let Some(client) = self.state.ticket_keys.session.get() {
            if parties.lacks_ticket_key(read) {
                if let Some(mut ended) = self.fetch(client) {
                    let waiting = self.state.ticket_keys.waiting.try_acquire();
                    let _place = waiting.map_err(|_| Reply::Busy)?;
                    // Nothing is ever sent; the error of the closed channel signals the end.
                    let _ = ended.changed().await;
                }
                parties = self.parties.get();
            } else {
                let newest = parties.ticket_keys.iter().map(TicketKey::until).max();
                let soon = site_time.saturating_add(TICKET_KEY);
                if newest.is_some_and(|until| until < soon) {
                    self.fetch(client);
                }
            }
        }
        parties
            .verify(read, site_time)
            .map_err(|refusal| self.refused(refusal.into()))
    }

    /// The running request, or a new one. `None` if the last request ended less than [`PAUSE`] ago.
    fn fetch(self: &Arc<Self>, client: Arc<dyn SiteSession>) -> Option<watch::Receiver<()>> {
        let mut fetch = self.state.ticket_keys.fetch();
        if fetch.running.is_some() {
            return fetch.running.clone();
        }
        if fetch.ended.is_some_and(|ended| ended.elapsed() < PAUSE) {
            return None;
        }
        let (sender, ended) = watch::channel(());
        let end = EndOnDrop(self.clone(), sender);
        fetch.running = Some(ended.clone());
        tokio::spawn(async move {
            if let Err(error) = end.0.ask_ticket_keys(&*client).await {
                tracing::warn!(%error, "tickets of the symmetric path are refused: no ticket keys");
            }
        });
        Some(ended)
    }

    /// Requests the ticket keys and replaces all present ones.
    pub(super) async fn ask_ticket_keys(
        &self,
        client: &dyn SiteSession,
    ) -> Result<(), ProviderError> {
        let params = json!({ "app": self.parties.get().id });
        let result = client.call("broker", "ticket_keys", &params);
        let result = tokio::time::timeout(TIMEOUT, result).await;
        let none = |problem: &str| ProviderError::NoTicketKeys(problem.to_owned());
        let result = result.map_err(|_| none("the site did not respond in time"))?;
        let result = result.map_err(|error| none(&error.to_string()))?;
        // The parser's error could contain parts of a secret, so it is not reported.
        let result = serde_json::from_str(result.get());
        let result: TicketKeysResult = result.map_err(|_| none("the result is invalid"))?;
        let parties = self.parties.get();
        // Ticket keys sealed to a key that is not here any more, or not yet, cannot be opened.
        let read = |message| Parties::ticket_keys(&parties, message).ok();
        let keys: Vec<TicketKey> = result.keys.iter().filter_map(read).flatten().collect();
        if keys.is_empty() {
            return Err(none(
                "no key is sealed to this application and signed by this site",
            ));
        }
        self.change(|parties| Parties {
            ticket_keys: keys,
            ..parties.clone()
        });
        Ok(())
    }
}

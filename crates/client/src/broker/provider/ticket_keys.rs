//! The keys of tickets that come by the fast path: asked for in a session when they are needed, which is before
//! the first ticket and some time before the last of them is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::provider::{Presented, Provider as Parties};
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};
use serde::Deserialize;
use serde_json::json;

use super::{PATIENCE, ProviderError, Shared};
use crate::broker::session::Session;
use crate::{CallError, Client};

/// How often the site is asked at most, in milliseconds: anybody can present a ticket under a key that nobody
/// knows.
const PAUSE: u64 = 5_000;

/// The way to ticket keys.
pub(super) struct TicketKeys {
    pub(super) session: Session,
    /// When they were asked for last, by the own clock; never at first.
    last: AtomicU64,
    asked: AtomicBool,
    /// One asks, and all who need them wait for it.
    turn: tokio::sync::Mutex<()>,
}

/// What `broker ticket-keys` answers.
#[derive(Deserialize)]
struct Told {
    keys: Vec<SealedMessage>,
}

impl TicketKeys {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            last: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether the site may be asked now; whoever is told so asks.
    fn may_ask(&self, own: u64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let asked = self.asked.load(Ordering::Relaxed);
        let may = !asked || own.abs_diff(last) >= PAUSE;
        if may {
            self.last.store(own, Ordering::Relaxed);
            self.asked.store(true, Ordering::Relaxed);
        }
        may
    }
}

impl Shared {
    /// Accepts what was presented; under a key that is not known yet once the site has told it.
    pub(super) async fn accept(
        self: &Arc<Self>,
        body: &[u8],
        site_time: u64,
    ) -> Result<Presented, Refusal> {
        let parties = self.parties();
        let presented = parties.accept(body, site_time);
        let unknown = presented.is_err() && parties.lacks_ticket_key(body);
        let Some(client) = self.ticket_keys.session.client() else {
            return presented;
        };
        if unknown {
            let _turn = self.ticket_keys.turn.lock().await;
            // Somebody before may have got it.
            if self.parties().lacks_ticket_key(body) && self.ticket_keys.may_ask(self.time.own()) {
                self.ask_and_tell(&client).await;
            }
            return self.parties().accept(body, site_time);
        }
        let newest = parties.ticket_keys.iter().map(TicketKey::until).max();
        let due = newest.is_some_and(|until| until < site_time.saturating_add(TICKET_KEY));
        if due && self.ticket_keys.may_ask(self.time.own()) {
            let shared = self.clone();
            tokio::spawn(async move { shared.ask_and_tell(&client).await });
        }
        presented
    }

    async fn ask_and_tell(&self, client: &Client) {
        if let Err(error) = self.ask_ticket_keys(client).await {
            tracing::warn!(%error, "tickets of the fast path are refused");
        }
    }

    /// Asks the site, and goes on with the keys that it tells and no others.
    pub(super) async fn ask_ticket_keys(&self, client: &Client) -> Result<(), ProviderError> {
        let params = json!({ "app": self.parties().id });
        let told = client.call::<_, Told>("broker", "ticket_keys", &params);
        let told = tokio::time::timeout(PATIENCE, told).await;
        let none = |problem: &str| ProviderError::NoTicketKeys(problem.to_owned());
        let told = told.map_err(|_| none("no answer in time"))?;
        let told = told.map_err(|error| match error {
            CallError::Unexpected(_) => none("the answer is none"),
            error => none(&error.to_string()),
        })?;
        let parties = self.parties();
        // Those for a key that is not here any more, or not yet, cannot be read.
        let read = |message| Parties::ticket_keys(&parties, message).ok();
        let keys: Vec<TicketKey> = told.keys.iter().filter_map(read).flatten().collect();
        if keys.is_empty() {
            return Err(none("none is for a key of this application by this site"));
        }
        self.change(|parties| parties.ticket_keys = keys);
        Ok(())
    }
}

//! Tickets that the site has declared void: it sends the event `broker.tickets_void` when an
//! application is locked, deleted, in lockdown, or may no longer call this provider.
//!
//! ```text
//! event ──▶ tickets issued up to now are void ──▶ accepted tickets lose their secrets
//!                        │
//!                        ▼ a ticket that is presented later is refused by its time of issue
//! ```
//!
//! A provider that missed events treats all tickets as void: one of the events may have said so. It
//! also missed those between the end of a session, such as that of a site that was killed, and the
//! next one. The times are in memory, and in the ticket store if that survives a restart.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use countersign_proto::broker::v2::limits::MAX_TICKET;
use countersign_proto::operation::Event;
use serde::Deserialize;

use super::V2;
use crate::provider::{ProviderEdition, SharedProvider, TicketStoreError};
use crate::session::SiteSession;

/// Maximum number of consumers whose tickets are void. When there are more, the tickets of all
/// consumers are void, which costs each of them another ticket.
const MAX_CONSUMERS: usize = 4_096;

/// The times up to which tickets are void, in milliseconds since 1970 by the site's clock.
pub(super) struct VoidTickets {
    marks: Mutex<Marks>,
    /// Whether a task follows the events of the current session.
    followed: AtomicBool,
    /// Whether a session ended, and none followed it.
    ended: AtomicBool,
}

#[derive(Default)]
struct Marks {
    all: u64,
    consumers: HashMap<String, u64>,
}

/// The data of the event `broker.tickets_void`.
#[derive(Deserialize)]
struct TicketsVoid {
    /// The application to which the tickets were given, or this provider itself.
    app: String,
    /// The site's time at the event.
    at: Option<jiff::Timestamp>,
}

impl VoidTickets {
    pub(super) fn new() -> Self {
        Self {
            marks: Mutex::default(),
            followed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Returns the time up to which tickets that were issued to this consumer are void.
    fn until(&self, consumer: &str) -> u64 {
        let marks = self.marks();
        let until = marks.consumers.get(consumer).copied();
        until.unwrap_or_default().max(marks.all)
    }

    /// Makes the tickets of a consumer, or of all, void that were issued up to `now`.
    fn mark(&self, consumer: Option<&str>, now: u64) {
        let mut marks = self.marks();
        let marks = &mut *marks;
        // No ticket is valid for longer, so an older mark has no effect.
        marks
            .consumers
            .retain(|_, until| until.saturating_add(MAX_TICKET) > now);
        match consumer {
            Some(consumer) if marks.consumers.len() < MAX_CONSUMERS => {
                let until = marks.consumers.entry(consumer.to_owned()).or_default();
                *until = now.max(*until);
            }
            _ => marks.all = now.max(marks.all),
        }
    }

    /// The session was replaced: the events of the new one are to be followed.
    pub(super) fn session_replaced(&self) {
        self.followed.store(false, Ordering::Relaxed);
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        // No code that holds the lock can panic between two changes.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedProvider<V2> {
    /// Starts to follow the events of the session, unless a task does already. Outside a Tokio
    /// runtime, the first request does so.
    pub(super) fn follow_events(self: &Arc<Self>) {
        let Some(session) = self.state.ticket_keys.session.get() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.state.void.followed.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(mut events) = session.events() else {
            return;
        };
        let missed = self.state.void.ended.swap(false, Ordering::Relaxed);
        // The task must keep neither the provider nor the session alive.
        let (provider, session) = (Arc::downgrade(self), Arc::downgrade(&session));
        runtime.spawn(async move {
            if missed && let Some(provider) = provider.upgrade() {
                provider.void_tickets(None, None).await;
            }
            while let Some(event) = events.next().await {
                let Some(provider) = provider.upgrade() else {
                    return;
                };
                provider.handle_event(&event).await;
            }
            if let Some(provider) = provider.upgrade() {
                provider.session_ended(&session).await;
            }
        });
    }

    /// Events were missed from now on until the next session, which may have begun already.
    async fn session_ended(&self, session: &Weak<dyn SiteSession>) {
        let ended = session.upgrade();
        let in_lockdown = ended.is_some_and(|session| session.ended_by_lockdown());
        let current = self.state.ticket_keys.session.get();
        let is_replaced = current.is_some_and(|current| !Arc::downgrade(&current).ptr_eq(session));
        if in_lockdown || is_replaced {
            self.void_tickets(None, None).await;
        } else {
            self.state.void.ended.store(true, Ordering::Relaxed);
        }
    }

    async fn handle_event(&self, event: &Event) {
        match (event.group.as_str(), event.event.as_str()) {
            ("broker", "tickets_void") => {}
            ("events", "missed") => return self.void_tickets(None, None).await,
            _ => return,
        }
        match serde_json::from_str::<TicketsVoid>(event.data.get()) {
            Ok(TicketsVoid { app, at }) => {
                let is_own = app == V2::id(&self.parties.get());
                self.void_tickets(Some(app.as_str()).filter(|_| !is_own), at)
                    .await;
            }
            // The site is authenticated, so this is a later version of the event.
            Err(_) => self.void_tickets(None, None).await,
        }
    }

    /// Makes all tickets void that the site issued to a consumer, or to all, until now. The time of
    /// receipt counts, or that of the event if it is later: the site made the last of them shortly
    /// before it sent the event. This machine's clock may be behind the site's, which must make no
    /// ticket valid again.
    async fn void_tickets(&self, consumer: Option<&str>, at: Option<jiff::Timestamp>) {
        let now = self.now().await;
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let until = now.max(at.unwrap_or(0));
        let until = until.saturating_add(self.state.time.uncertainty());
        self.state.void.mark(consumer, until);
        if let Err(error) = self.settings.tickets.void_tickets(consumer, until).await {
            tracing::error!(%error, "void tickets could not be removed from the ticket store");
        }
    }

    /// Whether the ticket is void. A ticket that was stored while it became void loses its secret.
    ///
    /// # Errors
    /// [`TicketStoreError`] if the store could not be read.
    pub(super) async fn is_void(
        &self,
        consumer: &str,
        issued: u64,
    ) -> Result<bool, TicketStoreError> {
        let tickets = &self.settings.tickets;
        let stored = tickets.void_until(consumer).await?;
        let until = self.state.void.until(consumer).max(stored);
        if issued > until {
            return Ok(false);
        }
        // A store that fails accepts no request either.
        let _ = tickets.void_tickets(Some(consumer), until).await;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_issued_before_the_mark_are_void_and_later_ones_are_not() {
        let void = VoidTickets::new();
        assert_eq!(void.until("billing"), 0);
        void.mark(Some("billing"), 1_000);
        assert_eq!((void.until("billing"), void.until("archive")), (1_000, 0));
        void.mark(None, 2_000);
        assert_eq!(
            (void.until("billing"), void.until("archive")),
            (2_000, 2_000)
        );
    }

    #[test]
    fn a_mark_that_finds_no_place_makes_the_tickets_of_all_consumers_void() {
        let void = VoidTickets::new();
        for number in 0..MAX_CONSUMERS {
            void.mark(Some(&number.to_string()), 1_000);
        }
        assert_eq!(void.until("billing"), 0);
        void.mark(Some("billing"), 1_000);
        assert_eq!(
            (void.until("billing"), void.until("archive")),
            (1_000, 1_000)
        );
        void.mark(Some("archive"), 1_001 + MAX_TICKET);
        assert_eq!(void.marks().consumers.len(), 1, "old marks are forgotten");
    }
}

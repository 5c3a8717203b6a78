//! Tickets that the site has declared void: it sends the event `broker.tickets_void` when an
//! application is locked, deleted, in lockdown, or may no longer call this provider.
//!
//! ```text
//! event ──▶ requests of the consumer are refused ──▶ ticket store: ──▶ requests with other tickets
//!                        ▲                │          mark, secrets      are accepted
//!                        └── each second ─┘ if that fails
//! ```
//!
//! The mark is a time. The store makes accepted tickets unusable, and a ticket that is presented
//! later is refused by its time of issue.
//!
//! A provider that missed events treats all tickets as void: one of the events may have said so. It
//! also missed those between the end of a session, such as that of a site that was killed, and the
//! next one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::limits::{MAX_TICKET, TOLERANCE};
use countersign_proto::operation::Event;
use serde::Deserialize;

use super::V2;
use crate::provider::{ProviderEdition, Reply, SharedProvider, TicketStoreError, VoidMarks, busy};
use crate::session::SiteSession;

/// How long the provider waits before it writes a mark again that the ticket store did not take.
const RETRY: Duration = Duration::from_secs(1);

/// What the ticket store does not know yet of void tickets, and whether events are followed.
#[derive(Default)]
pub(super) struct VoidTickets {
    unwritten: Mutex<Unwritten>,
    following: Mutex<Following>,
}

/// Whose events a task follows.
#[derive(Default)]
struct Following {
    /// The newest session with such a task. A session that is set again has it already.
    session: Option<Weak<dyn SiteSession>>,
    /// Whether a session ended, and none followed it.
    missed: bool,
}

/// Marks that are not in the ticket store yet.
#[derive(Default)]
struct Unwritten {
    marks: VoidMarks,
    /// Whether the store failed. A task then writes the marks again each second.
    failing: bool,
}

/// The data of the event `broker.tickets_void`.
#[derive(Deserialize)]
struct TicketsVoid {
    /// The application to which the tickets were given, or this provider itself; absent if it is
    /// more applications than the site names.
    app: Option<String>,
    /// The site's time at the event.
    at: Option<jiff::Timestamp>,
}

impl VoidTickets {
    fn following(&self) -> MutexGuard<'_, Following> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        // No code that holds the lock can panic between two changes.
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all marks are written. The task that writes them again ends then.
    fn is_written(&self) -> bool {
        let mut unwritten = self.unwritten();
        let is_written = unwritten.marks.first().is_none();
        unwritten.failing &= !is_written;
        is_written
    }
}

impl SharedProvider<V2> {
    /// Starts to follow the events of the session, unless a task does already. Outside a Tokio
    /// runtime, the first request does so.
    pub(super) fn follow_events(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut following = self.state.void.following();
        // Read under the lock, so that the newest session is followed.
        let Some(current) = self.state.ticket_keys.session.get() else {
            return;
        };
        // The task must keep neither the provider nor the session alive.
        let (provider, session) = (Arc::downgrade(self), Arc::downgrade(&current));
        let followed = following.session.replace(session.clone());
        if followed.is_some_and(|followed| followed.ptr_eq(&session)) {
            return;
        }
        let Some(mut events) = current.events() else {
            return;
        };
        let missed = std::mem::take(&mut following.missed);
        drop(following);
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
    async fn session_ended(self: &Arc<Self>, session: &Weak<dyn SiteSession>) {
        let ended = session.upgrade();
        let in_lockdown = ended.is_some_and(|session| session.ended_by_lockdown());
        let voids_now = {
            // Under the lock: the task of a session that begins now finds that events were missed.
            let mut following = self.state.void.following();
            let current = self.state.ticket_keys.session.get();
            let is_replaced =
                current.is_some_and(|current| !Arc::downgrade(&current).ptr_eq(session));
            following.missed |= !(in_lockdown || is_replaced);
            in_lockdown || is_replaced
        };
        if voids_now {
            self.void_tickets(None, None).await;
        }
    }

    async fn handle_event(self: &Arc<Self>, event: &Event) {
        match (event.group.as_str(), event.event.as_str()) {
            ("broker", "tickets_void") => {}
            ("events", "missed") => return self.void_tickets(None, None).await,
            _ => return,
        }
        match serde_json::from_str::<TicketsVoid>(event.data.get()) {
            Ok(TicketsVoid { app, at }) => {
                let parties = self.parties.get();
                let own = V2::id(&parties);
                let consumer = app.as_deref().filter(|app| *app != own);
                self.void_tickets(consumer, at).await;
            }
            // The site is authenticated, so this is a later version of the event.
            Err(_) => self.void_tickets(None, None).await,
        }
    }

    /// Makes all tickets void that the site issued to a consumer, or to all, until now. The time of
    /// receipt counts, or that of the event if it is later: the site made the last of them shortly
    /// before it sent the event. This machine's clock may be behind the site's, which must make no
    /// ticket valid again.
    async fn void_tickets(self: &Arc<Self>, consumer: Option<&str>, at: Option<jiff::Timestamp>) {
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        let at = at.unwrap_or_default();
        let void = &self.state.void;
        // Requests are refused from here on, also while the site is asked for its time.
        void.unwritten().marks.mark(consumer, at);
        let now = self.now().await;
        if at > now.saturating_add(TOLERANCE) {
            self.state.time.mark_uncertain();
        }
        let until = now.max(at);
        let until = until.saturating_add(self.state.time.uncertainty());
        void.unwritten().marks.mark(consumer, until);
        let Err(error) = self.write_marks().await else {
            return;
        };
        if std::mem::replace(&mut void.unwritten().failing, true) {
            return;
        }
        tracing::error!(%error, "the ticket store cannot be told of void tickets: requests of their consumers get 503 until it can");
        let provider = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETRY).await;
                let Some(provider) = provider.upgrade() else {
                    return;
                };
                // The error was logged when it occurred first.
                let _ = provider.write_marks().await;
                if provider.state.void.is_written() {
                    return;
                }
            }
        });
    }

    /// Tells the ticket store which tickets are void, as far as it does not know.
    async fn write_marks(&self) -> Result<(), TicketStoreError> {
        let first = || self.state.void.unwritten().marks.first();
        while let Some((consumer, until)) = first() {
            let consumer = consumer.as_deref();
            self.settings.tickets.void_tickets(consumer, until).await?;
            let mut unwritten = self.state.void.unwritten();
            unwritten.marks.remove(consumer, until);
        }
        Ok(())
    }

    /// Sets marks that are more than the longest lifetime of a ticket ahead to the present time: a
    /// clock was wrong when they were made. A mark that is less far ahead stays, since void tickets
    /// with such times would otherwise be accepted soon. The site's clock may be behind for a moment,
    /// so that the clock of this machine has to agree.
    pub(super) async fn lower_marks(&self) {
        let now = self.state.time.latest();
        let later_than = now.saturating_add(MAX_TICKET);
        let to = now.saturating_add(self.state.time.uncertainty());
        self.state.void.unwritten().marks.lower(later_than, to);
        if let Err(error) = self.settings.tickets.lower_void(later_than, to).await {
            tracing::warn!(%error, "times of void tickets were not compared with the site's time");
        }
    }

    /// Rejects a ticket that is void. While the store cannot be told which tickets of the consumer
    /// are void, all its tickets are rejected.
    pub(super) async fn reject_void(
        &self,
        consumer: &str,
        issued: u64,
    ) -> Result<(), Reply<Refusal>> {
        // In this order: a mark that is written in between is found in the store.
        let (unwritten, failing) = self.unwritten(consumer);
        let stored = self.settings.tickets.void_until(consumer).await;
        if Some(issued) <= unwritten.max(Some(stored.map_err(busy)?)) {
            return Err(Refusal::NotVerified.into());
        }
        match unwritten {
            Some(_) if failing => Err(Reply::Busy),
            _ => Ok(()),
        }
    }

    /// Rejects a request if the ticket store does not know yet that tickets of its consumer are
    /// void.
    pub(super) fn reject_unwritten(&self, consumer: &str) -> Result<(), Reply<Refusal>> {
        match self.unwritten(consumer) {
            (None, _) => Ok(()),
            (Some(_), true) => Err(Reply::Busy),
            (Some(_), false) => Err(Refusal::NotVerified.into()),
        }
    }

    /// The time up to which tickets of a consumer are void that the ticket store does not know yet,
    /// and whether the store failed.
    fn unwritten(&self, consumer: &str) -> (Option<u64>, bool) {
        let unwritten = self.state.void.unwritten();
        (unwritten.marks.until(consumer), unwritten.failing)
    }
}

//! The ticket store in memory. After a restart each consumer has to present another ticket.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::message::Nonce;

use super::shares::Shares;
use super::{
    Insertion, Limits, OpenedTicket, RequestName, TicketStore, TicketStoreError, VoidMarks,
    kept_until,
};

/// A ticket store in the memory of one process.
///
/// It forgets at a restart which tickets are void. A ticket of a locked application that was not
/// presented before is then accepted until it expires, at most a day. `SqliteTickets` remembers it.
///
/// In edition v2, a presentation that an attacker recorded in the last minute before a restart is
/// accepted once more after it. The attacker gains nothing: the acknowledgement creates a new
/// secret, which the attacker cannot read. No request that was signed before the restart is
/// accepted.
#[derive(Debug)]
pub struct MemoryTickets {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tickets: HashMap<Nonce, OpenedTicket>,
    requests: HashSet<RequestName>,
    ticket_shares: Shares,
    request_shares: Shares,
    void: VoidMarks,
    /// Entries by the time they may be deleted, the earliest on top.
    expiring: BinaryHeap<Reverse<(u64, Expiring)>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Expiring {
    Ticket(Nonce),
    Request(RequestName, Arc<str>),
}

impl Default for MemoryTickets {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl MemoryTickets {
    /// An empty store with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                tickets: HashMap::new(),
                requests: HashSet::new(),
                ticket_shares: Shares::new(limits.tickets),
                request_shares: Shares::new(limits.requests),
                void: VoidMarks::default(),
                expiring: BinaryHeap::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the state and deletes expired entries.
    fn purged(&self, now: u64) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while let Some(Reverse((until, _))) = state.expiring.peek()
            && *until < now
        {
            match state.expiring.pop() {
                Some(Reverse((_, Expiring::Ticket(id)))) => {
                    if let Some(ticket) = state.tickets.remove(&id) {
                        state.ticket_shares.remove(&ticket.credentials.application);
                    }
                }
                Some(Reverse((_, Expiring::Request(name, application)))) => {
                    state.requests.remove(&name);
                    state.request_shares.remove(&application);
                }
                None => {}
            }
        }
        state
    }
}

#[async_trait]
impl TicketStore for MemoryTickets {
    fn survives_restart(&self) -> bool {
        false
    }

    async fn insert_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        let mut state = self.purged(now);
        let (id, expires) = (ticket.credentials.id, ticket.credentials.expires);
        if state.tickets.contains_key(&id) {
            return Ok(Insertion::Replayed);
        }
        let application = &ticket.credentials.application;
        if Some(issued) <= state.void.until(application) {
            return Ok(Insertion::Void);
        }
        if !state.ticket_shares.has_room(application) {
            return Ok(Insertion::Full);
        }
        state.ticket_shares.add(application);
        state.tickets.insert(id, ticket);
        let entry = (kept_until(expires), Expiring::Ticket(id));
        state.expiring.push(Reverse(entry));
        Ok(Insertion::New)
    }

    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError> {
        let state = self.state();
        Ok(state.tickets.get(&id).cloned())
    }

    async fn void_tickets(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError> {
        let mut state = self.state();
        state.void.mark(application, until);
        for ticket in state.tickets.values_mut() {
            let credentials = &mut ticket.credentials;
            if application.is_none_or(|application| credentials.application == application) {
                credentials.secret = Secret::generate(&mut SystemEntropy);
            }
        }
        Ok(())
    }

    async fn void_until(&self, application: &str) -> Result<u64, TicketStoreError> {
        let until = self.state().void.until(application);
        Ok(until.unwrap_or_default())
    }

    async fn lower_void(&self, later_than: u64, to: u64) -> Result<(), TicketStoreError> {
        self.state().void.lower(later_than, to);
        Ok(())
    }

    async fn insert_request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError> {
        let mut state = self.purged(now);
        if state.requests.contains(&name) {
            return Ok(Insertion::Replayed);
        }
        if !state.request_shares.has_room(application) {
            return Ok(Insertion::Full);
        }
        let application = state.request_shares.add(application);
        state.requests.insert(name);
        let entry = (kept_until(until), Expiring::Request(name, application));
        state.expiring.push(Reverse(entry));
        Ok(Insertion::New)
    }
}

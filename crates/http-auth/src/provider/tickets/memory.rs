//! Tickets in memory. A restart forgets them: whoever had one gets another.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign_proto::broker::v2::message::Nonce;

use super::shares::Shares;
use super::{Limits, Once, OpenedTicket, RequestName, TicketStore, TicketStoreError, remembered};

/// Remembers in memory, for one process.
///
/// A presentation that was recorded in the last minute before a restart is accepted once more after it. Nobody
/// can use that: the secret is another each time, and whoever recorded it does not learn it. Nothing that was
/// signed before the restart is accepted.
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
    /// What is forgotten next, the first to go on top.
    over: BinaryHeap<Reverse<(u64, Remembered)>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Remembered {
    Ticket(Nonce),
    Request(RequestName, Arc<str>),
}

impl Default for MemoryTickets {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl MemoryTickets {
    /// Remembers as much as that.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                tickets: HashMap::new(),
                requests: HashSet::new(),
                ticket_shares: Shares::new(limits.tickets),
                request_shares: Shares::new(limits.requests),
                over: BinaryHeap::new(),
            }),
        }
    }

    /// The state, without what is over.
    fn at(&self, now: u64) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Reverse((until, _))) = state.over.peek()
            && *until < now
        {
            match state.over.pop() {
                Some(Reverse((_, Remembered::Ticket(id)))) => {
                    if let Some(ticket) = state.tickets.remove(&id) {
                        state.ticket_shares.remove(&ticket.credentials.application);
                    }
                }
                Some(Reverse((_, Remembered::Request(name, application)))) => {
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
    fn outlives_a_restart(&self) -> bool {
        false
    }

    async fn keep(&self, ticket: OpenedTicket, now: u64) -> Result<Once, TicketStoreError> {
        let mut state = self.at(now);
        let (id, expires) = (ticket.credentials.id, ticket.credentials.expires);
        if state.tickets.contains_key(&id) {
            return Ok(Once::Again);
        }
        let application = &ticket.credentials.application;
        if !state.ticket_shares.has_room(application) {
            return Ok(Once::Full);
        }
        state.ticket_shares.add(application);
        state.tickets.insert(id, ticket);
        let forget = (remembered(expires), Remembered::Ticket(id));
        state.over.push(Reverse(forget));
        Ok(Once::First)
    }

    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.tickets.get(&id).cloned())
    }

    async fn request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Once, TicketStoreError> {
        let mut state = self.at(now);
        if state.requests.contains(&name) {
            return Ok(Once::Again);
        }
        if !state.request_shares.has_room(application) {
            return Ok(Once::Full);
        }
        let application = state.request_shares.add(application);
        state.requests.insert(name);
        let forget = (remembered(until), Remembered::Request(name, application));
        state.over.push(Reverse(forget));
        Ok(Once::First)
    }
}

//! What a provider stores: accepted tickets, and the requests that were signed with them.

mod marks;
mod memory;
mod shares;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use countersign_crypto::hash::sha256;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::{Credentials, limits};
use serde_json::value::RawValue;

pub(crate) use marks::VoidMarks;
pub use memory::MemoryTickets;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteTickets;

/// An accepted ticket: the secret shared with the consumer, and the site's data about the consumer.
#[derive(Debug, Clone)]
pub struct OpenedTicket {
    /// The consumer's id, ticket id, secret and expiry.
    pub credentials: Credentials,
    /// The data that the site has registered for the consumer, as JSON.
    pub auth_data: Arc<RawValue>,
}

/// The result of inserting a ticket or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It was not stored before and is stored now.
    New,
    /// It was stored before.
    Replayed,
    /// There is no room for it, in total or for its application. No stored entry is evicted.
    Full,
    /// The ticket is void ([`TicketStore::void_tickets`]) and was not stored.
    Void,
}

/// Maximum number of stored entries of all applications together. One application may use as much
/// as is still free: a single application gets half, and the next application always finds room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unexpired tickets: each consumer has one or two.
    pub tickets: usize,
    /// Requests with unexpired signatures: those of one or two minutes.
    pub requests: usize,
}

impl Default for Limits {
    /// 100,000 tickets and 1,000,000 requests: about 170 MiB of memory when full.
    fn default() -> Self {
        Self {
            tickets: 100_000,
            requests: 1_000_000,
        }
    }
}

/// The ticket store cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ticket store failed: {0}")]
pub struct TicketStoreError(pub String);

/// Stores tickets until they expire, and requests until their signatures expire.
///
/// Of concurrent insertions of the same entry exactly one is [`Insertion::New`]. Times are the
/// site's, in milliseconds since 1970. Expired entries stay for [`limits::TOLERANCE`] more, in case
/// the clock is set back.
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Stores a ticket, which the site issued at `issued`, unless it is stored already or void. A
    /// store checks this in one step with the insertion: a ticket that becomes void at the same
    /// time is either refused, or stored before and then made unusable. It is durable when this
    /// returns, if the store is durable at all.
    ///
    /// # Errors
    /// [`TicketStoreError`]; the ticket may or may not have been stored.
    async fn insert_ticket(
        &self,
        ticket: OpenedTicket,
        issued: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError>;

    /// Whether entries survive a restart of the process.
    fn survives_restart(&self) -> bool;

    /// The stored ticket with this id. It may have expired.
    ///
    /// # Errors
    /// [`TicketStoreError`].
    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError>;

    /// Makes the stored tickets of an application unusable, or those of all applications, for
    /// example by overwriting their secrets. Their ids stay stored until they expire, so that none
    /// of them is accepted again. The store also remembers `until`: tickets that the site issued up
    /// to that time are void, also those that are presented later. It is durable when this returns,
    /// if the store is durable at all.
    ///
    /// # Errors
    /// [`TicketStoreError`]; none, some or all of the tickets are unusable. The provider calls this
    /// again each second, and meanwhile accepts no request of the application.
    async fn void_tickets(
        &self,
        application: Option<&str>,
        until: u64,
    ) -> Result<(), TicketStoreError>;

    /// Returns the latest time up to which tickets of an application are void; 0 if there is none.
    ///
    /// # Errors
    /// [`TicketStoreError`].
    async fn void_until(&self, application: &str) -> Result<u64, TicketStoreError>;

    /// Sets each time up to which tickets are void, and that is later than `later_than`, to `to`.
    /// Such a time comes from a clock that was wrong.
    ///
    /// # Errors
    /// [`TicketStoreError`].
    async fn lower_void(&self, later_than: u64, to: u64) -> Result<(), TicketStoreError>;

    /// Stores a request of `application` unless it is stored already; its signature expires at
    /// `until`.
    ///
    /// # Errors
    /// [`TicketStoreError`]; the request may or may not have been stored.
    async fn insert_request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Insertion, TicketStoreError>;
}

/// Identifies a signed request: SHA-256 of ticket id and nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestName(pub [u8; 32]);

impl RequestName {
    /// The name of the request with this nonce under this ticket.
    #[must_use]
    pub fn new(ticket: Nonce, nonce: &str) -> Self {
        Self(sha256(&[&ticket.0, nonce.as_bytes()].concat()))
    }
}

/// When the entry of something that expires at `expires` may be deleted.
fn kept_until(expires: u64) -> u64 {
    expires.saturating_add(limits::TOLERANCE)
}

//! What a provider remembers: the tickets that it accepted, and which requests came under them.

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

pub use memory::MemoryTickets;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteTickets;

/// A ticket that was presented: what is shared with the application that did, and what the site told of it.
#[derive(Debug, Clone)]
pub struct OpenedTicket {
    /// The application, the secret and until when.
    pub credentials: Credentials,
    /// What the site knows of it, as JSON.
    pub auth_data: Arc<RawValue>,
}

/// Whether something came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// It is remembered from now on.
    First,
    /// It came before.
    Again,
    /// There is no room to remember it, in all or for its application. Nothing that is remembered is forgotten
    /// for it.
    Full,
}

/// How much is remembered at most, of all applications together. One application may have as much as is still
/// free: alone half of it, and however much others have there is room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tickets that are not over: each application that calls has one or two.
    pub tickets: usize,
    /// Requests whose signatures are not over: those of a minute or two.
    pub requests: usize,
}

impl Default for Limits {
    /// 100,000 tickets and 1,000,000 requests: some 170 MiB of memory when all is full.
    fn default() -> Self {
        Self {
            tickets: 100_000,
            requests: 1_000_000,
        }
    }
}

/// What is remembered cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tickets cannot be kept: {0}")]
pub struct TicketStoreError(pub String);

/// Remembers tickets until they are over, and requests until their signatures are.
///
/// Whatever comes twice at the same time is [`Once::First`] for one caller alone. Times are the site's, in
/// milliseconds since 1970; what is over is kept for [`limits::TOLERANCE`] more, for a clock that is set back.
#[async_trait]
pub trait TicketStore: Send + Sync + 'static {
    /// Keeps a ticket unless it was presented before. As durable as it will be when this returns.
    ///
    /// # Errors
    /// [`TicketStoreError`]; nothing was kept then, or it is not known whether it was.
    async fn keep(&self, ticket: OpenedTicket, now: u64) -> Result<Once, TicketStoreError>;

    /// Whether what is remembered is remembered after a restart too.
    fn outlives_a_restart(&self) -> bool;

    /// The ticket of that id, if it is remembered. It may be over.
    ///
    /// # Errors
    /// [`TicketStoreError`].
    async fn ticket(&self, id: Nonce) -> Result<Option<OpenedTicket>, TicketStoreError>;

    /// Remembers a request of an application `until` its signature is over.
    ///
    /// # Errors
    /// [`TicketStoreError`], as for a ticket.
    async fn request(
        &self,
        name: RequestName,
        application: &str,
        until: u64,
        now: u64,
    ) -> Result<Once, TicketStoreError>;
}

/// Names a signed request: ticket and nonce, in 32 bytes however long the nonce is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestName(pub [u8; 32]);

impl RequestName {
    /// The name of the request with that nonce under that ticket.
    #[must_use]
    pub fn new(ticket: Nonce, nonce: &str) -> Self {
        Self(sha256(&[&ticket.0, nonce.as_bytes()].concat()))
    }
}

/// Until when something is remembered that is over at `expires`.
fn remembered(expires: u64) -> u64 {
    expires.saturating_add(limits::TOLERANCE)
}

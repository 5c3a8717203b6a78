//! Enrolment tickets.

use async_trait::async_trait;
use countersign_proto::enrolment::TokenHash;

use super::{DamagedRow, StoreError};
use crate::enrolment::EnrolmentTicket;
use crate::id::{AccountId, TicketId};
use crate::page::Page;
use crate::timestamp::Timestamp;

/// Reads enrolment tickets.
#[async_trait]
pub trait EnrolmentTickets: Send + Sync {
    /// The ticket whose token has that hash.
    async fn ticket_by_token(
        &self,
        token_hash: &TokenHash,
    ) -> Result<Option<EnrolmentTicket>, StoreError>;

    /// The ticket of that id.
    async fn enrolment_ticket(&self, id: TicketId) -> Result<Option<EnrolmentTicket>, StoreError>;

    /// How many tickets of that account can register a key at `now`.
    async fn open_tickets(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError>;

    /// The tickets of that account, or of all accounts, oldest first. A damaged ticket is an entry of the
    /// list and does not prevent reading the others.
    async fn enrolment_tickets(
        &self,
        account: Option<AccountId>,
        page: &Page<TicketId>,
    ) -> Result<Vec<Result<EnrolmentTicket, DamagedRow<TicketId>>>, StoreError>;

    /// The ticket of that id if it exists and cannot be read.
    async fn damaged_ticket(
        &self,
        id: TicketId,
    ) -> Result<Option<DamagedRow<TicketId>>, StoreError>;
}

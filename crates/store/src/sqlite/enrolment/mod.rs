//! Enrolment tickets.

mod write;

use async_trait::async_trait;
use countersign_core::enrolment::{EnrolmentTicket, RevocationReason, TicketState};
use countersign_core::id::{AccountId, DeviceId, TicketId};
use countersign_core::page::Page;
use countersign_core::store::{DamagedRow, EnrolmentTickets, StoreError};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::{TicketKind, TokenHash};

use super::SqliteStore;
use super::reads::{many, one, page_query};
use super::row::{Columns, damaged, owned};

pub(super) use write::{TicketChange, apply};

const OPEN: &str = "open";
const BOUND: &str = "bound";
const REVOKED: &str = "revoked";

macro_rules! select {
    ($from:literal) => {
        concat!(
            "SELECT ticket.id, account.id, ticket.kind, ticket.token_hash, ticket.issued, \
             ticket.expires, ticket.state, ticket.changed, ticket.why, ticket.thumbprint, \
             ticket.device FROM ",
            $from
        )
    };
}

const BY_TOKEN: &str = select!(
    "enrolment_ticket AS ticket JOIN account ON account.key = ticket.account \
     WHERE ticket.token_hash = ?"
);
const BY_ID: &str = select!(
    "enrolment_ticket AS ticket JOIN account ON account.key = ticket.account WHERE ticket.id = ?"
);
// CROSS JOIN keeps SQLite from turning the join round: an account's own tickets are found by their
// index.
const OF_ACCOUNT: &str = select!(
    "account CROSS JOIN enrolment_ticket AS ticket ON ticket.account = account.key \
     WHERE account.id = ? AND ticket.id > ? ORDER BY ticket.id LIMIT ?"
);
const OPEN_TICKETS: &str = "SELECT count(*) FROM account CROSS JOIN enrolment_ticket AS ticket \
                            ON ticket.account = account.key \
                            WHERE account.id = ? AND ticket.state = 'open' AND ticket.expires > ?";
const ALL: &str = select!(
    "enrolment_ticket AS ticket CROSS JOIN account ON account.key = ticket.account \
     WHERE ticket.id > ? ORDER BY ticket.id LIMIT ?"
);

#[async_trait]
impl EnrolmentTickets for SqliteStore {
    async fn ticket_by_token(
        &self,
        token_hash: &TokenHash,
    ) -> Result<Option<EnrolmentTicket>, StoreError> {
        let query = sqlx::query(BY_TOKEN).bind(token_hash.0.to_vec());
        one(&self.readers, query, row).await
    }

    async fn enrolment_ticket(&self, id: TicketId) -> Result<Option<EnrolmentTicket>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        one(&self.readers, query, row).await
    }

    async fn open_tickets(&self, account: AccountId, now: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query(OPEN_TICKETS)
            .bind(account.as_bytes().to_vec())
            .bind(now.millis());
        let open = one(&self.readers, query, count).await?;
        Ok(open.unwrap_or(0))
    }

    async fn enrolment_tickets(
        &self,
        account: Option<AccountId>,
        page: &Page<TicketId>,
    ) -> Result<Vec<Result<EnrolmentTicket, DamagedRow<TicketId>>>, StoreError> {
        let after = page.after.map(|id| *id.as_bytes());
        let query = page_query(OF_ACCOUNT, ALL, account, after, page.limit);
        many(&self.readers, query, listed).await
    }

    async fn damaged_ticket(
        &self,
        id: TicketId,
    ) -> Result<Option<DamagedRow<TicketId>>, StoreError> {
        let query = sqlx::query(BY_ID).bind(id.as_bytes().to_vec());
        let listed = one(&self.readers, query, listed).await?;
        Ok(listed.and_then(Result::err))
    }
}

fn count(columns: &mut Columns<'_>) -> Result<u64, StoreError> {
    columns.number()
}

fn row(columns: &mut Columns<'_>) -> Result<EnrolmentTicket, StoreError> {
    Ok(listed(columns)??)
}

fn listed(
    columns: &mut Columns<'_>,
) -> Result<Result<EnrolmentTicket, DamagedRow<TicketId>>, StoreError> {
    owned(columns, TicketId::from_bytes, whole)
}

fn whole(
    columns: &mut Columns<'_>,
    id: TicketId,
    account: AccountId,
) -> Result<EnrolmentTicket, StoreError> {
    Ok(EnrolmentTicket {
        id,
        account,
        kind: columns.word(&TicketKind::ALL, TicketKind::name)?,
        token_hash: TokenHash(columns.bytes()?),
        issued: columns.time()?,
        expires: columns.time()?,
        state: state(columns)?,
    })
}

/// The device of a bound ticket; a ticket that set a pass phrase has none.
fn device(columns: &mut Columns<'_>) -> Result<Option<DeviceId>, StoreError> {
    let bytes: Option<&[u8]> = columns.take()?;
    let id = bytes.map(<[u8; 16]>::try_from).transpose();
    let id = id.map_err(|error| damaged(&error))?;
    Ok(id.map(DeviceId::from_bytes))
}

fn state(columns: &mut Columns<'_>) -> Result<TicketState, StoreError> {
    match columns.take::<&str>()? {
        OPEN => Ok(TicketState::Open),
        BOUND => {
            let (at, _) = (columns.time()?, columns.take::<Option<&str>>()?);
            Ok(TicketState::Bound {
                thumbprint: Thumbprint(columns.bytes()?),
                device: device(columns)?,
                at,
            })
        }
        REVOKED => Ok(TicketState::Revoked {
            at: columns.time()?,
            why: columns.word(&RevocationReason::ALL, RevocationReason::as_str)?,
        }),
        other => Err(damaged(&format_args!("`{other}` is no state of a ticket"))),
    }
}

//! Changes of enrolment tickets, which are few: they are written one by one, in their order.

use countersign_core::enrolment::{EnrolmentTicket, RevocationReason, TicketState};
use countersign_core::id::{AccountId, DeviceId, TicketId};
use countersign_core::store::Thing;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::TicketKind;
use sqlx::sqlite::SqliteConnection;

use super::{BOUND, OPEN, REVOKED};
use crate::sqlite::failure::{Failure, expect, not_found, stale};

/// One change of an enrolment ticket.
pub(in crate::sqlite) enum TicketChange<'a> {
    Insert(&'a EnrolmentTicket),
    Bind {
        id: TicketId,
        account: AccountId,
        thumbprint: Thumbprint,
        device: Option<DeviceId>,
        at: Timestamp,
    },
    Revoke {
        id: TicketId,
        account: AccountId,
        at: Timestamp,
        why: RevocationReason,
    },
    Delete(TicketId, AccountId),
    RevokeOpen {
        account: AccountId,
        kind: Option<TicketKind>,
        at: Timestamp,
        why: RevocationReason,
    },
    Forget {
        account: AccountId,
        expired_before: Timestamp,
    },
}

const INSERT: &str = "INSERT INTO enrolment_ticket \
    (id, account, kind, token_hash, issued, expires, state, changed, thumbprint, device, why) \
    SELECT ?1, account.key, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM account WHERE account.id = ?2";

const BIND: &str = "UPDATE enrolment_ticket SET state = 'bound', thumbprint = ?3, device = ?4, changed = ?5 \
    WHERE id = ?1 AND state = 'open' AND account = (SELECT key FROM account WHERE id = ?2)";

const REVOKE: &str = "UPDATE enrolment_ticket SET state = 'revoked', thumbprint = NULL, device = NULL, \
    why = ?3, changed = ?4 \
    WHERE id = ?1 AND state <> 'revoked' AND account = (SELECT key FROM account WHERE id = ?2)";

const DELETE: &str = "DELETE FROM enrolment_ticket WHERE id = ?1 AND account = (SELECT key FROM account WHERE id = ?2)";

const REVOKE_OPEN: &str = "UPDATE enrolment_ticket SET state = 'revoked', why = ?2, changed = ?3 \
    WHERE state = 'open' AND expires > ?3 AND (?4 IS NULL OR kind = ?4) \
    AND account = (SELECT key FROM account WHERE id = ?1)";

const FORGET: &str = "DELETE FROM enrolment_ticket WHERE expires < ?2 \
    AND account = (SELECT key FROM account WHERE id = ?1)";

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &TicketChange<'_>,
) -> Result<(), Failure> {
    match *change {
        TicketChange::Insert(ticket) => insert(connection, ticket).await,
        TicketChange::Bind {
            id,
            account,
            thumbprint,
            device,
            at,
        } => {
            let done = sqlx::query(BIND)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .bind(thumbprint.0.as_slice())
                .bind(device.as_ref().map(|device| device.as_bytes().as_slice()))
                .bind(at.millis())
                .execute(&mut *connection)
                .await?;
            expect_changed(connection, done.rows_affected(), id, account).await
        }
        TicketChange::Revoke {
            id,
            account,
            at,
            why,
        } => {
            let done = sqlx::query(REVOKE)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .bind(why.as_str())
                .bind(at.millis())
                .execute(&mut *connection)
                .await?;
            expect_changed(connection, done.rows_affected(), id, account).await
        }
        TicketChange::Delete(id, account) => {
            let done = sqlx::query(DELETE)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .execute(connection)
                .await?;
            expect(done.rows_affected(), 1, not_found(Thing::Ticket))
        }
        TicketChange::RevokeOpen {
            account,
            kind,
            at,
            why,
        } => {
            sqlx::query(REVOKE_OPEN)
                .bind(account.as_bytes().as_slice())
                .bind(why.as_str())
                .bind(at.millis())
                .bind(kind.map(TicketKind::name))
                .execute(connection)
                .await?;
            Ok(())
        }
        TicketChange::Forget {
            account,
            expired_before,
        } => {
            sqlx::query(FORGET)
                .bind(account.as_bytes().as_slice())
                .bind(expired_before.millis())
                .execute(connection)
                .await?;
            Ok(())
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    ticket: &EnrolmentTicket,
) -> Result<(), Failure> {
    let (state, changed, bound, why) = match &ticket.state {
        TicketState::Open => (OPEN, None, None, None),
        TicketState::Bound {
            thumbprint,
            device,
            at,
        } => (BOUND, Some(*at), Some((thumbprint, device)), None),
        TicketState::Revoked { at, why } => (REVOKED, Some(*at), None, Some(why.as_str())),
    };
    let device = bound.and_then(|(_, device)| device.as_ref());
    let done = sqlx::query(INSERT)
        .bind(ticket.id.as_bytes().as_slice())
        .bind(ticket.account.as_bytes().as_slice())
        .bind(ticket.kind.name())
        .bind(ticket.token_hash.0.as_slice())
        .bind(ticket.issued.millis())
        .bind(ticket.expires.millis())
        .bind(state)
        .bind(changed.map(Timestamp::millis))
        .bind(bound.map(|(thumbprint, _)| thumbprint.0.as_slice()))
        .bind(device.map(|device| device.as_bytes().as_slice()))
        .bind(why)
        .execute(connection)
        .await?;
    expect(done.rows_affected(), 1, not_found(Thing::Account))
}

/// The ticket was changed; else it is gone, or not in the state that the decision rests on.
async fn expect_changed(
    connection: &mut SqliteConnection,
    changed: u64,
    id: TicketId,
    account: AccountId,
) -> Result<(), Failure> {
    if changed == 1 {
        return Ok(());
    }
    let there = sqlx::query(
        "SELECT 1 FROM enrolment_ticket WHERE id = ? AND account = (SELECT key FROM account WHERE id = ?)",
    )
    .bind(id.as_bytes().as_slice())
    .bind(account.as_bytes().as_slice())
    .fetch_optional(connection)
    .await?;
    Err(match there {
        Some(_) => stale(Thing::Ticket),
        None => not_found(Thing::Ticket),
    })
}

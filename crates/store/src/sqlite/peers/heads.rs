//! Heads of audit logs, with the receipts of the other side.

use countersign_core::peers::{LogSide, superfluous_heads};
use countersign_core::store::{StoreError, Thing};
use countersign_proto::peer::{AuditReceipt, SignedAuditHead, WitnessedHead};
use countersign_proto::site_identity::SiteId;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::SqliteStore;
use crate::sqlite::failure::{Failure, not_found, stale};
use crate::sqlite::reads::many;
use crate::sqlite::row::{Columns, damaged, signed};

const NEWEST: &str = "SELECT head, receipt FROM peer_audit_head \
    WHERE peer = (SELECT key FROM peer WHERE site = ?) AND own = ? \
    ORDER BY seq DESC, hash DESC LIMIT ?";
const PUT: &str = "INSERT INTO peer_audit_head (peer, own, seq, hash, at, head, receipt) \
    SELECT key, ?2, ?3, ?4, ?5, ?6, ?7 FROM peer WHERE site = ?1 AND revision = coalesce(?8, revision) \
    AND (?2 = 1 OR NOT EXISTS \
    (SELECT 1 FROM peer_audit_head WHERE peer = key AND own = 0 AND seq >= ?3)) \
    ON CONFLICT DO UPDATE SET at = excluded.at, head = excluded.head, receipt = excluded.receipt";
const STORED: &str = "SELECT seq, hash, at FROM peer_audit_head \
    WHERE peer = (SELECT key FROM peer WHERE site = ?) AND own = ? ORDER BY seq DESC, hash DESC";
const FORGET: &str = "DELETE FROM peer_audit_head \
    WHERE peer = (SELECT key FROM peer WHERE site = ?) AND own = ? AND seq = ? AND hash = ?";
const NEWEST_OF_PEER: &str = "SELECT max(seq) FROM peer_audit_head \
    WHERE peer = (SELECT key FROM peer WHERE site = ?) AND own = 0";
const VOID: &str = "DELETE FROM peer_audit_head \
    WHERE peer = (SELECT key FROM peer WHERE site = ?) AND own = 0 AND seq = ?";

pub(super) async fn newest(
    store: &SqliteStore,
    peer: SiteId,
    side: LogSide,
    limit: u32,
) -> Result<Vec<WitnessedHead>, StoreError> {
    let query = sqlx::query(NEWEST)
        .bind(peer.0.to_vec())
        .bind(is_own(side))
        .bind(limit);
    let mut heads = many(&store.readers, query, row).await?;
    heads.reverse();
    Ok(heads)
}

pub(super) async fn put(
    connection: &mut SqliteConnection,
    peer: SiteId,
    side: LogSide,
    witnessed: &WitnessedHead,
    revision: Option<u64>,
) -> Result<(), Failure> {
    let WitnessedHead { head, receipt } = witnessed;
    let done = sqlx::query(PUT)
        .bind(peer.0.to_vec())
        .bind(is_own(side))
        .bind(signed(head.head().seq))
        .bind(head.head().hash.to_vec())
        .bind(receipt.time)
        .bind(head.to_bytes())
        .bind(receipt.to_bytes())
        .bind(revision.map(signed))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        let found = sqlx::query("SELECT 1 FROM peer WHERE site = ?")
            .bind(peer.0.to_vec())
            .fetch_optional(&mut *connection)
            .await?;
        return Err(match found {
            Some(_) => stale(Thing::AuditHead),
            None => not_found(Thing::Peer),
        });
    }
    let stored: Vec<(i64, Vec<u8>, i64)> = sqlx::query_as(STORED)
        .bind(peer.0.to_vec())
        .bind(is_own(side))
        .fetch_all(&mut *connection)
        .await?;
    let heads = stored.into_iter().map(|(seq, hash, at)| ((seq, hash), at));
    for (seq, hash) in superfluous_heads(heads) {
        sqlx::query(FORGET)
            .bind(peer.0.to_vec())
            .bind(is_own(side))
            .bind(seq)
            .bind(hash)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn void(
    connection: &mut SqliteConnection,
    peer: SiteId,
    newest: Option<u64>,
    void: &[u64],
) -> Result<(), Failure> {
    let stored: Option<i64> = sqlx::query_scalar(NEWEST_OF_PEER)
        .bind(peer.0.to_vec())
        .fetch_one(&mut *connection)
        .await?;
    if stored != newest.map(signed) {
        return Err(stale(Thing::AuditHead));
    }
    for seq in void {
        sqlx::query(VOID)
            .bind(peer.0.to_vec())
            .bind(signed(*seq))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

const fn is_own(side: LogSide) -> i64 {
    match side {
        LogSide::Own => 1,
        LogSide::Peer => 0,
    }
}

fn row(columns: &mut Columns<'_>) -> Result<WitnessedHead, StoreError> {
    let head = SignedAuditHead::from_bytes(columns.take()?);
    let receipt = AuditReceipt::from_bytes(columns.take()?);
    Ok(WitnessedHead {
        head: head.map_err(|error| damaged(&error))?,
        receipt: receipt.map_err(|error| damaged(&error))?,
    })
}

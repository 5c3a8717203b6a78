//! Void tickets of which peers are to be told.

use countersign_core::peers::{MAX_VOID_AT_PEER, VoidAtPeer};
use countersign_core::store::StoreError;
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;
use countersign_proto::site_identity::SiteId;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::SqliteStore;
use crate::sqlite::failure::Failure;
use crate::sqlite::reads::many;
use crate::sqlite::row::signed;

const ALL: &str = "SELECT peer.site, void.consumer, void.at FROM peer_void AS void \
    JOIN peer ON peer.key = void.peer ORDER BY peer.site, void.consumer";
const PUT: &str = "INSERT INTO peer_void (peer, consumer, at) SELECT key, ?2, ?3 FROM peer \
    WHERE site = ?1 AND ((SELECT count(*) FROM peer_void WHERE peer = key) < ?4 \
    OR EXISTS (SELECT 1 FROM peer_void WHERE peer = key AND consumer = ?2)) \
    ON CONFLICT DO UPDATE SET at = excluded.at";
const TOLD: &str = "DELETE FROM peer_void WHERE consumer = ?2 AND at = ?3 \
    AND peer = (SELECT key FROM peer WHERE site = ?1)";

pub(super) async fn all(store: &SqliteStore) -> Result<Vec<VoidAtPeer>, StoreError> {
    many(&store.readers, sqlx::query(ALL), |columns| {
        Ok(VoidAtPeer {
            peer: SiteId(columns.bytes()?),
            consumer: columns.parsed()?,
            at: columns.time()?,
        })
    })
    .await
}

pub(super) async fn put(
    connection: &mut SqliteConnection,
    void: &VoidAtPeer,
) -> Result<(), Failure> {
    let ended = void.at.millis().saturating_sub(signed(MAX_FOREIGN_TICKET));
    sqlx::query("DELETE FROM peer_void WHERE at <= ?")
        .bind(ended)
        .execute(&mut *connection)
        .await?;
    sqlx::query(PUT)
        .bind(void.peer.0.to_vec())
        .bind(void.consumer.to_string())
        .bind(void.at.millis())
        .bind(signed(MAX_VOID_AT_PEER as u64))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn told(
    connection: &mut SqliteConnection,
    told: &[VoidAtPeer],
) -> Result<(), Failure> {
    for void in told {
        sqlx::query(TOLD)
            .bind(void.peer.0.to_vec())
            .bind(void.consumer.to_string())
            .bind(void.at.millis())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

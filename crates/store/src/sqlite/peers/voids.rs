//! Void tickets of which peers are to be told.

use std::collections::{BTreeMap, BTreeSet};

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
const AGAIN: &str = "UPDATE peer_void SET at = ?3 WHERE peer = (SELECT key FROM peer WHERE site = ?1) \
    AND consumer IN (SELECT value FROM json_each(?2))";
const PUT: &str = "INSERT INTO peer_void (peer, consumer, at) \
    SELECT own.key, named.value, ?3 FROM peer AS own, json_each(?2) AS named WHERE own.site = ?1 \
    AND NOT EXISTS (SELECT 1 FROM peer_void WHERE peer = own.key AND consumer = named.value) \
    LIMIT max(0, ?4 - (SELECT count(*) FROM peer_void \
    WHERE peer = (SELECT key FROM peer WHERE site = ?1)))";
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

/// A few statements for each peer: a lockdown may make the tickets of thousands of consumers void, and other
/// changes wait.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    voids: &[VoidAtPeer],
) -> Result<(), Failure> {
    let Some(latest) = voids.iter().map(|void| void.at).max() else {
        return Ok(());
    };
    let ended = latest.millis().saturating_sub(signed(MAX_FOREIGN_TICKET));
    sqlx::query("DELETE FROM peer_void WHERE at <= ?")
        .bind(ended)
        .execute(&mut *connection)
        .await?;
    let mut consumers = BTreeMap::<_, BTreeSet<String>>::new();
    for VoidAtPeer { peer, consumer, at } in voids {
        let of_peer = consumers.entry((at.millis(), peer.0)).or_default();
        of_peer.insert(consumer.to_string());
    }
    for ((at, peer), consumers) in consumers {
        let list = serde_json::to_string(&consumers)
            .map_err(|error| Failure::Trouble(sqlx::Error::Encode(Box::new(error))))?;
        for statement in [AGAIN, PUT] {
            let mut query = sqlx::query(statement)
                .bind(peer.to_vec())
                .bind(list.as_str())
                .bind(at);
            if statement == PUT {
                query = query.bind(signed(MAX_VOID_AT_PEER as u64));
            }
            query.execute(&mut *connection).await?;
        }
    }
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

//! Peers, and the messages between their people.

mod heads;
mod messages;
mod voids;
mod write;

use async_trait::async_trait;
use countersign_core::id::{AccountId, MessageId};
use countersign_core::page::Page;
use countersign_core::peers::{InboxMessage, LogSide, OutboxMessage, Peer, VoidAtPeer};
use countersign_core::store::{DamagedPeer, LastReceived, Peers, StoreError, Withheld};
use countersign_core::timestamp::Timestamp;
use countersign_proto::name::{AccountName, Zone};
use countersign_proto::peer::WitnessedHead;
use countersign_proto::site_identity::SiteId;

use super::SqliteStore;
use super::reads::{ReadOne, many, one};
use super::row::{Columns, damaged, problem};

pub(super) use write::apply;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT site, zone, document, last_seen, sent, received, revision FROM peer ",
            $rest
        )
    };
}

const BY_SITE: &str = select!("WHERE site = ?");
const BY_ZONE: &str = select!("WHERE zone = ? AND state <> 'removed'");
const PAGE: &str = select!("WHERE site > ? ORDER BY site LIMIT ?");
#[async_trait]
impl Peers for SqliteStore {
    async fn peer(&self, site: SiteId) -> Result<Option<Peer>, StoreError> {
        let query = sqlx::query(BY_SITE).bind(site.0.to_vec());
        one(&self.readers, query, row).await
    }

    async fn peer_of_zone(&self, zone: &Zone) -> Result<Option<Peer>, StoreError> {
        let query = sqlx::query(BY_ZONE).bind(zone.to_string());
        one(&self.readers, query, row).await
    }

    async fn peers(
        &self,
        page: &Page<SiteId>,
    ) -> Result<Vec<Result<Peer, DamagedPeer>>, StoreError> {
        // No id sorts before no bytes.
        let after = page.after.map_or_else(Vec::new, |site| site.0.to_vec());
        let query = sqlx::query(PAGE).bind(after).bind(page.limit);
        many(&self.readers, query, listed_row).await
    }

    async fn damaged_peer(&self, site: SiteId) -> Result<Option<DamagedPeer>, StoreError> {
        let listed = listed(&self.readers, site).await?;
        Ok(listed.and_then(Result::err))
    }

    async fn peer_count(&self) -> Result<u64, StoreError> {
        self.number(sqlx::query("SELECT count(*) FROM peer")).await
    }

    async fn peers_awaited(&self, withheld: &Withheld) -> Result<Vec<SiteId>, StoreError> {
        messages::awaited(self, withheld).await
    }

    async fn waiting_messages(
        &self,
        peer: SiteId,
        withheld: &Withheld,
        limit: u32,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        messages::waiting(self, peer, withheld, limit).await
    }

    async fn new_recipients(
        &self,
        peer: SiteId,
        own: AccountId,
    ) -> Result<Vec<AccountName>, StoreError> {
        const NEW: &str = "SELECT other FROM peer_pair AS pair \
            WHERE pair.peer = (SELECT key FROM peer WHERE site = ?) \
            AND pair.account = (SELECT key FROM account WHERE id = ?) AND pair.accepted = 0 \
            AND EXISTS (SELECT 1 FROM peer_outbox AS message WHERE message.account = pair.account \
            AND message.peer = pair.peer AND message.other = pair.other AND message.refused IS NULL) \
            ORDER BY other";
        let query = sqlx::query(NEW)
            .bind(peer.0.to_vec())
            .bind(own.as_bytes().to_vec());
        many(&self.readers, query, name).await
    }

    async fn has_accepted(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<bool, StoreError> {
        const ACCEPTED: &str = "SELECT accepted FROM peer_pair \
            WHERE peer = (SELECT key FROM peer WHERE site = ?) \
            AND account = (SELECT key FROM account WHERE id = ?) AND other = ?";
        let query = sqlx::query(ACCEPTED)
            .bind(peer.0.to_vec())
            .bind(own.as_bytes().to_vec())
            .bind(other.to_string());
        Ok(self.number(query).await? != 0)
    }

    async fn outbox(
        &self,
        account: AccountId,
        page: &Page<MessageId>,
    ) -> Result<Vec<OutboxMessage>, StoreError> {
        messages::outbox(self, account, page).await
    }

    async fn outbox_count(&self, account: AccountId) -> Result<u64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM peer_outbox \
            WHERE account = (SELECT key FROM account WHERE id = ?)";
        let query = sqlx::query(COUNT).bind(account.as_bytes().to_vec());
        self.number(query).await
    }

    async fn outbox_peers(&self, account: AccountId) -> Result<Vec<SiteId>, StoreError> {
        const PEERS: &str = "SELECT site FROM peer WHERE key IN (SELECT peer FROM peer_outbox \
            WHERE account = (SELECT key FROM account WHERE id = ?) AND refused IS NULL) ORDER BY site";
        let query = sqlx::query(PEERS).bind(account.as_bytes().to_vec());
        many(&self.readers, query, |columns| Ok(SiteId(columns.bytes()?))).await
    }

    async fn inbox(
        &self,
        account: AccountId,
        page: &Page<u64>,
    ) -> Result<Vec<(u64, InboxMessage)>, StoreError> {
        messages::inbox(self, account, page).await
    }

    async fn inbox_count(&self, account: AccountId) -> Result<u64, StoreError> {
        const COUNT: &str = "SELECT count(*) FROM peer_inbox \
            WHERE account = (SELECT key FROM account WHERE id = ?)";
        let query = sqlx::query(COUNT).bind(account.as_bytes().to_vec());
        self.number(query).await
    }

    async fn last_received(
        &self,
        peer: SiteId,
        other: &AccountName,
        own: AccountId,
    ) -> Result<LastReceived, StoreError> {
        const LAST: &str = "SELECT received, recent FROM peer_pair \
            WHERE peer = (SELECT key FROM peer WHERE site = ?) \
            AND account = (SELECT key FROM account WHERE id = ?) AND other = ?";
        let query = sqlx::query(LAST)
            .bind(peer.0.to_vec())
            .bind(own.as_bytes().to_vec())
            .bind(other.to_string());
        let found = one(&self.readers, query, |columns| {
            let number = columns.number::<u64>()?;
            let ids: &[u8] = columns.take()?;
            let (ids, rest) = ids.as_chunks::<16>();
            match rest {
                [] => Ok(LastReceived {
                    number,
                    recent: ids.iter().copied().map(MessageId::from_bytes).collect(),
                }),
                _ => Err(StoreError::Damaged {
                    problem: "the ids of the last messages of a pair are cut".to_owned(),
                }),
            }
        });
        Ok(found.await?.unwrap_or_default())
    }

    async fn void_at_peers(&self) -> Result<Vec<VoidAtPeer>, StoreError> {
        voids::all(self).await
    }

    async fn audit_heads(
        &self,
        peer: SiteId,
        side: LogSide,
        limit: u32,
    ) -> Result<Vec<WitnessedHead>, StoreError> {
        heads::newest(self, peer, side, limit).await
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl SqliteStore {
    /// The number in the first row; 0 without a row.
    async fn number(&self, query: Query) -> Result<u64, StoreError> {
        let found = one(&self.readers, query, |columns: &mut Columns<'_>| {
            columns.number::<u64>()
        });
        Ok(found.await?.unwrap_or(0))
    }
}

fn name(columns: &mut Columns<'_>) -> Result<AccountName, StoreError> {
    columns.parsed()
}

fn row(columns: &mut Columns<'_>) -> Result<Peer, StoreError> {
    listed_row(columns)?.map_err(|DamagedPeer { problem, .. }| StoreError::Damaged { problem })
}

/// A peer of a list. A damaged one is returned with its error, so that the list continues.
fn listed_row(columns: &mut Columns<'_>) -> Result<Result<Peer, DamagedPeer>, StoreError> {
    let site = SiteId(columns.bytes()?);
    let zone = columns.text()?;
    Ok(whole(columns).map_err(|error| DamagedPeer {
        site,
        zone,
        problem: problem(error),
    }))
}

fn whole(columns: &mut Columns<'_>) -> Result<Peer, StoreError> {
    let document: &str = columns.take()?;
    let peer: Peer = serde_json::from_str(document).map_err(|error| damaged(&error))?;
    Ok(Peer {
        last_seen: columns.take::<Option<i64>>()?.map(Timestamp::from_millis),
        sent: columns.number()?,
        received: columns.number()?,
        revision: columns.number()?,
        ..peer
    })
}

async fn listed(
    from: impl ReadOne,
    site: SiteId,
) -> Result<Option<Result<Peer, DamagedPeer>>, StoreError> {
    one(from, sqlx::query(BY_SITE).bind(site.0.to_vec()), listed_row).await
}

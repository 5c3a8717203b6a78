//! Changes of peers and messages: they are written one by one, in their order.

use countersign_core::id::{AccountId, MessageId};
use countersign_core::peers::{InboxMessage, OutboxMessage, Peer};
use countersign_core::store::{MAX_RECENT, PeerChange, Thing};
use countersign_core::timestamp::Timestamp;
use countersign_proto::name::AccountName;
use countersign_proto::site_identity::SiteId;
use sqlx::sqlite::SqliteConnection;

use super::{heads, listed, voids};
use crate::sqlite::failure::{Failure, document, expect, expect_damaged, not_found, stale};
use crate::sqlite::row::signed;

const INSERT: &str = "INSERT INTO peer \
    (site, zone, state, document, last_seen, sent, received, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
const UPDATE: &str = "UPDATE peer SET zone = ?2, state = ?3, document = ?4, revision = ?5 \
    WHERE site = ?1 AND revision = ?5 - 1";
const FORGET: &str = "DELETE FROM peer WHERE site = ? AND revision = ? AND state = 'removed'";
// The numbers of a pair grow, and are at least the time of the message.
const NUMBER: &str = "INSERT INTO peer_pair (peer, account, other, sent, received) \
    SELECT peer.key, account.key, ?3, ?4, 0 FROM peer, account WHERE peer.site = ?1 AND account.id = ?2 \
    ON CONFLICT DO UPDATE SET sent = max(sent + 1, excluded.sent)";
const SEND: &str = "INSERT INTO peer_outbox (id, peer, account, other, number, text, at) \
    SELECT ?4, pair.peer, pair.account, pair.other, pair.sent, ?5, ?6 FROM peer_pair AS pair \
    WHERE pair.peer = (SELECT key FROM peer WHERE site = ?1) \
    AND pair.account = (SELECT key FROM account WHERE id = ?2) AND pair.other = ?3";
// The ids are those of the last messages, newest first; `||` gives text, of which substr would count
// characters.
const MARK: &str = "INSERT INTO peer_pair (peer, account, other, sent, received, recent) \
    SELECT peer.key, account.key, ?3, 0, ?4, ?5 FROM peer, account WHERE peer.site = ?1 AND account.id = ?2 \
    ON CONFLICT DO UPDATE SET received = excluded.received, \
    recent = substr(CAST(excluded.recent || recent AS BLOB), 1, ?6) WHERE received = ?7";
const RECEIVE: &str = "INSERT INTO peer_inbox \
    (id, peer, account, other, number, text, sent, received) \
    SELECT ?4, peer.key, account.key, ?3, ?5, ?6, ?7, ?8 FROM peer, account \
    WHERE peer.site = ?1 AND account.id = ?2";
const ACCEPTED: &str = "UPDATE peer_pair SET accepted = 1 WHERE (peer, account, other) = \
    (SELECT peer, account, other FROM peer_outbox \
    WHERE id = ?2 AND peer = (SELECT key FROM peer WHERE site = ?1))";
const DELIVERED: &str =
    "DELETE FROM peer_outbox WHERE id = ?2 AND peer = (SELECT key FROM peer WHERE site = ?1)";
const REFUSED: &str = "UPDATE peer_outbox SET refused = ?3, why = ?4 \
    WHERE id = ?2 AND peer = (SELECT key FROM peer WHERE site = ?1)";
const DISCARD_SENT: &str =
    "DELETE FROM peer_outbox WHERE id = ? AND account = (SELECT key FROM account WHERE id = ?)";
const DISCARD_WAITING: &str = "DELETE FROM peer_outbox \
    WHERE refused IS NULL AND account = (SELECT key FROM account WHERE id = ?)";
const DISCARD_RECEIVED: &str =
    "DELETE FROM peer_inbox WHERE id = ? AND account = (SELECT key FROM account WHERE id = ?)";

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &PeerChange,
) -> Result<(), Failure> {
    match change {
        PeerChange::Insert(peer) => insert(connection, peer).await,
        PeerChange::Update(peer) => update(connection, peer).await,
        PeerChange::See { site, at } => {
            sqlx::query("UPDATE peer SET last_seen = ? WHERE site = ?")
                .bind(at.millis())
                .bind(site.0.as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }
        PeerChange::Forget { site, revision } => {
            let done = sqlx::query(FORGET)
                .bind(site.0.as_slice())
                .bind(signed(*revision))
                .execute(&mut *connection)
                .await?;
            expect_peer(connection, done.rows_affected(), *site).await
        }
        PeerChange::ForgetDamaged(site) => {
            let listed = listed(&mut *connection, *site).await;
            let is_damaged = listed.map(|listed| listed.map(|listed| listed.is_err()));
            expect_damaged(is_damaged, Thing::Peer)?;
            sqlx::query("DELETE FROM peer WHERE site = ?")
                .bind(site.0.as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }
        PeerChange::Send(message) => send(connection, message).await,
        PeerChange::Delivered { id, peer } => {
            sqlx::query(ACCEPTED)
                .bind(peer.0.as_slice())
                .bind(id.as_bytes().as_slice())
                .execute(&mut *connection)
                .await?;
            let done = sqlx::query(DELIVERED)
                .bind(peer.0.as_slice())
                .bind(id.as_bytes().as_slice())
                .execute(&mut *connection)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
            count(
                connection,
                "UPDATE peer SET sent = sent + 1 WHERE site = ?",
                *peer,
            )
            .await
        }
        PeerChange::Undeliverable { id, peer, why, at } => {
            sqlx::query(REFUSED)
                .bind(peer.0.as_slice())
                .bind(id.as_bytes().as_slice())
                .bind(at.millis())
                .bind(why.as_str())
                .execute(connection)
                .await?;
            Ok(())
        }
        PeerChange::Receive { message, last } => receive(connection, message, *last).await,
        PeerChange::Witness {
            peer,
            side,
            head,
            revision,
        } => heads::put(connection, *peer, *side, head, *revision).await,
        PeerChange::VoidHeads { peer, newest, void } => {
            heads::void(connection, *peer, *newest, void).await
        }
        PeerChange::Void(void) => voids::put(connection, void).await,
        PeerChange::ToldVoid(told) => voids::told(connection, told).await,
        PeerChange::DiscardSent { id, own } => discard(connection, DISCARD_SENT, *id, *own).await,
        PeerChange::DiscardWaiting { own } => {
            sqlx::query(DISCARD_WAITING)
                .bind(own.as_bytes().as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }
        PeerChange::DiscardReceived { id, own } => {
            discard(connection, DISCARD_RECEIVED, *id, *own).await
        }
    }
}

async fn insert(connection: &mut SqliteConnection, peer: &Peer) -> Result<(), Failure> {
    sqlx::query(INSERT)
        .bind(peer.site().0.to_vec())
        .bind(peer.zone.as_str())
        .bind(peer.state.as_str())
        .bind(document(serde_json::to_string(peer))?)
        .bind(peer.last_seen.map(Timestamp::millis))
        .bind(signed(peer.sent))
        .bind(signed(peer.received))
        .bind(signed(peer.revision))
        .execute(connection)
        .await?;
    Ok(())
}

async fn update(connection: &mut SqliteConnection, peer: &Peer) -> Result<(), Failure> {
    let done = sqlx::query(UPDATE)
        .bind(peer.site().0.to_vec())
        .bind(peer.zone.as_str())
        .bind(peer.state.as_str())
        .bind(document(serde_json::to_string(peer))?)
        .bind(signed(peer.revision))
        .execute(&mut *connection)
        .await?;
    expect_peer(connection, done.rows_affected(), peer.site()).await
}

async fn send(connection: &mut SqliteConnection, message: &OutboxMessage) -> Result<(), Failure> {
    let pair = (message.peer, message.own, &message.other);
    let done = of_pair(NUMBER, pair)
        .bind(signed(message.number))
        .execute(&mut *connection)
        .await?;
    expect_pair(connection, done.rows_affected(), message.peer).await?;
    of_pair(SEND, pair)
        .bind(message.id.as_bytes().to_vec())
        .bind(message.text.as_bytes().to_vec())
        .bind(message.at.millis())
        .execute(connection)
        .await?;
    Ok(())
}

async fn receive(
    connection: &mut SqliteConnection,
    message: &InboxMessage,
    last: u64,
) -> Result<(), Failure> {
    let pair = (message.peer, message.own, &message.other);
    let stored = of_pair(RECEIVE, pair)
        .bind(message.id.as_bytes().to_vec())
        .bind(signed(message.number))
        .bind(message.text.as_bytes().to_vec())
        .bind(message.sent.millis())
        .bind(message.received.millis())
        .execute(&mut *connection)
        .await?;
    expect_pair(connection, stored.rows_affected(), message.peer).await?;
    let marked = of_pair(MARK, pair)
        .bind(signed(message.number))
        .bind(message.id.as_bytes().to_vec())
        .bind(signed(16 * MAX_RECENT as u64))
        .bind(signed(last))
        .execute(&mut *connection)
        .await?;
    // Another message of the pair was received meanwhile. The one above is rolled back.
    expect(marked.rows_affected(), 1, stale(Thing::Message))?;
    let counted = "UPDATE peer SET received = received + 1 WHERE site = ?";
    count(connection, counted, message.peer).await
}

/// A statement whose first three values are a pair of persons.
fn of_pair(
    statement: &'static str,
    (peer, own, other): (SiteId, AccountId, &AccountName),
) -> sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(statement)
        .bind(peer.0.to_vec())
        .bind(own.as_bytes().to_vec())
        .bind(other.to_string())
}

async fn count(
    connection: &mut SqliteConnection,
    statement: &'static str,
    peer: SiteId,
) -> Result<(), Failure> {
    sqlx::query(statement)
        .bind(peer.0.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

async fn discard(
    connection: &mut SqliteConnection,
    statement: &'static str,
    id: MessageId,
    own: AccountId,
) -> Result<(), Failure> {
    let done = sqlx::query(statement)
        .bind(id.as_bytes().to_vec())
        .bind(own.as_bytes().to_vec())
        .execute(connection)
        .await?;
    expect(done.rows_affected(), 1, not_found(Thing::Message))
}

/// The peer was changed; else it is gone, or not as the decision found it.
async fn expect_peer(
    connection: &mut SqliteConnection,
    changed: u64,
    site: SiteId,
) -> Result<(), Failure> {
    if changed == 1 {
        return Ok(());
    }
    Err(match is_there(connection, site).await? {
        true => stale(Thing::Peer),
        false => not_found(Thing::Peer),
    })
}

/// The pair was found; else its peer or its account is gone.
async fn expect_pair(
    connection: &mut SqliteConnection,
    changed: u64,
    site: SiteId,
) -> Result<(), Failure> {
    if changed == 1 {
        return Ok(());
    }
    Err(match is_there(connection, site).await? {
        true => not_found(Thing::Account),
        false => not_found(Thing::Peer),
    })
}

async fn is_there(connection: &mut SqliteConnection, site: SiteId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM peer WHERE site = ?")
        .bind(site.0.to_vec())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

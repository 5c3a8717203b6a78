//! Reading messages.

use countersign_core::id::{AccountId, MessageId};
use countersign_core::page::Page;
use countersign_core::peers::{InboxMessage, OutboxMessage, SealedText, SendState};
use countersign_core::store::{StoreError, Withheld};
use countersign_core::timestamp::Timestamp;
use countersign_proto::site_identity::SiteId;

use super::Query;
use crate::sqlite::SqliteStore;
use crate::sqlite::reads::many;
use crate::sqlite::row::{Columns, signed};

macro_rules! select_outbox {
    ($rest:literal) => {
        concat!(
            "SELECT message.id, peer.site, account.id, message.other, message.number, message.text, \
             message.at, message.refused, message.why FROM peer_outbox AS message \
             JOIN peer ON peer.key = message.peer JOIN account ON account.key = message.account ",
            $rest
        )
    };
}

/// Messages that are sent now: they wait, their sender is active, and neither the sender (?1) nor the
/// pair (?2) is withheld.
macro_rules! sent_now {
    () => {
        "message.refused IS NULL AND account.state = 'active' \
         AND hex(account.id) NOT IN (SELECT value FROM json_each(?1)) \
         AND hex(peer.site) || hex(account.id) || message.other \
         NOT IN (SELECT value FROM json_each(?2))"
    };
}

const AWAITED: &str = concat!(
    "SELECT site FROM peer WHERE EXISTS (SELECT 1 FROM peer_outbox AS message \
     JOIN account ON account.key = message.account WHERE message.peer = peer.key AND ",
    sent_now!(),
    ") ORDER BY site"
);
// Accounts take turns. Of an account, the first message of each pair comes before the second one of any: a
// full inbox of one person delays no other.
const WAITING: &str = concat!(
    select_outbox!(
        "JOIN (SELECT key, row_number() OVER (PARTITION BY account ORDER BY place, key) AS turn FROM \
         (SELECT message.key, message.account, row_number() OVER \
         (PARTITION BY message.account, message.other ORDER BY message.key) AS place \
         FROM peer_outbox AS message JOIN peer ON peer.key = message.peer \
         JOIN account ON account.key = message.account WHERE peer.site = ?3 AND "
    ),
    sent_now!(),
    ")) AS waiting ON waiting.key = message.key ORDER BY waiting.turn, message.key LIMIT ?4"
);
const OUTBOX: &str = select_outbox!(
    "WHERE message.account = (SELECT key FROM account WHERE id = ?) AND message.id > ? \
     ORDER BY message.id LIMIT ?"
);
const INBOX: &str = "SELECT message.key, message.id, peer.site, message.other, account.id, \
    message.number, message.text, message.sent, message.received FROM peer_inbox AS message \
    JOIN peer ON peer.key = message.peer JOIN account ON account.key = message.account \
    WHERE message.account = (SELECT key FROM account WHERE id = ?) AND message.key > ? \
    ORDER BY message.key LIMIT ?";

pub(super) async fn awaited(
    store: &SqliteStore,
    withheld: &Withheld,
) -> Result<Vec<SiteId>, StoreError> {
    let query = without(AWAITED, withheld);
    many(&store.readers, query, |columns| {
        Ok(SiteId(columns.bytes()?))
    })
    .await
}

pub(super) async fn waiting(
    store: &SqliteStore,
    peer: SiteId,
    withheld: &Withheld,
    limit: u32,
) -> Result<Vec<OutboxMessage>, StoreError> {
    let query = without(WAITING, withheld);
    let query = query.bind(peer.0.to_vec()).bind(limit);
    many(&store.readers, query, sent).await
}

/// A statement whose first two values are what is withheld, as JSON.
fn without(statement: &'static str, withheld: &Withheld) -> Query {
    let account = |id: &AccountId| hex(id.as_bytes());
    let accounts = json_of(withheld.accounts.iter().map(account));
    let pairs = withheld
        .pairs
        .iter()
        .map(|(peer, own, other)| format!("{}{}{other}", hex(&peer.0), account(own)));
    sqlx::query(statement).bind(accounts).bind(json_of(pairs))
}

/// As SQLite's `hex()`.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn json_of(texts: impl Iterator<Item = String>) -> String {
    serde_json::Value::from_iter(texts).to_string()
}

pub(super) async fn outbox(
    store: &SqliteStore,
    account: AccountId,
    page: &Page<MessageId>,
) -> Result<Vec<OutboxMessage>, StoreError> {
    // No id sorts before no bytes.
    let after = page
        .after
        .map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let query = sqlx::query(OUTBOX)
        .bind(account.as_bytes().to_vec())
        .bind(after)
        .bind(page.limit);
    many(&store.readers, query, sent).await
}

pub(super) async fn inbox(
    store: &SqliteStore,
    account: AccountId,
    page: &Page<u64>,
) -> Result<Vec<(u64, InboxMessage)>, StoreError> {
    let query = sqlx::query(INBOX)
        .bind(account.as_bytes().to_vec())
        .bind(signed(page.after.unwrap_or(0)))
        .bind(page.limit);
    many(&store.readers, query, received).await
}

fn sent(columns: &mut Columns<'_>) -> Result<OutboxMessage, StoreError> {
    Ok(OutboxMessage {
        id: MessageId::from_bytes(columns.bytes()?),
        peer: SiteId(columns.bytes()?),
        own: AccountId::from_bytes(columns.bytes()?),
        other: columns.parsed()?,
        number: columns.number()?,
        text: SealedText::from_sealed(columns.take()?),
        at: columns.time()?,
        state: match columns.take::<Option<i64>>()?.map(Timestamp::from_millis) {
            None => SendState::Waiting,
            Some(at) => SendState::Refused {
                why: columns.text()?,
                at,
            },
        },
    })
}

fn received(columns: &mut Columns<'_>) -> Result<(u64, InboxMessage), StoreError> {
    let place = columns.number()?;
    let message = InboxMessage {
        id: MessageId::from_bytes(columns.bytes()?),
        peer: SiteId(columns.bytes()?),
        other: columns.parsed()?,
        own: AccountId::from_bytes(columns.bytes()?),
        number: columns.number()?,
        text: SealedText::from_sealed(columns.take()?),
        sent: columns.time()?,
        received: columns.time()?,
    };
    Ok((place, message))
}

//! Reading messages.

use countersign_core::id::{AccountId, MessageId};
use countersign_core::page::Page;
use countersign_core::peers::{InboxMessage, OutboxMessage, SealedText, SendState};
use countersign_core::store::StoreError;
use countersign_core::timestamp::Timestamp;
use countersign_proto::site_identity::SiteId;

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

// The first message of each pair comes before the second one of any: a full inbox of one person delays no other.
const WAITING: &str = select_outbox!(
    "JOIN (SELECT key, row_number() OVER (PARTITION BY account, other ORDER BY key) AS place \
     FROM peer_outbox WHERE peer = (SELECT key FROM peer WHERE site = ?) AND refused IS NULL) \
     AS waiting ON waiting.key = message.key ORDER BY waiting.place, message.key LIMIT ?"
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

pub(super) async fn waiting(
    store: &SqliteStore,
    peer: SiteId,
    limit: u32,
) -> Result<Vec<OutboxMessage>, StoreError> {
    let query = sqlx::query(WAITING).bind(peer.0.to_vec()).bind(limit);
    many(&store.readers, query, sent).await
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

//! Data that an earlier version stored in the clear. It waits in a table of its own until it is sealed.

use std::collections::HashMap;

use async_trait::async_trait;
use countersign_core::id::MessageId;
use countersign_core::store::{ClearData, ClearDatum, ClearOwner, StoreError};
use countersign_core::text::Base64Url;
use countersign_crypto::secret::SecretBytes;
use serde_json::value::RawValue;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::reads::readable;
use super::row::{Columns, damaged, signed};

const CLEAR: &str = "SELECT clear.key, clear.application, coalesce(outbox.id, inbox.id), clear.text \
    FROM clear_data AS clear LEFT JOIN peer_outbox AS outbox ON outbox.key = clear.sent \
    LEFT JOIN peer_inbox AS inbox ON inbox.key = clear.received ORDER BY clear.key LIMIT ?";
const OF_APPLICATION: &str = "UPDATE application SET document = json_set(document, '$.auth_data', ?2) \
    WHERE id = (SELECT application FROM clear_data WHERE key = ?1)";
const OF_OUTBOX: &str =
    "UPDATE peer_outbox SET text = ?2 WHERE key = (SELECT sent FROM clear_data WHERE key = ?1)";
const OF_INBOX: &str =
    "UPDATE peer_inbox SET text = ?2 WHERE key = (SELECT received FROM clear_data WHERE key = ?1)";
const SEALED: &str = "DELETE FROM clear_data WHERE key = ?";

#[async_trait]
impl ClearData for SqliteStore {
    async fn clear_data(&self, limit: u32) -> Result<Vec<ClearDatum>, StoreError> {
        readable(&self.readers, sqlx::query(CLEAR).bind(limit), clear).await
    }
}

/// Puts a sealed text in the place of one that is in the clear. Changes nothing if that was done
/// before, or if what the text belongs to is gone.
pub(super) async fn seal(
    connection: &mut SqliteConnection,
    number: u64,
    sealed: &[u8],
) -> Result<(), sqlx::Error> {
    let number = signed(number);
    sqlx::query(OF_APPLICATION)
        .bind(number)
        .bind(Base64Url(sealed.to_vec()).to_text())
        .execute(&mut *connection)
        .await?;
    for statement in [OF_OUTBOX, OF_INBOX] {
        sqlx::query(statement)
            .bind(number)
            .bind(sealed.to_vec())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(SEALED).bind(number).execute(connection).await?;
    Ok(())
}

/// The members of a stored document, with their numbers and white space unchanged.
type Document = HashMap<String, Box<RawValue>>;

fn clear(columns: &mut Columns<'_>) -> Result<ClearDatum, StoreError> {
    let number = columns.number()?;
    let application: Option<&str> = columns.take()?;
    let message: Option<&[u8]> = columns.take()?;
    let text: &str = columns.take()?;
    let (owner, text) = match (application, message) {
        (Some(id), _) => {
            let id = id.parse().map_err(|error| damaged(&error))?;
            let document: Document = serde_json::from_str(text).map_err(|error| damaged(&error))?;
            let data = document.get("auth_data");
            let data = data.ok_or_else(|| damaged(&"a document has no `auth_data`"))?;
            (ClearOwner::Application(id), data.get().to_owned())
        }
        (None, Some(id)) => {
            let id = id.try_into().map_err(|error| damaged(&error))?;
            (
                ClearOwner::Message(MessageId::from_bytes(id)),
                text.to_owned(),
            )
        }
        (None, None) => return Err(damaged(&"a text in the clear belongs to nothing")),
    };
    Ok(ClearDatum {
        number,
        owner,
        text: SecretBytes::from(text.into_bytes()),
    })
}

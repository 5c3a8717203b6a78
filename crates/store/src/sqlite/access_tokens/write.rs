//! Changes of access tokens, which are few: they are written one by one, in their order.

use countersign_core::access_tokens::AccessToken;
use countersign_core::store::{AccessTokenChange, CompletedRequest, MAX_COMPLETED_REQUESTS, Thing};
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::sqlite::failure::{Failure, document, expect, not_found};
use crate::sqlite::row::signed;

const INSERT: &str = "INSERT INTO access_token \
    (id, account, token_hash, label, operations, created, expires, last_used) \
    SELECT ?1, account.key, ?3, ?4, ?5, ?6, ?7, ?8 FROM account WHERE account.id = ?2";

const DELETE: &str =
    "DELETE FROM access_token WHERE id = ?1 AND account = (SELECT key FROM account WHERE id = ?2)";

const DELETE_OF: &str = "DELETE FROM access_token WHERE (?2 IS NULL OR expires < ?2) \
    AND account = (SELECT key FROM account WHERE id = ?1)";

const USED: &str = "UPDATE access_token SET last_used = ?2 WHERE id = ?1";

const FORGET_OLD: &str = "DELETE FROM completed_request WHERE at < ?2 \
    AND account = (SELECT key FROM account WHERE id = ?1)";

/// Deletes the oldest request of the credential with most of them, if the account has no room.
const MAKE_ROOM: &str = "WITH own AS (SELECT done.* FROM completed_request AS done \
        WHERE done.account = (SELECT key FROM account WHERE id = ?1)) \
    DELETE FROM completed_request WHERE (SELECT count(*) FROM own) >= ?2 \
    AND (account, idempotency_key) = (SELECT account, idempotency_key FROM own \
        WHERE credential = (SELECT credential FROM own \
            GROUP BY credential ORDER BY count(*) DESC, credential DESC LIMIT 1) \
        ORDER BY at, idempotency_key LIMIT 1)";

const COMPLETE: &str = "INSERT INTO completed_request \
    (account, idempotency_key, request, credential, at) \
    SELECT account.key, ?2, ?3, ?4, ?5 FROM account WHERE account.id = ?1";

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &AccessTokenChange,
) -> Result<(), Failure> {
    match change {
        AccessTokenChange::Insert(token) => insert(connection, token).await,
        AccessTokenChange::Delete { id, account } => {
            let done = sqlx::query(DELETE)
                .bind(id.as_bytes().as_slice())
                .bind(account.as_bytes().as_slice())
                .execute(connection)
                .await?;
            expect(done.rows_affected(), 1, not_found(Thing::AccessToken))
        }
        AccessTokenChange::DeleteOf {
            account,
            expired_before,
        } => {
            sqlx::query(DELETE_OF)
                .bind(account.as_bytes().as_slice())
                .bind(expired_before.map(Timestamp::millis))
                .execute(connection)
                .await?;
            Ok(())
        }
        AccessTokenChange::Used(tokens) => {
            for (id, at) in tokens {
                sqlx::query(USED)
                    .bind(id.as_bytes().as_slice())
                    .bind(at.millis())
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }
    }
}

async fn insert(connection: &mut SqliteConnection, token: &AccessToken) -> Result<(), Failure> {
    let operations = document(serde_json::to_string(&token.operations))?;
    let done = sqlx::query(INSERT)
        .bind(token.id.as_bytes().as_slice())
        .bind(token.account.as_bytes().as_slice())
        .bind(token.token_hash.0.as_slice())
        .bind(token.label.as_str())
        .bind(operations)
        .bind(token.created.millis())
        .bind(token.expires.millis())
        .bind(token.last_used.map(Timestamp::millis))
        .execute(connection)
        .await?;
    expect(done.rows_affected(), 1, not_found(Thing::Account))
}

/// Records a completed request, forgets old ones of its account, and makes room for it.
pub(in crate::sqlite) async fn complete(
    connection: &mut SqliteConnection,
    request: &CompletedRequest,
) -> Result<(), Failure> {
    let account = request.account.as_bytes().as_slice();
    sqlx::query(FORGET_OLD)
        .bind(account)
        .bind(request.forget_before.millis())
        .execute(&mut *connection)
        .await?;
    sqlx::query(MAKE_ROOM)
        .bind(account)
        .bind(signed(MAX_COMPLETED_REQUESTS))
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query(COMPLETE)
        .bind(account)
        .bind(request.key.as_slice())
        .bind(request.request.as_slice())
        .bind(request.credential.as_slice())
        .bind(request.at.millis())
        .execute(connection)
        .await?;
    expect(done.rows_affected(), 1, not_found(Thing::Account))
}

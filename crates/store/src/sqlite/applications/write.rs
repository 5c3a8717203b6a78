//! Writes changes of applications one by one, in their order, since they are few.

use countersign_core::applications::{Application, ApplicationId};
use countersign_core::id::InstanceId;
use countersign_core::store::{StoreError, Thing, Unique};
use countersign_core::text::Base64Url;
use sqlx::sqlite::SqliteConnection;

use super::is_damaged_application;
use crate::sqlite::failure::{Failure, expect, expect_damaged, not_found, stale};
use crate::sqlite::row::signed;

/// A change of an application.
pub(in crate::sqlite) enum ApplicationChange<'a> {
    Insert(&'a Application),
    Update(&'a Application),
    Delete(&'a ApplicationId, Option<InstanceId>, u64),
    DeleteDamaged(&'a ApplicationId),
}

pub(in crate::sqlite) async fn apply(
    connection: &mut SqliteConnection,
    change: &ApplicationChange<'_>,
) -> Result<(), Failure> {
    if let ApplicationChange::DeleteDamaged(id) = change {
        let damaged = is_damaged_application(connection, id).await;
        expect_damaged(damaged, Thing::Application)?;
    }
    // An application that was deleted and registered again is another one. A damaged document has no
    // instance: 0 is equal to none.
    let (statement, id, instance, revision, document) = match change {
        ApplicationChange::Insert(application) => (
            "INSERT INTO application (id, revision, document) VALUES (?1, ?2, ?3)",
            &application.id,
            None,
            application.revision,
            Some(document(application)?),
        ),
        ApplicationChange::Update(application) => (
            "UPDATE application SET revision = ?2, document = ?3 WHERE id = ?1 AND revision = ?2 - 1 \
             AND iif(json_valid(document), json_extract(document, '$.instance'), 0) IS ?4",
            &application.id,
            application.instance,
            application.revision,
            Some(document(application)?),
        ),
        ApplicationChange::Delete(id, instance, revision) => (
            "DELETE FROM application WHERE id = ?1 AND revision = ?2 AND ?3 IS NULL \
             AND iif(json_valid(document), json_extract(document, '$.instance'), 0) IS ?4",
            *id,
            *instance,
            *revision,
            None,
        ),
        ApplicationChange::DeleteDamaged(id) => (
            "DELETE FROM application WHERE id = ?1 AND ?2 = 0 AND ?3 IS NULL AND ?4 IS NULL",
            *id,
            None,
            0,
            None,
        ),
    };
    let done = sqlx::query(statement)
        .bind(id.as_str())
        .bind(signed(revision))
        .bind(document)
        .bind(instance.map(|instance| instance.to_string()))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        let there = sqlx::query("SELECT 1 FROM application WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        return Err(match there {
            Some(_) => stale(Thing::Application),
            None => not_found(Thing::Application),
        });
    }
    expect(done.rows_affected(), 1, stale(Thing::Application))?;
    let keys: Vec<String> = match change {
        ApplicationChange::Insert(application) | ApplicationChange::Update(application) => {
            let keys = application.keys.iter().map(|key| &key.public);
            keys.map(Base64Url::to_text).collect()
        }
        ApplicationChange::Delete(..) | ApplicationChange::DeleteDamaged(_) => Vec::new(),
    };
    claim(connection, id, &keys).await
}

/// Sets the public keys of an application and marks its other keys as removed. A key of another application,
/// or one that was removed before, is refused.
async fn claim(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
    keys: &[String],
) -> Result<(), Failure> {
    for key in keys {
        // Applications that shared a key before this check existed keep it.
        sqlx::query(
            "INSERT INTO application_key (public, application) SELECT ?1, ?2 \
             WHERE NOT EXISTS (SELECT 1 FROM application_key WHERE public = ?1)",
        )
        .bind(key.as_str())
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
        let own =
            sqlx::query("SELECT 1 FROM application_key WHERE public = ?1 AND application = ?2")
                .bind(key.as_str())
                .bind(id.as_str())
                .fetch_optional(&mut *connection)
                .await?;
        if own.is_none() {
            return Err(Failure::Overtaken(StoreError::Conflict {
                what: Unique::ApplicationKey,
            }));
        }
    }
    let list = serde_json::to_string(keys)
        .map_err(|error| Failure::Trouble(sqlx::Error::Encode(Box::new(error))))?;
    for statement in [
        "INSERT OR IGNORE INTO application_key (public, application) \
         SELECT public, '' FROM application_key WHERE application = ?1 \
         AND public NOT IN (SELECT value FROM json_each(?2))",
        "DELETE FROM application_key WHERE application = ?1 \
         AND public NOT IN (SELECT value FROM json_each(?2))",
    ] {
        sqlx::query(statement)
            .bind(id.as_str())
            .bind(list.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn document(application: &Application) -> Result<String, Failure> {
    serde_json::to_string(application)
        .map_err(|error| Failure::Trouble(sqlx::Error::Encode(Box::new(error))))
}

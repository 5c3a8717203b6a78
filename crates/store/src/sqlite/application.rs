//! Changes of applications. An application is kept as one document: all of it is read and written at once.

use countersign_core::application::Application;
use countersign_core::store::Thing;
use sqlx::sqlite::SqliteConnection;

use super::apply::{Failure, expect, not_found, stale};
use super::batch::ApplicationChange;
use super::row::signed;

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    change: &ApplicationChange<'_>,
) -> Result<(), Failure> {
    let (statement, id, revision, document) = match change {
        ApplicationChange::Insert(application) => (
            "INSERT INTO application (id, revision, document) VALUES (?1, ?2, ?3)",
            &application.id,
            application.revision,
            Some(document(application)?),
        ),
        ApplicationChange::Update(application) => (
            "UPDATE application SET revision = ?2, document = ?3 WHERE id = ?1 AND revision = ?2 - 1",
            &application.id,
            application.revision,
            Some(document(application)?),
        ),
        ApplicationChange::Delete(id, revision) => (
            "DELETE FROM application WHERE id = ?1 AND revision = ?2 AND ?3 IS NULL",
            *id,
            *revision,
            None,
        ),
    };
    let done = sqlx::query(statement)
        .bind(id.as_str())
        .bind(signed(revision))
        .bind(document)
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        let there = sqlx::query("SELECT 1 FROM application WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(connection)
            .await?;
        return Err(match there {
            Some(_) => stale(Thing::Application),
            None => not_found(Thing::Application),
        });
    }
    expect(done.rows_affected(), 1, stale(Thing::Application))
}

fn document(application: &Application) -> Result<String, Failure> {
    serde_json::to_string(application)
        .map_err(|error| Failure::Trouble(sqlx::Error::Encode(Box::new(error))))
}

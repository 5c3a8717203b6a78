//! Applications. Each is stored as one JSON document, which is read and written as a whole.

mod write;

use async_trait::async_trait;
use countersign_core::applications::{Application, ApplicationId};
use countersign_core::page::Page;
use countersign_core::store::{Applications, DamagedApplication, StoreError};
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::reads::{ReadOne, many, one};
use super::row::{Columns, damaged, problem};

pub(super) use write::{ApplicationChange, apply};

#[async_trait]
impl Applications for SqliteStore {
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        let query = sqlx::query("SELECT document FROM application WHERE id = ?");
        one(&self.readers, query.bind(id.to_string()), application).await
    }

    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError> {
        // The empty text sorts before every id.
        let after = page.after.clone().unwrap_or_default();
        let query =
            sqlx::query("SELECT document, id FROM application WHERE id > ? ORDER BY id LIMIT ?")
                .bind(after)
                .bind(page.limit);
        many(&self.readers, query, listed_application).await
    }

    async fn damaged_application(
        &self,
        id: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError> {
        let listed = listed(&self.readers, id).await?;
        Ok(listed.and_then(Result::err))
    }
}

/// Whether the application of that id is damaged; `None` if there is none.
async fn is_damaged_application(
    connection: &mut SqliteConnection,
    id: &ApplicationId,
) -> Result<Option<bool>, StoreError> {
    let listed = listed(connection, id).await?;
    Ok(listed.map(|listed| listed.is_err()))
}

async fn listed(
    from: impl ReadOne,
    id: &ApplicationId,
) -> Result<Option<Result<Application, DamagedApplication>>, StoreError> {
    let query = sqlx::query("SELECT document, id FROM application WHERE id = ?");
    one(from, query.bind(id.to_string()), listed_application).await
}

fn application(columns: &mut Columns<'_>) -> Result<Application, StoreError> {
    let document: &str = columns.take()?;
    serde_json::from_str(document).map_err(|error| damaged(&error))
}

/// An application of a list. A damaged one is returned with its error, so that the list continues.
fn listed_application(
    columns: &mut Columns<'_>,
) -> Result<Result<Application, DamagedApplication>, StoreError> {
    let read = application(columns);
    let id = columns.text()?;
    Ok(read.map_err(|error| DamagedApplication {
        problem: problem(error),
        id,
    }))
}

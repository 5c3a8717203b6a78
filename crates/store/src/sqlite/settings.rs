//! Settings, and the progress of initialisation scripts.

use async_trait::async_trait;
use countersign_core::store::{ScriptProgress, Setting, Settings, StoreError, Thing};
use countersign_core::timestamp::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::failure::{Failure, expect, stale};
use super::readers::Readers;
use super::reads::one;
use super::row::{Columns, signed};

#[async_trait]
impl Settings for SqliteStore {
    async fn setting(&self, name: &str) -> Result<Option<Setting>, StoreError> {
        read(&self.readers, name).await
    }

    async fn script(&self, name: &str) -> Result<Option<ScriptProgress>, StoreError> {
        let query = sqlx::query("SELECT name, digest, lines, applied FROM script WHERE name = ?");
        one(&self.readers, query.bind(name.to_owned()), script_row).await
    }
}

pub(super) async fn read(readers: &Readers, name: &str) -> Result<Option<Setting>, StoreError> {
    let query = sqlx::query("SELECT value, revision FROM setting WHERE name = ?");
    one(readers, query.bind(name.to_owned()), row).await
}

/// Changes of settings and scripts, in the order in which they are written.
#[derive(Default)]
pub(super) struct Changes<'a> {
    pub(super) settings: Vec<(&'static str, &'a Setting)>,
    pub(super) scripts: Vec<&'a ScriptProgress>,
}

impl Changes<'_> {
    pub(super) async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        for (name, setting) in &self.settings {
            put_setting(connection, name, setting).await?;
        }
        for progress in &self.scripts {
            put_script(connection, progress).await?;
        }
        Ok(())
    }
}

async fn put_setting(
    connection: &mut SqliteConnection,
    name: &str,
    setting: &Setting,
) -> Result<(), Failure> {
    let statement = if setting.revision == 1 {
        "INSERT INTO setting (value, revision, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE setting SET value = ?1, revision = ?2 WHERE name = ?3 AND revision = ?2 - 1"
    };
    let put = sqlx::query(statement)
        .bind(setting.value.as_slice())
        .bind(signed(setting.revision))
        .bind(name)
        .execute(connection)
        .await?;
    expect(put.rows_affected(), 1, stale(Thing::Setting))
}

async fn put_script(
    connection: &mut SqliteConnection,
    progress: &ScriptProgress,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO script (name, digest, lines, applied) VALUES (?, ?, ?, ?) ON CONFLICT (name) \
         DO UPDATE SET digest = excluded.digest, lines = excluded.lines, applied = excluded.applied",
    )
    .bind(progress.name.as_str())
    .bind(progress.digest.as_slice())
    .bind(progress.lines)
    .bind(progress.applied.map(Timestamp::millis))
    .execute(connection)
    .await
    .map(|_| ())
}

fn row(columns: &mut Columns<'_>) -> Result<Setting, StoreError> {
    Ok(Setting {
        value: columns.take()?,
        revision: columns.number()?,
    })
}

fn script_row(columns: &mut Columns<'_>) -> Result<ScriptProgress, StoreError> {
    Ok(ScriptProgress {
        name: columns.take()?,
        digest: columns.bytes()?,
        lines: columns.number()?,
        applied: columns.take::<Option<i64>>()?.map(Timestamp::from_millis),
    })
}

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

/// A change of a setting, or a condition on one.
pub(super) enum SettingChange<'a> {
    /// Writes the setting.
    Put(&'a Setting),
    /// Fails unless the setting has this revision; 0 if there is none.
    Expect(u64),
}

/// Changes of settings and scripts, in the order in which they are written.
#[derive(Default)]
pub(super) struct Changes<'a> {
    /// In the order of the sets: a condition meets the setting as the sets before it left it.
    settings: Vec<(&'static str, SettingChange<'a>)>,
    pub(super) scripts: Vec<&'a ScriptProgress>,
}

impl<'a> Changes<'a> {
    pub(super) fn put(&mut self, name: &'static str, change: SettingChange<'a>) {
        self.settings.push((name, change));
    }

    pub(super) async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        for (name, change) in &self.settings {
            match change {
                SettingChange::Put(setting) => put_setting(connection, name, setting).await?,
                SettingChange::Expect(revision) => {
                    expect_setting(connection, name, *revision).await?;
                }
            }
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

async fn expect_setting(
    connection: &mut SqliteConnection,
    name: &str,
    revision: u64,
) -> Result<(), Failure> {
    let has_it = "SELECT coalesce((SELECT revision FROM setting WHERE name = ?1), 0) = ?2";
    let has_it: bool = sqlx::query_scalar(has_it)
        .bind(name)
        .bind(signed(revision))
        .fetch_one(connection)
        .await?;
    expect(u64::from(has_it), 1, stale(Thing::Setting))
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

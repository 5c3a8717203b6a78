//! The words of accounts, by which a search finds them. Triggers delete them with an account and with a change of
//! its texts.

use countersign_core::accounts::{AccountSearch, Kind, search_words};
use countersign_core::page::Page;
use countersign_core::store::StoreError;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::account_columns;
use crate::sqlite::readers::Readers;
use crate::sqlite::reads::{Query, fault, one};
use crate::sqlite::row::Columns;
use crate::sqlite::statement::Many;

/// The number of words up to which a search reads all that it finds, some 10 ms. Of more words it reads the accounts
/// in the order of their names until the page is full: where most begin with the text, that is soon.
const FEW: i64 = 30_000;

const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM account_word INDEXED BY account_by_word \
    WHERE service = ? AND word >= ? AND word < ? LIMIT ?)";

/// The accounts of a page. Parameters: service, the first word, the end of words, the last name of
/// the page before, the limit.
macro_rules! accounts_with {
    ($names:literal) => {
        concat!(
            "SELECT ",
            account_columns!(),
            " FROM account WHERE name IN (SELECT DISTINCT name FROM account_word ",
            $names,
            " ORDER BY name LIMIT ?5) ORDER BY name"
        )
    };
}

const OF_FEW: &str = accounts_with!(
    "INDEXED BY account_by_word WHERE service = ?1 AND word >= ?2 AND word < ?3 AND name > ?4"
);
// The plus sign leaves the order of names as the only index.
const OF_MANY: &str =
    accounts_with!("WHERE service = ?1 AND +word >= ?2 AND +word < ?3 AND name > ?4");

/// The statement for the page of accounts that a search finds.
pub(super) async fn found(
    readers: &Readers,
    kind: Kind,
    page: &Page<String>,
    search: &AccountSearch,
) -> Result<Query, StoreError> {
    let bound = |text| {
        let beginning = search.beginning();
        let query = sqlx::query(text).bind(kind == Kind::Service);
        query
            .bind(beginning.to_owned())
            .bind(format!("{beginning}{}", char::MAX))
    };
    let count = one(readers, bound(COUNT).bind(FEW + 1), |columns| {
        columns.take::<i64>()
    });
    let few = count.await?.is_some_and(|count| count <= FEW);
    let query = bound(if few { OF_FEW } else { OF_MANY });
    // The empty text sorts before every name.
    Ok(query
        .bind(page.after.clone().unwrap_or_default())
        .bind(page.limit))
}

/// Writes the words of accounts that were inserted or changed, given their id, name, full name and email address.
pub(super) async fn write<'a>(
    connection: &mut SqliteConnection,
    accounts: impl Iterator<Item = (&'a [u8], String, &'a str, &'a str)>,
) -> Result<(), sqlx::Error> {
    let words: Vec<_> = accounts
        .flat_map(|(id, name, full_name, email)| {
            let words = search_words(&name, full_name, email);
            words.into_iter().map(move |word| (id, word))
        })
        .collect();
    INSERT
        .execute(connection, &words, |row, (id, word)| {
            row.put(*id)?;
            row.put(word.as_str())
        })
        .await?;
    Ok(())
}

const INSERT: Many = Many {
    before: "WITH new (id, word) AS (VALUES ",
    row: "(?,?)",
    after: ") INSERT INTO account_word SELECT account.kind = 'service', account.name, new.word \
            FROM new CROSS JOIN account ON account.id = new.id WHERE true ON CONFLICT DO NOTHING",
};

/// The number of accounts in one transaction of [`write_missing`].
const ROUND: u32 = 1000;

const MISSING: &str = "SELECT id, name, full_name, email, key FROM account WHERE key > ? \
    AND NOT EXISTS (SELECT 1 FROM account_word \
    WHERE service = (kind = 'service') AND account_word.name = account.name) ORDER BY key LIMIT ?";

/// Writes the words of accounts that have none: an earlier version wrote them, or they were changed by hand.
pub(in crate::sqlite) async fn write_missing(
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let mut last = i64::MIN;
    loop {
        let query = sqlx::query(MISSING).bind(last).bind(ROUND);
        let rows = query.fetch_all(&mut *connection).await;
        let rows = rows.map_err(|error| fault(&error))?;
        let mut accounts = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::of(row);
            let id: &[u8] = columns.take()?;
            // The texts of a damaged account are found too, as far as they are text.
            accounts.push((id, columns.text()?, columns.text()?, columns.text()?));
            last = columns.take()?;
        }
        if accounts.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut transaction = connection.begin().await?;
            let accounts = accounts.iter();
            let accounts = accounts.map(|(id, name, full_name, email)| {
                (*id, name.clone(), full_name.as_str(), email.as_str())
            });
            write(&mut transaction, accounts).await?;
            transaction.commit().await
        };
        written.await.map_err(|error| fault(&error))?;
    }
}

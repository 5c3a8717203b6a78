//! Durable changes: the number of changes per second that 64 writers get synced to the disk,
//! compared with one writer. Each writer waits for its change before it makes the next.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_core::accounts::Kind;
use countersign_core::store::{Change, Store};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Result;
use crate::measure::{in_turns, timed};
use crate::report::{Row, Target, Unit};
use crate::site::{BenchSite, account, audited};

const ROUNDS: usize = 9;
const WRITERS: u32 = 64;
/// The number of changes of each writer in a round.
const ALONE: u32 = 100;
const TOGETHER: u32 = 25;

pub(crate) fn run() -> Result<Vec<Row>> {
    let runtime = Runtime::new()?;
    let site = Arc::new(runtime.block_on(BenchSite::new(Vec::new))?);
    let names = Arc::new(AtomicU64::new(0));
    let next = move || format!("person-{}", names.fetch_add(1, Ordering::Relaxed));

    let (of, name) = (site.clone(), next.clone());
    let commit = move || {
        let (site, name) = (of.clone(), name());
        async move {
            let person = account(&format!("{name}@example.org"), Kind::Person)?;
            let set = audited(vec![Change::InsertAccount(person)]);
            site.store.commit(set).await?;
            Ok(())
        }
    };
    let create = move || {
        let (site, name) = (site.clone(), next());
        async move {
            let params = json!({ "name": name });
            site.admin("person", "create", &params).await
        }
    };
    Ok(vec![
        compare(&runtime, "accounts inserted in the store", &commit)?,
        compare(&runtime, "person.create through the site", &create)?,
    ])
}

fn compare<Change, Made>(runtime: &Runtime, what: &str, change: &Change) -> Result<Row>
where
    Change: Fn() -> Made + Clone + Send + 'static,
    Made: Future<Output = Result<()>> + Send,
{
    let figures = in_turns(
        ROUNDS,
        [
            &mut || rate(runtime, WRITERS, TOGETHER, change),
            &mut || rate(runtime, 1, ALONE, change),
        ],
    )?;
    Ok(Row {
        what: format!("{what}, {WRITERS} writers"),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::PerSecond,
        baseline_is: "one writer",
        ratio: figures.ratio(0, 1),
        target: Some(Target::AtLeast(5.0)),
    })
}

/// Changes per second of all writers together.
fn rate<Change, Made>(runtime: &Runtime, writers: u32, each: u32, change: &Change) -> Result<f64>
where
    Change: Fn() -> Made + Clone + Send + 'static,
    Made: Future<Output = Result<()>> + Send,
{
    let (took, ()) = timed(|| {
        runtime.block_on(async {
            let mut running: JoinSet<Result<()>> = JoinSet::new();
            for _ in 0..writers {
                let change = change.clone();
                running.spawn(async move {
                    for _ in 0..each {
                        change().await?;
                    }
                    Ok(())
                });
            }
            while let Some(done) = running.join_next().await {
                done??;
            }
            Result::Ok(())
        })
    })?;
    Ok(f64::from(writers * each) / took.as_secs_f64())
}

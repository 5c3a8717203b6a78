//! `countersign backup create`: backs up a running site through its admin socket and a stopped site from
//! its folder.

use std::path::Path;

use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_server::clock;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::runtime;
use crate::admin::Admin;
use crate::backup::{Listed, Manifest, Writer, open_site};
use crate::content::{Sink, progress};
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing};
use crate::global::Common;
use crate::input::STANDARD;
use crate::output::say;
use crate::secret_input::{Secret, new_passphrase};
use crate::site::folder::{CONFIG, DATABASE, Folder, SLOT_FILE};

pub(super) fn run(
    common: &Common,
    file: &Path,
    sealed: bool,
    with_slot_file: bool,
    force: bool,
) -> Result<(), Failure> {
    let existing = Existing::forced(force);
    if file != Path::new(STANDARD) {
        files::check(file, existing)?;
    }
    let folder = &common.data;
    if !folder.join(DATABASE[0]).exists() {
        let message = format_args!("there is no site in {}", folder.display());
        return Err(
            Failure::new(Exit::NotFound, "no_site", message).hint("name its folder with --data")
        );
    }
    let passphrase = sealed
        .then(|| {
            let from = common.secret_file(Secret::Backup);
            new_passphrase("Pass phrase for the backup", from.as_deref())
        })
        .transpose()?;
    let mut other_files = Vec::new();
    for name in [Some(CONFIG), with_slot_file.then_some(SLOT_FILE)] {
        let path = folder.join(name.unwrap_or_default());
        match (name, std::fs::read(&path)) {
            (Some(name), Ok(bytes)) => other_files.push((name, bytes)),
            (Some(CONFIG) | None, _) => {}
            (Some(_), Err(error)) => return Err(Failure::file(&path, &error)),
        }
    }
    let plan = Plan {
        sink: Sink::open_interruptible(Some(file), existing, common.format())?,
        passphrase,
        other_files,
    };
    match Admin::connect(folder) {
        Ok(admin) => running(admin, plan)?,
        Err(failure) => stopped(folder, plan, failure)?,
    }
    say(format_args!(
        "Made a {} backup{}.",
        if sealed { "sealed" } else { "plain" },
        if file == Path::new(STANDARD) {
            String::new()
        } else {
            format!(" in {}", file.display())
        }
    ));
    Ok(())
}

/// A backup before the site is asked for its database.
struct Plan {
    sink: Sink,
    passphrase: Option<Passphrase>,
    other_files: Vec<(&'static str, Vec<u8>)>,
}

/// A backup whose database is being transferred.
struct Begun {
    writer: Writer,
    other_files: Vec<(&'static str, Vec<u8>)>,
    bar: ProgressBar,
    sealed: bool,
}

impl Plan {
    /// Starts the backup; the outcome gives the size of the database.
    fn begin(self, outcome: &Outcome) -> Result<Begun, Failure> {
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(outcome));
        }
        let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
        let database = data.get("bytes").and_then(Value::as_u64);
        let database = database
            .ok_or_else(|| Failure::new(Exit::Failure, "protocol", "the site gave no length"))?;
        let other_files = self
            .other_files
            .iter()
            .map(|(name, bytes)| (*name, bytes.len() as u64));
        let files = [(DATABASE[0], database)].into_iter().chain(other_files);
        let manifest = Manifest {
            created: clock::now().millis(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files: files
                .map(|(name, bytes)| Listed {
                    name: name.to_owned(),
                    bytes,
                })
                .collect(),
        };
        Ok(Begun {
            sealed: self.passphrase.is_some(),
            writer: Writer::start(self.sink, self.passphrase.as_ref(), &manifest)?,
            other_files: self.other_files,
            bar: progress(Some(database)),
        })
    }
}

impl Begun {
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.bar.inc(piece.len() as u64);
        self.writer.write(piece)
    }

    /// Completes the backup; returns the parameters of `site backup_done`.
    fn finish(mut self) -> Result<Value, Failure> {
        self.bar.finish_and_clear();
        for (_, bytes) in &self.other_files {
            self.writer.write(bytes)?;
        }
        self.writer.finish()?;
        Ok(json!({ "sealed": self.sealed }))
    }
}

fn running(mut admin: Admin, plan: Plan) -> Result<(), Failure> {
    let outcome = admin.run("site", "backup", &json!({}))?;
    let mut begun = plan.begin(&outcome)?;
    admin.pieces(|piece| begun.take(piece))?;
    let done = begun.finish()?;
    admin.data("site", "backup_done", &done).map(|_| ())
}

/// Backs up a site that no process serves, and holds the lock of its folder meanwhile.
fn stopped(folder: &Path, plan: Plan, unreachable: Failure) -> Result<(), Failure> {
    let Ok(_lock) = Folder::lock(folder) else {
        // A process serves the site, but its admin socket did not answer.
        return Err(unreachable);
    };
    runtime()?.block_on(async {
        let (store, site) = open_site(folder).await?;
        let made = from(&site, plan).await;
        store.close().await;
        made
    })
}

async fn from(site: &Site, plan: Plan) -> Result<(), Failure> {
    let caller = Caller::admin_socket();
    let operation = |command, params: &Value| {
        let params = serde_json::value::to_raw_value(params);
        let params = params.map_err(|error| Failure::new(Exit::Failure, "backup", error))?;
        Ok::<_, Failure>(Operation::new(1, "site", command, params))
    };
    let backup = operation("backup", &json!({}))?;
    let (outcome, content) = site
        .run_with_content(&caller, &backup, None, clock::now())
        .await;
    let mut begun = plan.begin(&outcome)?;
    if let Some(mut content) = content {
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|error| Failure::new(Exit::Failure, "broken", error))?;
            begun.take(&piece)?;
        }
    }
    let done = operation("backup_done", &begun.finish()?)?;
    let outcome = site.run(&caller, &done, clock::now()).await;
    match outcome.code {
        Code::SUCCESS => Ok(()),
        _ => Err(Failure::outcome(&outcome)),
    }
}

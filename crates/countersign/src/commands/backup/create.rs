//! `countersign backup create`: of a running site through its admin socket, of a stopped one from its folder.

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
    let mut beside = Vec::new();
    for name in [Some(CONFIG), with_slot_file.then_some(SLOT_FILE)] {
        let path = folder.join(name.unwrap_or_default());
        match (name, std::fs::read(&path)) {
            (Some(name), Ok(bytes)) => beside.push((name, bytes)),
            (Some(CONFIG) | None, _) => {}
            (Some(_), Err(error)) => return Err(Failure::file(&path, &error)),
        }
    }
    let plan = Plan {
        sink: Sink::open_interruptible(Some(file), existing, common.format())?,
        passphrase,
        beside,
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

/// What is settled of a backup before the site is asked.
struct Plan {
    sink: Sink,
    passphrase: Option<Passphrase>,
    beside: Vec<(&'static str, Vec<u8>)>,
}

/// A backup whose database is on its way.
struct Begun {
    writer: Writer,
    beside: Vec<(&'static str, Vec<u8>)>,
    bar: ProgressBar,
    sealed: bool,
}

impl Plan {
    /// The database has so many bytes, as the outcome says.
    fn begin(self, outcome: &Outcome) -> Result<Begun, Failure> {
        if outcome.code != Code::SUCCESS {
            return Err(Failure::outcome(outcome));
        }
        let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
        let database = data.get("bytes").and_then(Value::as_u64);
        let database = database
            .ok_or_else(|| Failure::new(Exit::Failure, "protocol", "no length was told"))?;
        let beside = self
            .beside
            .iter()
            .map(|(name, bytes)| (*name, bytes.len() as u64));
        let files = [(DATABASE[0], database)].into_iter().chain(beside);
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
            beside: self.beside,
            bar: progress(Some(database)),
        })
    }
}

impl Begun {
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.bar.inc(piece.len() as u64);
        self.writer.write(piece)
    }

    /// The database is whole; what the site is told of it.
    fn finish(mut self) -> Result<Value, Failure> {
        self.bar.finish_and_clear();
        for (_, bytes) in &self.beside {
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
    let told = begun.finish()?;
    admin.data("site", "backup_done", &told).map(|_| ())
}

/// The same of a site that no process serves: its lock is held meanwhile.
fn stopped(folder: &Path, plan: Plan, unreachable: Failure) -> Result<(), Failure> {
    let Ok(_lock) = Folder::lock(folder) else {
        // It runs, and this user or this moment is the wrong one.
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

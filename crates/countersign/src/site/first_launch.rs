//! The first launch: creates database, site key and configuration file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_core::audit::ChainHead;
use countersign_core::engine::{NewSite, Parts, Site};
use countersign_core::store::Store;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{Argon2idCost, NewSlot, RecoveryCode, SlotFile};
use countersign_proto::name::Zone;
use countersign_server::clock;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::warn;

use super::folder::Folder;
use crate::console::ConsoleAccess;
use crate::escape;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::hint;
use crate::input;
use crate::log;
use crate::output::{self, Format, say};
use crate::secret_input::{Secret, warn_if_others_can_read};

/// The first key slot of a new site, besides its recovery code.
pub(crate) enum Opener {
    /// A pass phrase.
    Passphrase(Passphrase),
    /// A slot file in the folder, with which the site unseals itself at its start.
    File,
}

impl Opener {
    const fn is_file(&self) -> bool {
        matches!(self, Self::File)
    }
}

/// The properties of a new site.
pub(crate) struct FirstLaunch<'a> {
    pub(crate) zone: Zone,
    pub(crate) opener: Opener,
    /// The text of its configuration file; `None` if a flag names a file elsewhere.
    pub(crate) config: Option<&'a str>,
}

/// Checks, before anything is written, that the folder never had a site if it has none now.
///
/// If the database is missing but other files of a site exist, the database was lost or its volume is not
/// mounted. A new site would have another key, no client would accept it, and the operator would not
/// learn what happened.
pub(crate) fn check(folder: &Folder, new: bool) -> Result<(), Failure> {
    if !folder.has_no_database() {
        return Ok(());
    }
    let traces = folder.traces();
    if !new {
        return refuse_traces(folder, &traces);
    }
    // The new site must not use these files of another site.
    let in_the_way = traces
        .iter()
        .find(|trace| ["site-key.slot", "site.db-wal"].contains(trace));
    match in_the_way {
        Some(file) => {
            let path = folder.path().join(file);
            let message = format_args!("{} belongs to another site", path.display());
            Err(Failure::new(Exit::Conflict, "site_was_here", message)
                .hint("move it away, then create the new site with --new"))
        }
        None => Ok(()),
    }
}

/// Whether a site has to be created in this store.
pub(crate) async fn is_wanted(
    folder: &Folder,
    store: &dyn Store,
    new: bool,
) -> Result<bool, Failure> {
    let trouble = |error| Failure::new(Exit::Failure, "store", error);
    if Site::exists(store).await.map_err(trouble)? {
        if new {
            let message = format_args!("there is a site in {}", folder.path().display());
            return Err(Failure::new(Exit::Conflict, "site_exists", message)
                .hint("start it without --new, or name another folder with --data"));
        }
        return Ok(false);
    }
    if store.audit_head().await.map_err(trouble)? != ChainHead::EMPTY {
        let database = folder.database();
        let message = format_args!("{} has an audit log but no site", database.display());
        return Err(Failure::new(Exit::Failure, "damaged", message).hint(RESTORE));
    }
    if !new {
        let mut traces = folder.traces();
        traces.retain(|trace| !trace.starts_with("site.db"));
        refuse_traces(folder, &traces)?;
    }
    Ok(true)
}

fn refuse_traces(folder: &Folder, traces: &[&str]) -> Result<(), Failure> {
    let Some(trace) = traces.first() else {
        return Ok(());
    };
    let database = folder.database();
    let message = format_args!(
        "{} has no site, but there is {trace} in its folder: the database was lost, or its volume is not \
         mounted",
        database.display(),
    );
    Err(Failure::new(Exit::Conflict, "site_was_here", message).hint(RESTORE))
}

const RESTORE: &str = "restore a backup with `countersign backup restore FILE --force`, or create a new site, with \
     another key, with `countersign serve --new`";

/// How long the start waits until the recovery code was written to standard output.
const SHOW_TIMEOUT: Duration = Duration::from_secs(1);

/// Creates a site in an empty store and shows its recovery code. If it fails, it leaves nothing but an
/// empty database.
pub(crate) async fn create(
    common: &Common,
    folder: &Folder,
    parts: Parts,
    new: FirstLaunch<'_>,
) -> Result<Site, Failure> {
    let mut made = Made::default();
    let config = Folder::config_in(folder.path());
    if let Some(text) = new.config.filter(|_| !config.exists()) {
        made.write(&config, text)?;
    }
    let given_code = given_recovery_code()?;
    let is_given = given_code.is_some();
    let recovery = given_code.unwrap_or_else(|| RecoveryCode::generate(&mut SystemEntropy));
    let slot_file = SlotFile::generate(&mut SystemEntropy);
    let first = match &new.opener {
        Opener::Passphrase(passphrase) => NewSlot::Passphrase(passphrase, Argon2idCost::default()),
        Opener::File => {
            made.write(&folder.slot_file(), slot_file.to_text().expose())?;
            NewSlot::File(&slot_file)
        }
    };
    let (both, code) = (
        [first, NewSlot::RecoveryCode(&recovery)],
        [NewSlot::RecoveryCode(&recovery)],
    );
    let only = [first];
    let new_site = NewSite {
        zone: new.zone,
        // The recovery code of a temporary site would not be read.
        slots: if new.opener.is_file() { &only } else { &both },
        next_slots: if new.opener.is_file() { &only } else { &code },
    };
    let site = Site::create(parts, new_site, clock::now())
        .await
        .map_err(|error| {
            let database = folder.database();
            let message = format_args!("{}: {error}", database.display());
            Failure::new(Exit::Failure, "first_launch", message)
                .hint("no site was created; fix this and start again")
        })?;
    made.keep();
    say(format_args!(
        "Made a new site in {}.",
        folder.path().display()
    ));
    if !new.opener.is_file() && !is_given && !show_recovery(common, folder, &recovery).await {
        say(
            "warning: the recovery code could not be shown, so there is none, and the site key can never be \
             replaced; before you use the site, create it again with COUNTERSIGN_RECOVERY_CODE_FILE set",
        );
    }
    Ok(site)
}

/// The recovery code in the file that its environment variable names. The operator has it already, so
/// it is not shown.
fn given_recovery_code() -> Result<Option<RecoveryCode>, Failure> {
    let Some(file) = Secret::RecoveryCode.file() else {
        return Ok(None);
    };
    warn_if_others_can_read(&file);
    let code = input::secret(&file)?.parse::<RecoveryCode>();
    code.map(Some).map_err(|error| {
        let message = format_args!("{}: {error}", file.display());
        Failure::new(Exit::Failure, "recovery_code", message)
            .hint("correct the file, or unset COUNTERSIGN_RECOVERY_CODE_FILE to have a code made")
    })
}

/// Shows the recovery code. `false` if it could not be shown.
async fn show_recovery(common: &Common, folder: &Folder, code: &RecoveryCode) -> bool {
    let code = code.to_text();
    let text = format!(
        "----- RECOVERY CODE -----\n\
         It opens the site key without the pass phrase, and the next site key, which replaces a\n\
         lost or stolen one. It is shown this once.\n\
         Keep it apart from this machine:\n\n    \
         {}\n\n\
         -------------------------\n",
        code.expose()
    );
    let data =
        json!({ "folder": folder.path().display().to_string(), "recovery_code": code.expose() });
    show_secret(common, text, &data).await
}

/// Shows a secret on standard output, apart from the log and after the lines that wait to be written to
/// it. `false` if that goes nowhere or is full, and if its reader has not read it in time: the site starts
/// all the same.
pub(super) async fn show_secret(common: &Common, text: String, data: &Value) -> bool {
    if output::goes_nowhere() {
        return false;
    }
    let text = match common.format() {
        Format::Text => text,
        Format::Json | Format::Jsonl => format!("{}\n", escape::json(&data.to_string())),
    };
    let _ = tokio::task::spawn_blocking(log::flush).await;
    let shown = tokio::task::spawn_blocking(move || output::write_bytes(text.as_bytes()));
    matches!(timeout(SHOW_TIMEOUT, shown).await, Ok(Ok(Ok(()))))
}

/// Files of a site that is being created. Dropping this removes them.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn write(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        files::write(path, PRIVATE, Existing::Kept, text.as_bytes())?;
        self.0.push(path.to_owned());
        Ok(())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Shows the first commands for a new site.
pub(crate) fn what_next(folder: &Path) {
    let commands = [
        "countersign site status",
        "countersign person create NAME --role admin",
        "countersign person passphrase NAME",
    ];
    say("What next, in another terminal:");
    for command in commands {
        say(format_args!("  {}", hint::command_in(command, folder)));
    }
}

/// Shows the ticket with which the first admin is created, on standard output alone: the log is stored, and has
/// other readers. A site without a device listener, or with an admin from an
/// initialisation script, has none.
pub(crate) async fn show_admin_ticket(
    common: &Common,
    folder: &Path,
    site: &Site,
    console: Option<ConsoleAccess>,
) {
    if output::goes_nowhere() {
        return;
    }
    let ticket = match site.issue_first_admin_ticket(clock::now()).await {
        Ok(Some(ticket)) => ticket,
        Ok(None) => return,
        Err(refusal) => {
            warn!(problem = %refusal, "there is no ticket for the first admin");
            return;
        }
    };
    let here = ticket
        .host()
        .parse()
        .is_ok_and(|ip: IpAddr| ip.is_loopback());
    let machine = match here || ticket.host() == "localhost" {
        true => "this machine".to_owned(),
        false => format!("any machine that reaches {}", ticket.address()),
    };
    let ticket = ticket.to_uri();
    let console = console.map(|console| console.ticket(ticket.expose()));
    let in_console = console.as_ref().map_or_else(String::new, |console| {
        format!("{}\n\n    {}\n\n", console.how, console.what)
    });
    let text = format!(
        "----- TICKET FOR THE FIRST ADMIN -----\n\
         It creates the first admin, once, within one hour and while the site has no admin.\n\
         On {machine}, run:\n\n    \
         countersign passphrase set --id NAME\n\n\
         and paste at its prompt:\n\n    \
         {}\n\n\
         {in_console}\
         --------------------------------------\n",
        ticket.expose()
    );
    let mut data =
        json!({ "folder": folder.display().to_string(), "admin_ticket": ticket.expose() });
    if let (Some(console), Some(data)) = (console, data.as_object_mut()) {
        data.insert(console.name.to_owned(), console.what.into());
    }
    if !show_secret(common, text, &data).await {
        say(
            "warning: the ticket for the first admin could not be shown; create the admin on this machine",
        );
    }
}

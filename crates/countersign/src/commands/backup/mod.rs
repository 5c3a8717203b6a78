//! `countersign backup`.

mod create;
mod restore;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use countersign_core::access::Caller;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{RecoveryCode, SlotSecret};
use countersign_server::clock;
use indicatif::ProgressBar;
use serde_json::json;

use crate::backup::{Archive, Checked, Manifest, check, open_site};
use crate::content::progress_of;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output::{Format, print, print_json};
use crate::secret_input::{Secret, passphrase};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Writes a backup of the site, running or stopped.
    Create {
        /// File to write (`-`: standard output).
        file: PathBuf,
        /// Encrypts the backup under a pass phrase (the default).
        #[arg(long)]
        sealed: bool,
        /// Does not encrypt the backup: it must then be protected as the site is.
        #[arg(long, conflicts_with = "sealed")]
        plain: bool,
        /// Includes the slot file, with which a restored site unseals itself at its start.
        #[arg(long, conflicts_with = "plain")]
        with_slot_file: bool,
        /// Replaces the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Opens a backup and checks all of its content; exit code 8 if it finds a problem.
    Verify {
        /// Backup file.
        file: PathBuf,
        /// Also unseals the site key in it with its pass phrase.
        #[arg(long)]
        unseal: bool,
        /// Reads the pass phrase of the site key from this file instead of a prompt.
        #[arg(long, value_name = "FILE", requires = "unseal")]
        site_passphrase_file: Option<PathBuf>,
        /// Uses the recovery code instead of that pass phrase.
        #[arg(long, requires = "unseal")]
        recovery_code: bool,
    },
    /// Restores the site of a backup into the folder, which must have no site.
    Restore {
        /// Backup file.
        file: PathBuf,
        /// Replaces the site in the folder; the old site's files are moved to a subfolder.
        #[arg(long)]
        force: bool,
    },
}

pub(crate) fn run(common: &Common, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create {
            file,
            plain,
            with_slot_file,
            force,
            ..
        } => create::run(common, file, !plain, *with_slot_file, *force),
        Verb::Verify {
            file,
            unseal,
            site_passphrase_file,
            recovery_code,
        } => {
            let secret = unseal.then_some((site_passphrase_file.as_deref(), *recovery_code));
            verify(common, file, secret)
        }
        Verb::Restore { file, force } => restore::run(common, file, *force),
    }
}

/// Extracts a backup into a temporary folder and opens the site there.
fn verify(
    common: &Common,
    file: &Path,
    unseal: Option<(Option<&Path>, bool)>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, "folder", error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let (manifest, sealed) = extract(common, file, folder.path())?;
    let (checked, opened) = runtime()?.block_on(async {
        let checked = check(folder.path(), file).await?;
        let (store, site) = open_site(folder.path()).await?;
        let opened = match unseal {
            Some((from, code)) => open_key(&site, from, code).await.map(|()| true),
            None => Ok(false),
        };
        store.close().await;
        Ok::<_, Failure>((checked, opened?))
    })?;
    let made = Timestamp::from_millis(manifest.created);
    match common.format() {
        Format::Text => print(&format!(
            "{} is intact: {} backup of {made}, layout {}, {} audit entries{}\n{}",
            file.display(),
            if sealed { "a sealed" } else { "a plain" },
            checked.layout,
            checked.audit_entries,
            if opened { ", its site key opens" } else { "" },
            head(&checked)
        )),
        Format::Json | Format::Jsonl => {
            let files = manifest.files.iter().map(|file| &file.name);
            print_json(
                &json!({
                    "created": made,
                    "sealed": sealed,
                    "files": files.collect::<Vec<_>>(),
                    "database": checked,
                    "site_key_opens": opened,
                })
                .to_string(),
            )
        }
    }
}

fn head(checked: &Checked) -> String {
    format!("The head of its audit log is {}.", checked.audit_head)
}

/// Writes the files of a backup into `folder`. Returns its manifest and whether it is sealed.
fn extract(common: &Common, file: &Path, folder: &Path) -> Result<(Manifest, bool), Failure> {
    let archive = Archive::open(file, || {
        let from = common.secret_file(Secret::Backup);
        passphrase("Pass phrase of the backup", from.as_deref())
    })?;
    let sealed = archive.sealed;
    let bar: ProgressBar = progress_of(file);
    let manifest = archive.extract(folder, &bar);
    bar.finish_and_clear();
    let manifest = manifest?;
    // An attacker who can write to the place of the backups can put a plain one there, but not one that
    // this pass phrase opens.
    if !sealed && common.secret_file(Secret::Backup).is_some() {
        let shown = file.display();
        let message =
            format_args!("{shown} is a plain backup, but a pass phrase for a sealed one was given");
        return Err(Failure::new(Exit::NotAuthenticated, "plain_backup", message)
            .hint("an attacker may have replaced your backup; if this is the right one, give no pass phrase"));
    }
    Ok((manifest, sealed))
}

async fn open_key(
    site: &countersign_core::engine::Site,
    from: Option<&Path>,
    code: bool,
) -> Result<(), Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        let message = format_args!("the site key: {error}");
        Failure::new(Exit::NotAuthenticated, "site_key", message)
    };
    let (prompt, kind) = match code {
        true => ("Recovery code of the site", Secret::RecoveryCode),
        false => ("Pass phrase of the site key", Secret::Site),
    };
    let from = from.map(Path::to_owned).or_else(|| kind.file());
    let secret: Passphrase = passphrase(prompt, from.as_deref())?;
    let text = String::from_utf8_lossy(secret.as_bytes());
    let parsed: Option<RecoveryCode> = match code {
        true => Some(text.trim().parse().map_err(|error| refused(&error))?),
        false => None,
    };
    let secret = match &parsed {
        Some(code) => SlotSecret::RecoveryCode(code),
        None => SlotSecret::Passphrase(&secret),
    };
    let unsealed = site.unseal(&Caller::site(), secret, clock::now()).await;
    unsealed.map(|_| ()).map_err(|error| refused(&error))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))
}

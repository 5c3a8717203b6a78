//! `countersign backup restore`: nothing is in its place before all of the backup was found sound.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_core::access::Caller;
use countersign_core::audit::AuditDraft;
use countersign_core::store::{ChangeSet, Store};
use countersign_server::clock;
use serde_json::json;

use super::{extract, head, runtime};
use crate::backup::{Checked, check, open_site};
use crate::failure::{Exit, Failure};
use crate::files::sync_folder;
use crate::global::Common;
use crate::output::{Format, print, print_json, say};
use crate::site::folder::Folder;

pub(super) fn run(common: &Common, file: &Path, force: bool) -> Result<(), Failure> {
    let folder = &common.data;
    let traces = Folder::traces_in(folder);
    if let Some(trace) = traces.first().filter(|_| !force) {
        let message = format_args!("{} has {trace} of a site already", folder.display());
        return Err(Failure::new(Exit::Conflict, "site_exists", message).hint(
            "restore into another folder with --data, or say --force: what is there is kept aside",
        ));
    }
    let made = Made::before(folder);
    let lock = Folder::lock(folder)?;
    let staging = tempfile::Builder::new()
        .prefix(".restore-")
        .tempdir_in(folder)
        .map_err(|error| Failure::file(folder, &error))?;
    let (manifest, sealed) = extract(common, file, staging.path())?;
    let checked = runtime()?.block_on(async {
        let checked = check(staging.path(), file).await?;
        record(staging.path(), sealed, manifest.created).await?;
        Ok::<_, Failure>(checked)
    })?;
    let aside = (!traces.is_empty())
        .then(|| put_aside(folder, &traces))
        .transpose()?;
    // The database last: only with it there is a site.
    for listed in manifest.files.iter().rev() {
        let (from, to) = (staging.path().join(&listed.name), folder.join(&listed.name));
        std::fs::rename(&from, &to).map_err(|error| Failure::file(&to, &error))?;
    }
    let synced = sync_folder(&folder.join("site.db"));
    synced.map_err(|error| Failure::file(folder, &error))?;
    made.keep();
    drop(lock);
    show(common, &checked, aside.as_deref())
}

/// What the restored site's own audit log tells of it.
async fn record(folder: &Path, sealed: bool, created: i64) -> Result<(), Failure> {
    let (store, site) = open_site(folder).await?;
    drop(site);
    let audit = AuditDraft {
        details: json!({ "sealed": sealed, "backup_of": created }).to_string(),
        ..AuditDraft::done(&Caller::admin_socket(), "site.restored", clock::now())
    };
    let changes = Vec::new();
    let committed = store.commit(ChangeSet::new(changes, audit)).await;
    store.close().await;
    committed
        .map(|_| ())
        .map_err(|error| Failure::new(Exit::Failure, "store", error))
}

/// Moves the files of the site that is there into a folder of their own beside them.
fn put_aside(folder: &Path, traces: &[&str]) -> Result<PathBuf, Failure> {
    let time = clock::now().to_string();
    let time: String = time.chars().filter(|c| !"-:.".contains(*c)).collect();
    let aside = folder.join(format!("before-restore-{time}"));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&aside)
        .map_err(|error| Failure::file(&aside, &error))?;
    for trace in traces {
        let (from, to) = (folder.join(trace), aside.join(trace));
        std::fs::rename(&from, &to).map_err(|error| Failure::file(&from, &error))?;
    }
    Ok(aside)
}

fn show(common: &Common, checked: &Checked, aside: Option<&Path>) -> Result<(), Failure> {
    let folder = common.data.display();
    if let Some(aside) = aside {
        say(format_args!(
            "What was there before is in {}.",
            aside.display()
        ));
    }
    match common.format() {
        Format::Text => print(&format!(
            "Restored the site into {folder}: {} audit entries. {}\n\
             `countersign serve --data {folder}` starts it; what was changed after the backup is undone: revoke \
             again what was revoked since.",
            checked.audit_entries,
            head(checked)
        )),
        Format::Json | Format::Jsonl => print_json(
            &json!({
                "folder": folder.to_string(),
                "database": checked,
                "aside": aside.map(|aside| aside.display().to_string()),
            })
            .to_string(),
        ),
    }
}

/// Takes a folder away again that was made for a restore which failed.
struct Made(Option<PathBuf>);

impl Made {
    fn before(folder: &Path) -> Self {
        Self((!folder.exists()).then(|| folder.to_owned()))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_file(folder.join("lock"));
            // Fails, as it should, when there is anything else in it.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

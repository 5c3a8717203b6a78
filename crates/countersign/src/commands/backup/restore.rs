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
    let names: Vec<&str> = manifest.files.iter().map(|file| &*file.name).collect();
    let aside = replace(folder, &traces, staging.path(), &names)?;
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

/// Puts the files of a backup, which stand in `staging`, into the folder. Those of the site that is there are kept in a
/// folder of their own beside them, which is given, and named when this fails half way.
fn replace(
    folder: &Path,
    traces: &[&str],
    staging: &Path,
    names: &[&str],
) -> Result<Option<PathBuf>, Failure> {
    let aside = (!traces.is_empty())
        .then(|| folder_aside(folder))
        .transpose()?;
    let moved = |from: &Path, to: &Path| {
        std::fs::rename(from, to).map_err(|error| Failure::file(to, &error))
    };
    let place = || {
        for trace in traces {
            if let Some(aside) = &aside {
                moved(&folder.join(trace), &aside.join(trace))?;
            }
        }
        // The database last: only with it there is a site.
        for name in names.iter().rev() {
            moved(&staging.join(name), &folder.join(name))?;
        }
        sync_folder(&folder.join("site.db")).map_err(|error| Failure::file(folder, &error))
    };
    match (place(), aside) {
        (Ok(()), aside) => Ok(aside),
        (Err(failure), Some(aside)) => Err(failure.hint(half_way(folder, traces, &aside))),
        (Err(failure), None) => Err(failure),
    }
}

/// Where the files of the site that was there are after a restore that failed half way, and what to do.
fn half_way(folder: &Path, traces: &[&str], aside: &Path) -> String {
    let is_aside = |trace: &&&str| aside.join(trace).symlink_metadata().is_ok();
    let moved: Vec<&str> = traces.iter().filter(is_aside).copied().collect();
    let shown = folder.display();
    if moved.is_empty() {
        let _ = std::fs::remove_dir(aside);
        return format!("the site that was there is still in {shown}");
    }
    format!(
        "the old site's {} now in {}: move what is there back into {shown}, or restore again with --force",
        match moved[..] {
            [one] => format!("{one} is"),
            _ => format!("files {} are", moved.join(", ")),
        },
        aside.display()
    )
}

/// Makes the folder for the files of the site that is there.
fn folder_aside(folder: &Path) -> Result<PathBuf, Failure> {
    let time = clock::now().to_string();
    let time: String = time.chars().filter(|c| !"-:.".contains(*c)).collect();
    let aside = folder.join(format!("before-restore-{time}"));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&aside)
        .map_err(|error| Failure::file(&aside, &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The operator saw a file that could not be written, and a folder without a database.
    #[test]
    fn a_restore_that_fails_half_way_says_where_the_old_database_is() {
        let (site, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, staging) = (site.path(), staging.path());
        std::fs::write(folder.join("site.db"), "old").unwrap();
        std::fs::write(staging.join("countersign.toml"), "new").unwrap();
        // The database is missing among what was unpacked, and moved last.
        let names = ["site.db", "countersign.toml"];
        let failure = replace(folder, &["site.db"], staging, &names).unwrap_err();
        let aside = std::fs::read_dir(folder).unwrap().find_map(|found| {
            let path = found.unwrap().path();
            path.is_dir().then_some(path)
        });
        let aside = aside.unwrap();
        assert_eq!(std::fs::read(aside.join("site.db")).unwrap(), b"old");
        let shown = aside.display().to_string();
        assert!(failure.hint.contains(&shown), "{}", failure.hint);
        assert!(
            failure.hint.contains("site.db is now in"),
            "{}",
            failure.hint
        );
    }

    #[test]
    fn a_restore_that_could_move_nothing_says_that_the_site_is_where_it_was() {
        let (site, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let failure = replace(site.path(), &["site.db"], staging.path(), &[]).unwrap_err();
        assert!(failure.hint.contains("still in"), "{}", failure.hint);
        assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 0);
    }
}

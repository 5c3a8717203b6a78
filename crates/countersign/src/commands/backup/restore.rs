//! `countersign backup restore`: checks the whole backup before it puts any file in place.

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
        let message = format_args!("{} already has {trace} of a site", folder.display());
        return Err(Failure::new(Exit::Conflict, "site_exists", message).hint(
            "restore into another folder with --data, or pass --force, which moves the old site aside",
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

/// Writes an entry about the restore into the audit log of the restored site.
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

/// Moves the files of a backup from `staging` into the folder. Moves the files of an existing site into
/// a subfolder, which is returned, and named in the hint of a failure.
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
        // The database last: without it the folder has no site.
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

/// A hint for a restore that failed half-way: where the old site's files are, and what to do.
fn half_way(folder: &Path, traces: &[&str], aside: &Path) -> String {
    let is_aside = |trace: &&&str| aside.join(trace).symlink_metadata().is_ok();
    let moved: Vec<&str> = traces.iter().filter(is_aside).copied().collect();
    let shown = folder.display();
    if moved.is_empty() {
        let _ = std::fs::remove_dir(aside);
        return format!("the old site is unchanged in {shown}");
    }
    format!(
        "the old site's {} now in {}: move all files there back into {shown}, or restore again with --force",
        match moved[..] {
            [one] => format!("{one} is"),
            _ => format!("files {} are", moved.join(", ")),
        },
        aside.display()
    )
}

/// Creates the subfolder for the files of the old site.
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
            "The previous files are in {}.",
            aside.display()
        ));
    }
    match common.format() {
        Format::Text => print(&format!(
            "Restored the site into {folder}: {} audit entries. {}\n\
             `countersign serve --data {folder}` starts it; changes made after the backup are lost. Repeat \
             every revocation made since then.",
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

/// Removes a folder that was created for a restore which failed.
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
            // Fails, as intended, if the folder has other files.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operator saw an error about a file and a folder without a database.
    #[test]
    fn a_restore_that_fails_half_way_names_the_place_of_the_old_database() {
        let (site, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, staging) = (site.path(), staging.path());
        std::fs::write(folder.join("site.db"), "old").unwrap();
        std::fs::write(staging.join("countersign.toml"), "new").unwrap();
        // The database, which is moved last, is missing in the staging folder.
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
    fn a_restore_that_moved_nothing_says_that_the_old_site_is_unchanged() {
        let (site, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let failure = replace(site.path(), &["site.db"], staging.path(), &[]).unwrap_err();
        assert!(failure.hint.contains("unchanged in"), "{}", failure.hint);
        assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 0);
    }
}

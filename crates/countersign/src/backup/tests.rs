use std::path::{Path, PathBuf};

use countersign_crypto::secret::Passphrase;
use indicatif::ProgressBar;

use super::*;
use crate::content::Sink;
use crate::failure::{Exit, Failure};
use crate::files::Existing;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from(text.to_owned())
}

/// A backup with a database of some 200,000 bytes, which needs several chunks.
fn backup(folder: &Path, sealed: bool) -> PathBuf {
    let file = folder.join("backup");
    let database: Vec<u8> = (0..200_000_u32).map(|at| at.to_be_bytes()[3]).collect();
    let listed = |name: &str, bytes: usize| Listed {
        name: name.to_owned(),
        bytes: bytes as u64,
    };
    let manifest = Manifest {
        created: 0,
        version: "0".to_owned(),
        files: vec![
            listed("site.db", database.len()),
            listed("countersign.toml", 4),
        ],
    };
    let sink = Sink::open(Some(&file), Existing::Replaced).unwrap();
    let secret = sealed.then(|| passphrase("right"));
    let mut writer = Writer::start(sink, secret.as_ref(), &manifest).unwrap();
    for piece in database.chunks(70_000) {
        writer.write(piece).unwrap();
    }
    writer.write(b"toml").unwrap();
    writer.finish().unwrap();
    file
}

fn extract(file: &Path, secret: &str) -> Result<Vec<u8>, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(file, || Ok(passphrase(secret)))?;
    archive.extract(folder.path(), &ProgressBar::hidden())?;
    assert_eq!(
        std::fs::read(folder.path().join("countersign.toml")).unwrap(),
        b"toml"
    );
    Ok(std::fs::read(folder.path().join("site.db")).unwrap())
}

#[test]
fn an_extracted_backup_equals_the_original() {
    let folder = tempfile::tempdir().unwrap();
    for sealed in [false, true] {
        let file = backup(folder.path(), sealed);
        let database = extract(&file, "right").unwrap();
        assert_eq!((database.len(), database[199_999]), (200_000, 63));
        let bytes = std::fs::read(&file).unwrap();
        let open = bytes.windows(4).any(|window| window == b"toml");
        assert_eq!(open, !sealed);
    }
}

#[test]
fn a_truncated_changed_or_extended_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for sealed in [false, true] {
        let file = backup(folder.path(), sealed);
        let whole = std::fs::read(&file).unwrap();
        let text = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut cuts = vec![
            text,
            text + 100,
            whole.len() / 2,
            whole.len() - 32,
            whole.len() - 1,
        ];
        if sealed {
            // At the end of a chunk.
            let header = whole[text..]
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap();
            cuts.push(text + header + 1 + 2 * (64 * 1024 + 16));
        }
        let mut wrong: Vec<Vec<u8>> = cuts.iter().map(|cut| whole[..*cut].to_vec()).collect();
        for at in [text + 2, whole.len() / 2, whole.len() - 40, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            wrong.push(flipped);
        }
        wrong.push([&whole[..], b"x"].concat());
        for bytes in wrong {
            std::fs::write(&file, &bytes).unwrap();
            let failure = extract(&file, "right").unwrap_err();
            assert_eq!(
                (failure.exit, failure.code.as_str()),
                (Exit::Problems, "damaged_backup"),
                "{}",
                failure.message
            );
        }
    }
}

#[test]
fn a_wrong_pass_phrase_a_newer_version_and_another_file_have_different_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = backup(folder.path(), true);
    let wrong = extract(&file, "wrong").unwrap_err();
    assert_eq!(
        (wrong.exit, wrong.code.as_str()),
        (Exit::NotAuthenticated, "backup_passphrase")
    );
    for (text, code) in [
        ("countersign backup/2 plain\n", "newer_backup"),
        ("SQLite format 3", "no_backup"),
        ("", "no_backup"),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(extract(&file, "right").unwrap_err().code, code);
    }
}

/// A manifest gives the names of the extracted files; `../x` must not be one.
#[test]
fn a_manifest_names_only_files_of_a_site_each_once() {
    for (names, valid) in [
        (&["site.db"][..], true),
        (&["site.db", "countersign.toml", "site-key.slot"], true),
        (&["site.db", "site-key.slot"], true),
        (&[], false),
        (&["countersign.toml"], false),
        (&["countersign.toml", "site.db"], false),
        (&["site.db", "site.db"], false),
        (&["site.db", "../x"], false),
    ] {
        let listed = |name: &&str| Listed {
            name: (*name).to_owned(),
            bytes: 0,
        };
        let manifest = Manifest {
            created: 0,
            version: String::new(),
            files: names.iter().map(listed).collect(),
        };
        assert_eq!(manifest.is_valid(), valid, "{names:?}");
    }
}

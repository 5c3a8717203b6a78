use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_when_it_is_complete_and_an_incomplete_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    let mut file = OutputFile::create(&path, PRIVATE, Existing::Kept).unwrap();
    file.write(b"some").unwrap();
    assert_eq!(mode(file.temporary_path().unwrap()), 0o600);
    assert!(!path.exists());
    file.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"some");

    let mut file = OutputFile::create(&path, PRIVATE, Existing::Replaced).unwrap();
    file.write(b"other").unwrap();
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"some");
    assert_eq!(names(folder.path()), ["export"]);
}

/// An export silently replaced an existing file, and a private file became readable by all users.
#[test]
fn an_existing_file_is_replaced_with_force_only_and_stays_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    std::fs::write(&path, "mine").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let refused = write(&path, PRIVATE, Existing::Kept, b"new").unwrap_err();
    assert_eq!(
        (refused.exit, refused.code.as_str()),
        (Exit::Conflict, "file_exists")
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    write(&path, PRIVATE, Existing::Replaced, b"new").unwrap();
    assert_eq!(
        (std::fs::read(&path).unwrap(), mode(&path)),
        (b"new".to_vec(), 0o600)
    );
}

/// A file that another program created during the export was replaced.
#[test]
fn a_file_that_appears_during_the_export_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    let mut file = OutputFile::create(&path, PRIVATE, Existing::Kept).unwrap();
    file.write(b"new").unwrap();
    std::fs::write(&path, "theirs").unwrap();
    assert_eq!(file.finish().unwrap_err().exit, Exit::Conflict);
    assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    assert_eq!(names(folder.path()), ["export"]);
}

/// The target of a link with the predictable name `export.part` was overwritten.
#[test]
fn the_target_of_a_link_is_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("export"), folder.path().join("target"));
    std::fs::write(&target, "precious").unwrap();
    symlink(&target, folder.path().join("export.part")).unwrap();
    write(&path, PRIVATE, Existing::Kept, b"new").unwrap();

    let link = folder.path().join("link");
    symlink(&target, &link).unwrap();
    let refused = write(&link, PRIVATE, Existing::Kept, b"new").unwrap_err();
    assert_eq!(refused.exit, Exit::Conflict);
    write(&link, PRIVATE, Existing::Replaced, b"new").unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert!(link.symlink_metadata().unwrap().is_file());
}

/// A dangling link would have created a file in another place.
#[test]
fn a_dangling_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (link, nowhere) = (folder.path().join("link"), folder.path().join("nowhere"));
    symlink(&nowhere, &link).unwrap();
    let refused = write(&link, PRIVATE, Existing::Kept, b"new").unwrap_err();
    assert_eq!(refused.exit, Exit::Conflict);
    assert!(!nowhere.exists());
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
}

/// In a shared folder such as `/tmp`, another user created a FIFO, or a link to one, where a command was
/// about to write a plain backup or a key, and read the secret from it.
#[test]
fn nothing_is_written_to_another_users_fifo() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file to another user.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [planted, link, own] = ["planted", "link", "own"].map(|name| folder.path().join(name));
    fifo(&planted);
    fifo(&own);
    symlink(&own, &link).unwrap();
    for path in [&planted, &link] {
        std::os::unix::fs::lchown(path, Some(65_534), None).unwrap();
        let refused = OutputFile::create(path, PRIVATE, Existing::Kept);
        assert_eq!(refused.err().unwrap().exit, Exit::Conflict, "{path:?}");
        write(path, PRIVATE, Existing::Replaced, b"secret").unwrap();
        assert!(path.symlink_metadata().unwrap().is_file(), "{path:?}");
    }
}

/// A FIFO became a regular file, and the program that read from it waited for ever.
#[test]
fn a_fifo_is_written_directly_and_stays_a_fifo() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut text = String::new();
            File::open(path).unwrap().read_to_string(&mut text).unwrap();
            text
        }
    });
    write(&path, PRIVATE, Existing::Kept, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), "through");
    assert!(path.symlink_metadata().unwrap().file_type().is_fifo());
}

/// As root, `--save /dev/full` replaced the device by a regular file.
#[test]
fn a_device_stays_a_device_and_the_error_of_a_full_one_names_it() {
    let path = Path::new("/dev/full");
    let failure = write(path, PRIVATE, Existing::Replaced, b"much").unwrap_err();
    assert!(failure.message.contains("/dev/full"), "{}", failure.message);
    assert!(path.metadata().unwrap().file_type().is_char_device());
}

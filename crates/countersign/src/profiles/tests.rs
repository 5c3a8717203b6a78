//! Files of profiles as they were written, changed and damaged.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::failure::Exit;

const FILE: &str = "version = 1\nid = \"ada@example.org\"\n\
    site_key = \"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"\nkey = \"ada@example.org.key\"\n\
    ticket = \"00\"\n\n[enrolled]\ndevice = \"1\"\nhost = \"devices.example.org\"\nport = 4748\n";

fn profiles(folder: &tempfile::TempDir) -> Profiles {
    let profiles = Profiles::in_folder(&folder.path().join("config"));
    drop(profiles.lock().unwrap());
    profiles
}

fn profile() -> Profile {
    let key = VerifyingKey([2; 32]);
    let id = "ada@example.org".parse().unwrap();
    let mut profile = Profile::new(id, key, "ada@example.org.key".into(), "00".to_owned());
    profile.enrolled = Some(Enrolled {
        device: "1".to_owned(),
        host: "devices.example.org".to_owned(),
        port: 4748,
    });
    profile
}

#[test]
fn a_profile_is_written_for_its_owner_only_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = profiles(&folder);
    profiles.write("ada", &profile()).unwrap();
    assert_eq!(profiles.read("ada").unwrap(), profile());
    let file = folder.path().join("config/profiles/ada.toml");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), FILE);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(profiles.names().unwrap(), ["ada"]);
    profiles.set_default("ada").unwrap();
    profiles.remove("ada").unwrap();
    assert_eq!(profiles.default_name().unwrap(), None);
    assert_eq!(profiles.read("ada").unwrap_err().exit, Exit::NotFound);
}

#[test]
fn a_profile_is_read_as_editors_of_other_systems_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = profiles(&folder);
    let file = folder.path().join("config/profiles/ada.toml");
    for text in [
        format!("\u{feff}{FILE}"),
        FILE.replace('\n', "\r\n"),
        format!("\u{feff}# a comment\r\n{}", FILE.replace('\n', "\r\n")),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(profiles.read("ada").unwrap(), profile());
    }
    std::fs::write(folder.path().join("config/default"), "\u{feff}ada\r\n").unwrap();
    assert_eq!(profiles.default_name().unwrap().as_deref(), Some("ada"));
}

#[test]
fn a_damaged_profile_is_refused_and_its_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = profiles(&folder);
    let file = folder.path().join("config/profiles/ada.toml");
    for damaged in [
        String::new(),
        FILE.replace("version = 1", "version = 2"),
        FILE.replace("AgIC", "!!!!"),
        FILE.replace("AgICAgIC", ""),
        FILE.replace("4748", "474800"),
        FILE.replace("ada@example.org\"", "\""),
        FILE.replace("key =", "other ="),
        FILE[..FILE.len() / 2].to_owned(),
        "\0".repeat(400),
        "#".repeat(70_000),
    ] {
        std::fs::write(&file, &damaged).unwrap();
        let failure = profiles.read("ada").unwrap_err();
        assert!(failure.message.contains("ada.toml"), "{}", failure.message);
        assert!(failure.hint.contains("profile remove"), "{damaged}");
    }
    profiles.remove("ada").unwrap();
}

#[test]
fn a_name_of_a_profile_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = profiles(&folder);
    for name in [
        "", ".", "..", "../ada", "a/b", ".ada", "-ada", "a\nb", "a b",
    ] {
        assert_eq!(
            profiles.read(name).unwrap_err().exit,
            Exit::Usage,
            "{name:?}"
        );
    }
    assert!(profiles.read(&"a".repeat(201)).is_err());
}

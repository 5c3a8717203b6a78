//! Follows README, guides and pages for operators word for word.

mod markdown;
mod reader;
mod shape;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use self::markdown::{Block, Step, blocks};
use self::reader::Reader;
use crate::running::Running;
use crate::site_key::with_code;

/// Languages of blocks without commands.
const NO_COMMANDS: [&str; 5] = ["ini", "json", "text", "toml", "yaml"];

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The blocks of a page that are run.
fn steps<'a>(blocks: &[Block<'a>]) -> Vec<Step<'a>> {
    let run = blocks.iter().filter(|block| block.not_run.is_none());
    let run = run.filter(|block| ["console", "sh"].contains(&block.language));
    run.flat_map(Block::steps).collect()
}

/// Follows a page in a folder.
fn follow(page: &str, folder: &Path) {
    let page = read(page);
    let mut reader = Reader::new(folder);
    for step in steps(&blocks(&page)) {
        reader.follow(&step);
    }
}

/// The examples, which a clone of the repository has.
fn with_examples(folder: &Path) {
    symlink(root().join("examples"), folder.join("examples")).unwrap();
}

/// Builds the examples and writes a `cargo` script that runs them into the folder.
///
/// A test target beside the programs makes cargo choose the features that the tests were built with; without
/// it every dependency is compiled a second time.
fn with_cargo(folder: &Path) {
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--workspace"])
        .args(["--bin", "provider", "--bin", "consumer"])
        .args(["--test", "repository"])
        .current_dir(root())
        .status();
    assert!(built.unwrap().success());
    let binary = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let cargo = format!(
        "#!/bin/sh\nset -e\n\
         test \"$1 $2 $3 $4\" = 'run -p countersign-examples --bin'\n\
         exec {}/$5\n",
        binary.parent().unwrap().display(),
    );
    std::fs::create_dir(folder.join("bin")).unwrap();
    let path = folder.join("bin/cargo");
    std::fs::write(&path, cargo).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// The commands could not be followed: the temporary site of the first section used the ports of the
/// README's site, a file did not exist, and a URI was truncated.
#[test]
fn the_readme_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    with_examples(folder.path());
    follow("README.md", folder.path());
}

/// `examples/pair.sh` found no site in the folder in which the guide runs it.
#[test]
fn the_guide_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    with_examples(folder.path());
    with_cargo(folder.path());
    follow("docs/guide/protect-an-http-service.md", folder.path());
}

#[test]
fn the_guide_on_devices_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    follow("docs/guide/enrol-a-device.md", folder.path());
}

#[test]
fn the_guide_to_the_api_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    with_examples(folder.path());
    follow("docs/guide/call-the-api.md", folder.path());
}

#[test]
fn the_guide_to_the_api_for_devices_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    follow("docs/guide/call-the-api-as-a-device.md", folder.path());
}

#[test]
fn the_guide_to_the_console_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    follow("docs/guide/console.md", folder.path());
}

#[test]
fn the_guide_on_two_sites_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    with_cargo(folder.path());
    follow("docs/guide/connect-two-sites.md", folder.path());
}

#[test]
fn the_guide_to_alarms_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    follow("docs/guide/alarms.md", folder.path());
}

#[test]
fn the_page_on_backups_can_be_followed_word_for_word() {
    let site = Running::new();
    site.write("backup.pass", "a pass phrase for backups");
    follow("docs/operate/backup.md", site.folder.path());
    assert!(site.path("restored/site.db").exists());
}

#[test]
fn the_page_on_the_site_key_can_be_followed_word_for_word() {
    let site = with_code();
    site.write("backup.pass", "a pass phrase for backups");
    follow("docs/operate/keys.md", site.folder.path());
}

#[test]
fn the_page_on_people_can_be_followed_word_for_word() {
    let site = Running::new();
    follow("docs/guide/people.md", site.folder.path());
}

#[test]
fn the_page_on_running_a_site_can_be_followed_word_for_word() {
    let site = Running::new();
    follow("docs/operate/running.md", site.folder.path());
}

#[test]
fn the_page_on_lockdown_can_be_followed_word_for_word() {
    let site = Running::new();
    follow("docs/operate/lockdown.md", site.folder.path());
}

#[test]
fn the_page_on_monitoring_can_be_followed_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    follow("docs/operate/monitoring.md", folder.path());
}

#[test]
fn the_page_on_the_audit_log_can_be_followed_word_for_word() {
    let site = Running::new();
    follow("docs/operate/audit-log.md", site.folder.path());
}

/// Rust blocks of a page are parts of the programs in `examples`, which are built with the workspace.
fn is_of_an_example(block: &Block<'_>, examples: &[String]) -> bool {
    let code = |line: &str| {
        line.split("//")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let lines = block
        .lines
        .iter()
        .map(|line| code(line))
        .filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    examples.iter().any(|example| {
        let mut example = example.lines().map(code);
        lines.iter().all(|line| example.any(|other| other == *line))
    })
}

/// Every block of a page for newcomers or operators is run or gives a reason.
#[test]
fn every_block_is_run_or_gives_a_reason() {
    let folders = ["docs/guide", "docs/operate"];
    let files = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let mut pages: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    pages.push(root().join("README.md"));
    // Two pages are named alike; the one for operators has no commands.
    let followed = [
        "README.md",
        "protect-an-http-service.md",
        "enrol-a-device.md",
        "call-the-api.md",
        "call-the-api-as-a-device.md",
        "console.md",
        "connect-two-sites.md",
        "alarms.md",
        "people.md",
        "backup.md",
        "keys.md",
        "lockdown.md",
        "running.md",
        "monitoring.md",
        "audit-log.md",
    ];
    let examples = std::fs::read_dir(root().join("examples")).unwrap();
    let examples = examples.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let examples: Vec<String> = examples.collect();
    for path in pages {
        let (name, page) = (
            path.file_name().unwrap(),
            std::fs::read_to_string(&path).unwrap(),
        );
        for block in blocks(&page) {
            let lines = block.lines.join("\n");
            match (block.language, block.not_run) {
                (_, Some(reason)) => assert!(reason.len() > 10, "{name:?}: why?\n{lines}"),
                ("console" | "sh", None) => {
                    assert!(
                        followed.iter().any(|page| name == *page),
                        "{name:?} is not followed:\n{lines}"
                    );
                    assert!(!block.steps().is_empty(), "{name:?}: no command:\n{lines}");
                }
                ("rust", None) => assert!(
                    is_of_an_example(&block, &examples),
                    "{name:?}: in no example:\n{lines}"
                ),
                (language, None) => assert!(
                    NO_COMMANDS.contains(&language),
                    "{name:?}: {language}:\n{lines}"
                ),
            }
        }
    }
}

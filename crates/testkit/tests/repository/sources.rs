//! Rules for the source files: their size, their names, and texts that they must not contain.
//!
//! Forbidden words are put together with `concat!` here, so that this file needs no exception from
//! its own rules.

use std::collections::BTreeSet;

use crate::tree::{self, File, Finding, assert_none};

/// The maximum number of lines of a file. A longer one has more than one purpose.
const MAX_FILE: usize = 500;
/// Names that do not tell the purpose of a module.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
const MARKERS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
/// Folders of one machine. No code or document may depend on them.
const FOLDERS_OF_A_MACHINE: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];
/// Code asks the system for the folder for temporary files, because its name differs between
/// systems.
const TEMPORARY_FOLDER: &str = concat!("/tm", "p/");

fn too_long(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let problem = format!("{lines} lines, the maximum is {MAX_FILE}: split the file by topic");
    (lines > MAX_FILE).then(|| file.finding(lines, problem))
}

fn empty_name(file: &File) -> Option<Finding> {
    let path = file.path.strip_suffix(".rs")?;
    let name = path.split('/').find(|part| EMPTY_NAMES.contains(part))?;
    Some(file.finding(
        1,
        format!("`{name}` does not tell the module's purpose: name its topic"),
    ))
}

fn empty_inline_names(file: &File) -> Vec<Finding> {
    declared_modules(file)
        .filter(|(_, name)| EMPTY_NAMES.contains(name))
        .map(|(number, name)| {
            file.finding(
                number,
                format!("`{name}` does not tell the module's purpose: name its topic"),
            )
        })
        .collect()
}

/// The modules that a file declares, with their lines.
fn declared_modules(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.lines().filter_map(|(number, line)| {
        let mut words = line.split([' ', ';', '{']).filter(|word| !word.is_empty());
        let first = words.next()?;
        let keyword = if first.starts_with("pub") {
            words.next()?
        } else {
            first
        };
        let name = words.next().filter(|_| keyword == "mod")?;
        Some((number, name))
    })
}

/// A module named like its parent tells nothing new. The parent of `src/` is the crate.
fn named_like_its_parent(file: &File) -> Option<Finding> {
    let path = file.path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let mut names = path.rsplit('/').filter(|part| *part != "src");
    let (name, parent) = (names.next()?, names.next()?);
    let problem = format!("`{name}` is named like its parent: name its own topic");
    (name == parent).then(|| file.finding(1, problem))
}

/// Modules that a file declares under its own name.
fn declared_under_its_own_name(file: &File) -> Vec<Finding> {
    let path = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let own = path.rsplit('/').next().unwrap_or_default();
    declared_modules(file)
        .filter(|(_, name)| *name == own)
        .map(|(number, name)| file.finding(number, format!("module `{name}` inside `{name}`")))
        .collect()
}

/// Modules whose file is beside the folder of their submodules.
fn beside_their_folder(files: &[File]) -> Vec<Finding> {
    let folders: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| file.path.match_indices('/').map(|(at, _)| &file.path[..at]))
        .collect();
    let modules = files.iter().filter(|file| {
        let path = file.path.strip_suffix(".rs");
        path.is_some_and(|path| folders.contains(path))
    });
    modules
        .map(|file| {
            let folder = file.path.trim_end_matches(".rs");
            file.finding(1, format!("move the file into its folder: {folder}/mod.rs"))
        })
        .collect()
}

fn markers(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in file.lines() {
        for marker in MARKERS.iter().filter(|marker| has_word(line, marker)) {
            found.push(file.finding(number, format!("{marker}: do it now, or open an issue")));
        }
    }
    found
}

fn tests_ignored_without_reason(file: &File) -> Vec<Finding> {
    let attributes = attributes(file);
    let bare = attributes
        .iter()
        .filter(|(_, text)| text.as_str() == "#[ignore]");
    bare.map(|(line, _)| {
        file.finding(
            *line,
            "give the reason, and who runs the test and when: `#[ignore = \"…\"]`",
        )
    })
    .collect()
}

fn lints_allowed_without_reason(file: &File) -> Vec<Finding> {
    let attributes = attributes(file);
    let unexplained = attributes.iter().filter(|(_, text)| {
        let quiets = ["[allow(", "[expect(", " allow(", " expect("];
        quiets.iter().any(|quiet| text.contains(quiet)) && !text.contains("reason = \"")
    });
    unexplained
        .map(|(line, _)| file.finding(*line, "give the reason: `reason = \"…\"`"))
        .collect()
}

/// The attributes of a file, each with its first line. An attribute begins a line, as rustfmt
/// writes it, and may span several.
fn attributes(file: &File) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = 0;
    for (number, line) in file.lines() {
        let line = line.trim();
        if open == 0 {
            if !(line.starts_with("#[") || line.starts_with("#![")) {
                continue;
            }
            found.push((number, String::new()));
        }
        if let Some((_, text)) = found.last_mut() {
            for character in line.chars() {
                text.push(character);
                match character {
                    '[' => open += 1,
                    ']' => open -= 1,
                    _ => {}
                }
                if open == 0 && character == ']' {
                    break;
                }
            }
            text.push(if open == 0 { '\n' } else { ' ' });
        }
    }
    for (_, text) in &mut found {
        text.truncate(text.trim_end().len());
    }
    found
}

fn without_introduction(file: &File) -> Option<Finding> {
    let root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
    let problem = "begin the crate with `//!`: its purpose and what it does not do";
    (root && !file.text.starts_with("//!")).then(|| file.finding(1, problem))
}

fn folders_of_a_machine(file: &File) -> Vec<Finding> {
    let code = file.is("rs") || file.is_script();
    let temporary = code.then_some(TEMPORARY_FOLDER);
    let mut found = Vec::new();
    for (number, line) in file.lines() {
        for folder in FOLDERS_OF_A_MACHINE.iter().copied().chain(temporary) {
            if begins_a_path(line, folder) {
                found.push(file.finding(number, format!("{folder} is a folder of one machine")));
            }
        }
    }
    found
}

/// Whether the line has the word, with no letter, digit or underscore next to it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line.get(..at), line.get(at + word.len()..));
        !before.is_some_and(|before| before.ends_with(part_of_word))
            && !after.is_some_and(|after| after.starts_with(part_of_word))
    })
}

/// Whether a path that begins with the folder is in the line.
fn begins_a_path(line: &str, folder: &str) -> bool {
    let part_of_path =
        |character: char| character.is_alphanumeric() || "./_-~}*".contains(character);
    line.match_indices(folder).any(|(at, _)| {
        !line
            .get(..at)
            .is_some_and(|before| before.ends_with(part_of_path))
    })
}

fn rust_files() -> impl Iterator<Item = File> {
    tree::files().into_iter().filter(|file| file.is("rs"))
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    assert_none(
        tree::files()
            .iter()
            .filter(|file| !file.is("md"))
            .filter_map(too_long),
    );
}

#[test]
fn a_file_of_501_lines_is_found_and_one_of_500_is_not() {
    assert!(too_long(&File::new("a.rs", &"\n".repeat(501))).is_some());
    assert!(too_long(&File::new("a.rs", &"\n".repeat(500))).is_none());
}

#[test]
fn every_modules_name_tells_its_purpose() {
    let files: Vec<File> = rust_files().collect();
    assert_none(files.iter().filter_map(empty_name));
    assert_none(files.iter().flat_map(empty_inline_names));
}

#[test]
fn an_empty_name_is_found_as_file_folder_and_inline_module() {
    assert!(empty_name(&File::new("crates/a/src/utils.rs", "")).is_some());
    assert!(empty_name(&File::new("crates/a/tests/common/mod.rs", "")).is_some());
    assert!(empty_name(&File::new("crates/a/src/common_name.rs", "")).is_none());
    let inline = File::new(
        "a.rs",
        "mod name;\npub(crate) mod helpers {\n// mod utils\n",
    );
    assert_eq!(
        empty_inline_names(&inline)
            .iter()
            .map(|found| found.line)
            .collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn no_module_is_named_like_its_parent() {
    let files: Vec<File> = rust_files().collect();
    assert_none(files.iter().filter_map(named_like_its_parent));
    assert_none(files.iter().flat_map(declared_under_its_own_name));
}

#[test]
fn a_module_named_like_its_parent_is_found_as_file_folder_and_inline_module() {
    let found = |path: &str| named_like_its_parent(&File::new(path, "")).is_some();
    assert!(found("crates/a/src/a.rs") && found("crates/a/src/b/b.rs"));
    assert!(found("crates/a/src/b/b/mod.rs"));
    assert!(!found("crates/a/src/b.rs") && !found("crates/a/src/b/mod.rs"));
    assert!(!found("crates/a/src/b/c/b.rs") && !found("fuzz/src/lib.rs"));
    let lines = |path: &str| {
        let file = File::new(path, "mod c;\npub(crate) mod b {\n// mod b\n");
        let found = declared_under_its_own_name(&file).into_iter();
        found.map(|found| found.line).collect::<Vec<_>>()
    };
    assert_eq!((lines("b.rs"), lines("b/mod.rs")), (vec![2], vec![2]));
    assert!(lines("d.rs").is_empty());
}

#[test]
fn the_file_of_a_module_with_submodules_is_in_their_folder() {
    assert_none(beside_their_folder(&tree::files()));
}

#[test]
fn a_file_beside_the_folder_of_its_submodules_is_found() {
    let paths = [
        "src/a.rs",
        "src/a/b.rs",
        "src/c/mod.rs",
        "src/c/d.rs",
        "src/e.rs",
        "src/e.md",
    ];
    let files = paths.map(|path| File::new(path, ""));
    let found = beside_their_folder(&files);
    let paths: Vec<&str> = found.iter().map(|found| found.file.as_str()).collect();
    assert_eq!(paths, ["src/a.rs"]);
}

#[test]
fn no_marker_of_unfinished_work_is_left() {
    assert_none(tree::files().iter().flat_map(markers));
}

#[test]
fn a_marker_is_found_as_a_word_only() {
    let marked = File::new("a.rs", concat!("ok\n// TO", "DO: later\n"));
    assert_eq!(
        markers(&marked)
            .iter()
            .map(|found| found.line)
            .collect::<Vec<_>>(),
        [2]
    );
    assert!(
        markers(&File::new(
            "a.rs",
            concat!("mktemp a.XX", "XXXX MASTO", "DON")
        ))
        .is_empty()
    );
}

#[test]
fn every_ignored_test_gives_a_reason() {
    assert_none(rust_files().flat_map(|file| tests_ignored_without_reason(&file)));
}

#[test]
fn a_test_ignored_without_reason_is_found() {
    let file = File::new(
        "a.rs",
        "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \"8 h\"]\nfn b() {}",
    );
    let found = tests_ignored_without_reason(&file);
    assert_eq!(
        found.iter().map(|found| found.line).collect::<Vec<_>>(),
        [2]
    );
}

#[test]
fn every_allowed_lint_gives_a_reason() {
    assert_none(rust_files().flat_map(|file| lints_allowed_without_reason(&file)));
}

#[test]
fn a_lint_allowed_without_reason_is_found_on_one_line_or_on_several() {
    let lines = [
        "#[allow(dead_code)]",
        "fn a() {}",
        "#[allow(",
        "    dead_code,",
        "    reason = \"b\"",
        ")]",
        "#![expect(",
        "    dead_code",
        ")]",
        "#[cfg_attr(test, allow(dead_code))]",
    ];
    let file = File::new("a.rs", &lines.join("\n"));
    let found = lints_allowed_without_reason(&file);
    assert_eq!(
        found.iter().map(|found| found.line).collect::<Vec<_>>(),
        [1, 7, 10]
    );
}

#[test]
fn every_crate_begins_with_its_purpose() {
    assert_none(rust_files().filter_map(|file| without_introduction(&file)));
}

#[test]
fn a_crate_without_introduction_is_found() {
    assert!(without_introduction(&File::new("crates/a/src/lib.rs", "mod a;\n")).is_some());
    assert!(without_introduction(&File::new("crates/a/src/lib.rs", "//! A.\n")).is_none());
    assert!(without_introduction(&File::new("crates/a/src/b.rs", "mod a;\n")).is_none());
}

#[test]
fn no_file_depends_on_a_folder_of_one_machine() {
    assert_none(tree::files().iter().flat_map(folders_of_a_machine));
}

#[test]
fn a_folder_of_one_machine_is_found_where_it_begins_a_path() {
    let found = |path: &str, text: &str| folders_of_a_machine(&File::new(path, text)).len();
    assert_eq!(found("README.md", concat!("see `/wo", "rk/main/a`")), 1);
    assert_eq!(
        found(
            "README.md",
            concat!("see docs/wo", "rk/a and https://a.example/ho", "me/")
        ),
        0
    );
    assert_eq!(found("a.rs", concat!("\"/tm", "p/a\"")), 1);
    assert_eq!(found("README.md", concat!("`--data /tm", "p/a`")), 0);
}

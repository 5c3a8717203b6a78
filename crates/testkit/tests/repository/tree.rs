//! The input and output of the rules: the repository's text files, and the violations that a rule
//! found.

use std::fmt;
use std::path::{Path, PathBuf};

/// Folders with generated files: what a build, a fuzzer or a measurement wrote.
const NOT_OURS: [&str; 6] = [
    "target",
    "node_modules",
    "corpus",
    "artifacts",
    "coverage",
    "dist",
];
/// The rendered documentation. Only at the top: a folder of sources further down may have this
/// name.
const RENDERED: &str = "site";
/// Folders with sources although their names begin with a dot.
const OURS_WITH_A_DOT: [&str; 3] = [".ci", ".config", ".cargo"];
const TEXT: [&str; 8] = ["rs", "md", "toml", "sql", "sh", "js", "mjs", "py"];

/// One text file of the repository.
pub(crate) struct File {
    /// From the root of the repository, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A sample for the test of a rule.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        extension_of(&self.path) == Some(extension)
    }

    pub(crate) fn is_script(&self) -> bool {
        self.path.starts_with("scripts/") || self.path.starts_with(".ci/")
    }

    pub(crate) fn finding(&self, line: usize, problem: impl Into<String>) -> Finding {
        Finding {
            file: self.path.clone(),
            line,
            problem: problem.into(),
        }
    }
}

/// A place that violates a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.problem)
    }
}

/// Panics with one line for each finding, if there is one.
pub(crate) fn assert_none(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<String> = findings
        .into_iter()
        .map(|finding| finding.to_string())
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// The top folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace folder is two above this crate")
}

/// All text files of the repository, in order of their paths.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.len() > 20,
        "only {} files under {}",
        files.len(),
        root.display()
    );
    files
}

/// One file that a rule needs. Panics if it cannot be read.
pub(crate) fn file(path: &str) -> File {
    let text = std::fs::read_to_string(root().join(path));
    File::new(
        path,
        &text.unwrap_or_else(|error| panic!("{path}: {error}")),
    )
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository can be read") {
        let entry = entry.expect("a folder of the repository can be read to its end");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry
            .file_type()
            .expect("a file of the repository has a type");
        if !is_ours(&name) || (folder == root && name == RENDERED) {
            continue;
        }
        if kind.is_dir() {
            walk(root, &entry.path(), files);
        } else if kind.is_file() {
            let path = relative(root, &entry.path());
            let script = path.starts_with("scripts/") || path.starts_with(".ci/");
            if script || extension_of(&path).is_some_and(|extension| TEXT.contains(&extension)) {
                let text = std::fs::read_to_string(entry.path())
                    .unwrap_or_else(|error| panic!("{path}: {error}"));
                files.push(File { path, text });
            }
        }
    }
}

fn is_ours(name: &str) -> bool {
    !NOT_OURS.contains(&name) && (!name.starts_with('.') || OURS_WITH_A_DOT.contains(&name))
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path
        .strip_prefix(root)
        .expect("the walk stays below the root");
    path.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

fn extension_of(path: &str) -> Option<&str> {
    Path::new(path).extension()?.to_str()
}

#[test]
fn the_walk_finds_sources_and_scripts_and_no_generated_file() {
    let files = files();
    let has = |path: &str| files.iter().any(|file| file.path == path);
    assert!(has("Cargo.toml"));
    assert!(has("crates/testkit/tests/repository/tree.rs"));
    assert!(has("crates/core/src/engine/mod.rs"));
    assert!(has("scripts/test"));
    assert!(!files.iter().any(|file| file.path.contains("target/")));
}

#[test]
#[should_panic(expected = "src/a.rs:7: too long")]
fn a_finding_fails_the_check_and_names_file_and_line() {
    assert_none([File::new("src/a.rs", "").finding(7, "too long")]);
}

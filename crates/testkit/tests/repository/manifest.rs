//! Rules for the `Cargo.toml` of each crate, and the parser that other rules share.

use toml::{Table, Value};

use crate::tree::{self, File, Finding, assert_none};

/// The table of a manifest that names a dependency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// A dependency in a manifest.
pub(crate) struct Dependency {
    /// The package's own name, also if the manifest gives it another one.
    pub(crate) package: String,
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    inherited: bool,
}

/// A crate's `Cargo.toml`.
pub(crate) struct Manifest {
    pub(crate) file: File,
    pub(crate) name: String,
    table: Table,
}

impl Manifest {
    pub(crate) fn parse(file: File) -> Self {
        let table: Table = file
            .text
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", file.path));
        let name = table.get("package").and_then(|package| package.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { file, name, table }
    }

    /// Every dependency, also those for some platforms only.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let platforms = self.table.get("target").and_then(Value::as_table);
        let platforms = platforms
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table);
        let mut found = Vec::new();
        for tables in std::iter::once(&self.table).chain(platforms) {
            for (heading, kind) in [
                ("dependencies", Kind::Normal),
                ("build-dependencies", Kind::Build),
                ("dev-dependencies", Kind::Dev),
            ] {
                let named = tables.get(heading).and_then(Value::as_table);
                for (key, value) in named.into_iter().flatten() {
                    let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                    found.push(Dependency {
                        package: package.to_owned(),
                        kind,
                        line: self.line_of(heading, key),
                        inherited: value.get("workspace") == Some(&Value::Boolean(true)),
                    });
                }
            }
        }
        found
    }

    fn inherits_the_lints(&self) -> bool {
        let lints = self
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        lints == Some(&Value::Boolean(true))
    }

    /// The line on which a table of that heading names that key; 1 if the entry is written in
    /// another form.
    fn line_of(&self, heading: &str, key: &str) -> usize {
        let mut inside = false;
        for (number, line) in self.file.lines() {
            if let Some(section) = line.trim().strip_prefix('[') {
                let section = section.trim_end_matches(']');
                inside = section == heading || section.ends_with(&format!(".{heading}"));
            } else if inside && line.split(['.', ' ', '=']).next() == Some(key) {
                return number;
            }
        }
        1
    }
}

/// The manifests of all crates in the workspace.
pub(crate) fn all() -> Vec<Manifest> {
    let excluded = ["fuzz/", "bindings/"];
    let member = |path: &str| {
        path.ends_with("/Cargo.toml") && !excluded.iter().any(|folder| path.starts_with(folder))
    };
    let manifests: Vec<Manifest> = tree::files()
        .into_iter()
        .filter(|file| member(&file.path))
        .map(Manifest::parse)
        .collect();
    assert!(
        manifests.len() >= 9,
        "only {} crates found",
        manifests.len()
    );
    manifests
}

fn without_workspace_lints(manifest: &Manifest) -> Option<Finding> {
    let problem = "write `[lints] workspace = true`: all crates share one set of lints";
    (!manifest.inherits_the_lints()).then(|| manifest.file.finding(1, problem))
}

fn versions_of_its_own(manifest: &Manifest) -> Vec<Finding> {
    let named = manifest.dependencies();
    let own = named.iter().filter(|dependency| !dependency.inherited);
    own.map(|dependency| {
        let name = &dependency.package;
        let problem =
            format!("take {name} from [workspace.dependencies]: all crates share one version");
        manifest.file.finding(dependency.line, problem)
    })
    .collect()
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    assert_none(all().iter().filter_map(without_workspace_lints));
}

#[test]
fn a_crate_with_lints_of_its_own_is_found() {
    let own = "[package]\nname = \"a\"\n[lints.rust]\nunsafe_code = \"allow\"\n";
    let inherited = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n";
    assert!(without_workspace_lints(&sample(own)).is_some());
    assert!(without_workspace_lints(&sample(inherited)).is_none());
}

#[test]
fn every_crate_takes_its_dependencies_from_the_workspace() {
    assert_none(all().iter().flat_map(versions_of_its_own));
}

#[test]
fn a_dependency_with_a_version_of_its_own_is_found_at_its_line() {
    let manifest = sample(
        "[package]\nname = \"a\"\n[dependencies]\nserde.workspace = true\n\
         [target.'cfg(unix)'.dev-dependencies]\nlibc = \"0.2\"\n",
    );
    let found = versions_of_its_own(&manifest);
    assert_eq!(
        found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
        [6]
    );
}

pub(crate) fn sample(text: &str) -> Manifest {
    Manifest::parse(File::new("crates/a/Cargo.toml", text))
}

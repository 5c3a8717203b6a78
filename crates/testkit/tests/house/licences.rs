//! What we link is under a licence that `deny.toml` allows and comes from crates.io.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::tree::{self, File, Finding, assert_none};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// An SPDX licence expression, read from its words.
struct Expression<'a> {
    words: Vec<&'a str>,
    allowed: &'a BTreeSet<String>,
}

impl Expression<'_> {
    /// `a OR b`: one of the two has to be allowed. `OR` binds weakest.
    fn any(&mut self) -> Option<bool> {
        let mut allowed = self.all()?;
        while self.next_is("OR") {
            allowed |= self.all()?;
        }
        Some(allowed)
    }

    /// `a AND b`: both have to be allowed.
    fn all(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.next_is("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    /// A licence, one with an exception, or an expression in parentheses.
    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let inner = self.any()?;
            return self.next_is(")").then_some(inner);
        }
        let mut licence = self.words.pop()?.to_owned();
        if self.next_is("WITH") {
            licence = format!("{licence} WITH {}", self.words.pop()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn next_is(&mut self, word: &str) -> bool {
        let is = self.words.last() == Some(&word);
        if is {
            self.words.pop();
        }
        is
    }
}

/// Whether the list allows a crate under this expression; `None` when it cannot be read. Crates older
/// than SPDX expressions write `/` for `OR`.
fn permits(allowed: &BTreeSet<String>, expression: &str) -> Option<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words = spaced.split_whitespace().rev().collect();
    let mut expression = Expression { words, allowed };
    let permitted = expression.any()?;
    expression.words.is_empty().then_some(permitted)
}

/// The list in `deny.toml`.
fn allowed() -> BTreeSet<String> {
    let file = tree::file("deny.toml");
    let table: Table = file.text.parse().expect("deny.toml is TOML");
    let list = table
        .get("licenses")
        .and_then(|licences| licences.get("allow"));
    let list = list
        .and_then(toml::Value::as_array)
        .expect("deny.toml has licenses.allow");
    list.iter()
        .filter_map(|licence| licence.as_str().map(str::to_owned))
        .collect()
}

/// Every crate that this workspace builds on this system, as cargo describes it.
fn packages() -> Vec<Value> {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.expect("cargo -vV names its host");
    let described = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        host,
    ]);
    let described: Value = serde_json::from_str(&described).expect("cargo metadata is JSON");
    described
        .get("packages")
        .and_then(Value::as_array)
        .expect("metadata has packages")
        .clone()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(tree::root())
        .output();
    let output = output.expect("cargo, which built this test, can be run");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {}: {complaint}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn not_permitted(allowed: &BTreeSet<String>, package: &Value) -> Option<String> {
    let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
    let (name, version, licence) = (text("name"), text("version"), text("license"));
    match permits(allowed, licence) {
        Some(true) => None,
        Some(false) => Some(format!(
            "{name} {version} is under `{licence}`, which is not allowed"
        )),
        None => Some(format!(
            "{name} {version}: `{licence}` is not a licence expression"
        )),
    }
}

/// The packages of a `Cargo.lock` that come from elsewhere than crates.io or this repository.
fn from_elsewhere(lock: &File) -> Vec<Finding> {
    let sources = lock.lines().filter_map(|(number, line)| {
        let source = line.strip_prefix("source = \"")?.strip_suffix('"')?;
        (source != CRATES_IO).then_some((number, source))
    });
    sources
        .map(|(number, source)| lock.finding(number, format!("{source} is not crates.io")))
        .collect()
}

#[test]
fn every_dependency_is_under_a_licence_that_deny_toml_allows() {
    let allowed = allowed();
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let refused = packages
        .iter()
        .filter_map(|package| not_permitted(&allowed, package));
    let lock = File::new("Cargo.lock", "");
    assert_none(refused.map(|problem| lock.finding(1, problem)));
}

#[test]
fn a_licence_expression_is_judged_by_what_it_lets_us_choose() {
    let allowed = BTreeSet::from([
        "MIT".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ]);
    let judged = |expression: &str| permits(&allowed, expression);
    assert_eq!(judged("MIT OR GPL-3.0-only"), Some(true));
    assert_eq!(judged("GPL-3.0-only/MIT"), Some(true));
    assert_eq!(judged("MIT AND GPL-3.0-only"), Some(false));
    assert_eq!(judged("GPL-3.0-only OR MIT AND GPL-2.0-only"), Some(false));
    assert_eq!(judged("(GPL-3.0-only OR MIT) AND MIT"), Some(true));
    assert_eq!(judged("Apache-2.0 WITH LLVM-exception"), Some(true));
    assert_eq!(judged("Apache-2.0"), Some(false));
    for unreadable in ["", "MIT OR", "(MIT", "MIT MIT", "MIT)"] {
        assert_eq!(judged(unreadable), None, "{unreadable}");
    }
}

#[test]
fn a_dependency_under_another_licence_or_under_none_is_found() {
    let allowed = BTreeSet::from(["MIT".to_owned()]);
    let package =
        |licence: Value| serde_json::json!({ "name": "a", "version": "1.0.0", "license": licence });
    assert_eq!(not_permitted(&allowed, &package("MIT".into())), None);
    assert!(not_permitted(&allowed, &package("AGPL-3.0-only".into())).is_some());
    assert!(not_permitted(&allowed, &package(Value::Null)).is_some());
}

#[test]
fn every_dependency_comes_from_crates_io() {
    assert_none(from_elsewhere(&tree::file("Cargo.lock")));
}

#[test]
fn a_dependency_from_elsewhere_is_found_at_its_line() {
    let lock = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.org/a\"\n");
    let found = from_elsewhere(&File::new("Cargo.lock", &lock));
    assert_eq!(
        found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
        [2]
    );
}

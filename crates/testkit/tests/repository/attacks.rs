//! Each attack on the pages of attacks names tests, and these tests exist.

use std::collections::BTreeSet;

use crate::tree::{self, File, Finding, assert_none};

const PAGES: &str = "docs/attacks/";
/// The page that lists the others.
const INDEX: &str = "docs/attacks/README.md";
/// The heading of the explanations on a page.
const DETAILS: &str = "## Details";
/// How the item of an attack that names tests begins.
const TESTS: &str = "- *Shown by*:";

/// An attack: a heading and its items.
struct Attack<'a> {
    line: usize,
    /// The lines of the item that names tests.
    tests: Vec<&'a str>,
}

/// The attacks of a page.
fn attacks(page: &File) -> Vec<Attack<'_>> {
    let (mut found, mut is_in_tests): (Vec<Attack<'_>>, _) = (Vec::new(), false);
    for (line, text) in page.lines() {
        if text.starts_with(DETAILS) {
            break;
        }
        if text.starts_with("## ") {
            let tests = Vec::new();
            found.push(Attack { line, tests });
        }
        is_in_tests = text.starts_with(TESTS) || is_in_tests && text.starts_with("  ");
        if let Some(attack) = found.last_mut().filter(|_| is_in_tests) {
            attack.tests.push(text);
        }
    }
    found
}

/// The texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn without_test(page: &File, tests: &BTreeSet<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    for Attack { line, tests: lines } in attacks(page) {
        let named: Vec<&str> = lines.into_iter().flat_map(quoted).collect();
        if named.is_empty() {
            found.push(page.finding(line, "this attack names no test"));
        }
        for test in named.into_iter().filter(|test| !tests.contains(test)) {
            found.push(page.finding(line, format!("there is no test {test}")));
        }
    }
    found
}

/// The names of the functions with the attribute of a test, and of those of the contract of stores,
/// which each store runs.
fn tests(sources: &[File]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for file in sources.iter().filter(|file| file.is("rs")) {
        let mut is_test = false;
        for (_, line) in file.lines() {
            let line = line.trim();
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(rest) = line
                .strip_prefix("pub async fn ")
                .filter(|_| file.path.starts_with("crates/testkit/src/contract"))
            {
                found.extend(rest.split('(').next());
            } else if let Some(rest) = line
                .strip_prefix("fn ")
                .or_else(|| line.strip_prefix("async fn "))
                .filter(|_| std::mem::take(&mut is_test))
            {
                found.extend(rest.split('(').next());
            }
        }
    }
    found
}

#[test]
fn each_attack_names_a_test_that_exists() {
    let files = tree::files();
    let is_page = |file: &&File| file.path.starts_with(PAGES) && file.path != INDEX;
    let pages: Vec<&File> = files.iter().filter(is_page).collect();
    assert!(pages.len() > 10, "attacks have pages");
    let tests = tests(&files);
    for page in pages {
        assert!(!attacks(page).is_empty(), "{} has no attack", page.path);
        assert_none(without_test(page, &tests));
    }
}

#[test]
fn an_attack_without_a_test_and_a_test_that_does_not_exist_are_found_at_their_lines() {
    let sources = [File::new(
        "crates/a/tests/b.rs",
        "#[test]\nfn it_is_refused() {}\nfn helper() {}\n",
    )];
    let page = File::new(
        "docs/attacks/page.md",
        "# Page\n\n## One\n\n- *Attack*: `a`\n- *Shown by*: `it_is_refused`\n\n\
         ## Two\n\n- *Attack*: a\n- *Shown by*: none\n\n\
         ## Three\n\n- *Shown by*: `it_is_refused`,\n  `helper`\n\n\
         ## Four\n\n- *Attack*: `it_is_refused`\n\n## Details\n\n`a`\n",
    );
    let found = without_test(&page, &tests(&sources));
    let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [8, 13, 18]);
}

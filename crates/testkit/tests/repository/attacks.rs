//! Each row of the page of attacks names tests, and these tests exist.

use std::collections::BTreeSet;

use crate::tree::{self, File, Finding, assert_none};

const PAGE: &str = "docs/attacks.md";
/// The heading of the column that names tests.
const TESTS: &str = "shown by";

/// A row of a table.
struct Row<'a> {
    line: usize,
    /// The cell of the column that names tests, if the row has that column.
    tests: Option<&'a str>,
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.trim_matches('|').split(" | ").map(str::trim)
}

/// The rows of the page's tables without their headings.
fn rows(page: &File) -> Vec<Row<'_>> {
    let (mut found, mut column, mut above) = (Vec::new(), None, "");
    for (line, text) in page.lines() {
        if text.starts_with("|---") {
            column = cells(above).position(|cell| cell == TESTS);
            found.pop();
        } else if text.starts_with("| ") {
            let tests = column.and_then(|column| cells(text).nth(column));
            found.push(Row { line, tests });
        }
        above = text;
    }
    found
}

/// The texts in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn without_test(page: &File, tests: &BTreeSet<&str>) -> Vec<Finding> {
    let mut found = Vec::new();
    for Row { line, tests: named } in rows(page) {
        let named = named.map(quoted).unwrap_or_default();
        if named.is_empty() {
            found.push(page.finding(line, "this row names no test"));
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
    let page = tree::file(PAGE);
    assert!(rows(&page).len() > 20, "the page has tables");
    let sources = tree::files();
    assert_none(without_test(&page, &tests(&sources)));
}

#[test]
fn a_row_without_a_test_and_a_test_that_does_not_exist_are_found_at_their_lines() {
    let sources = [File::new(
        "crates/a/tests/b.rs",
        "#[test]\nfn it_is_refused() {}\nfn helper() {}\n",
    )];
    let page = File::new(
        PAGE,
        "| attack | does | stops | shown by | left |\n|---|---|---|---|---|\n\
         | a | b | c | `it_is_refused` | d |\n| a | b | c | none | d |\n\
         | a | b | c | `helper`, `it_is_refused` | d |\n| a | b |\n\n\
         | operation | left | shown by |\n|---|---|---|\n| a | b | `it_is_refused` |\n| a | b | c |\n",
    );
    let found = without_test(&page, &tests(&sources));
    let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [4, 5, 6, 11]);
}

//! Every requirement of the protocol pages is tested. Each MUST has an id such as `[DEMO-1]`. A
//! test names each id, in the comment above the test or in its body. No test names an id that no
//! page has.

use std::collections::{BTreeMap, BTreeSet};

use crate::test_comments::comments_of_tests;
use crate::tree::{self, File, Finding, assert_none};

/// Publishers whose documents are cited in the form of a requirement id. They need no test here.
const CITED: [&str; 5] = ["RFC", "FIPS", "BCP", "SHA", "AES"];
/// A paragraph that explains MUST, SHOULD and MAY cites one of these; it needs no id.
const KEYWORD_DOCUMENTS: [&str; 2] = ["RFC 2119", "BCP 14"];

/// The ids in a line: `[`, capitals and digits with hyphens between them, a number, `]`.
fn ids(line: &str) -> Vec<&str> {
    let starts = line
        .match_indices('[')
        .filter_map(|(at, _)| line.get(at + 1..));
    let bracketed = starts.filter_map(|rest| rest.split_once(']'));
    bracketed
        .filter(|(id, after)| is_id(id) && !after.starts_with('('))
        .map(|(id, _)| id)
        .collect()
}

fn is_id(text: &str) -> bool {
    let Some((prefix, number)) = text.rsplit_once('-') else {
        return false;
    };
    let capitals = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    prefix.starts_with(|c: char| c.is_ascii_uppercase())
        && prefix.chars().all(capitals)
        && !CITED.contains(&prefix)
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
}

/// The ids that the pages have, each with the file and line of its first occurrence.
fn defined(pages: &[File]) -> BTreeMap<String, (String, usize)> {
    let mut found = BTreeMap::new();
    for page in pages {
        for (number, line) in page.lines() {
            for id in ids(line) {
                found
                    .entry(id.to_owned())
                    .or_insert_with(|| (page.path.clone(), number));
            }
        }
    }
    found
}

/// The test code of a file and the line at which it begins: the whole file in a folder of tests or
/// fuzz targets, else the text from the first `#[cfg(test)]`.
fn test_text(file: &File) -> Option<(usize, &str)> {
    let whole = file.path.contains("/tests/")
        || file.path.starts_with("fuzz/")
        || file.path.ends_with("/tests.rs");
    if whole {
        return Some((1, &file.text));
    }
    let at = file.text.find("#[cfg(test)]").filter(|_| file.is("rs"))?;
    Some((
        file.text.get(..at)?.lines().count() + 1,
        file.text.get(at..)?,
    ))
}

/// Words that have the form of an id, with or without brackets.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| is_id(word))
}

fn untested(pages: &[File], sources: &[File]) -> Vec<Finding> {
    let tested: BTreeSet<&str> = sources
        .iter()
        .flat_map(comments_of_tests)
        .flat_map(words)
        .collect();
    defined(pages)
        .into_iter()
        .filter(|(id, _)| !tested.contains(id.as_str()))
        .map(|(id, (file, line))| {
            let problem = format!("no test names {id}: write one, with `// {id}` above it");
            Finding {
                file,
                line,
                problem,
            }
        })
        .collect()
}

fn unknown(pages: &[File], sources: &[File]) -> Vec<Finding> {
    let defined = defined(pages);
    let prefix = |id: &str| id.rsplit_once('-').map(|(prefix, _)| prefix.to_owned());
    let prefixes: BTreeSet<String> = defined.keys().filter_map(|id| prefix(id)).collect();
    let mut found = Vec::new();
    for file in sources {
        let Some((first, text)) = test_text(file) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            for id in words(line).filter(|id| prefix(id).is_some_and(|p| prefixes.contains(&p))) {
                if !defined.contains_key(id) {
                    found.push(file.finding(first + index, format!("no page has {id}")));
                }
            }
        }
    }
    found
}

/// Paragraphs, list items and table rows that say MUST and have no id.
fn without_id(page: &File) -> Vec<Finding> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut fenced = false;
    let mut fresh = true;
    for (number, line) in page.lines() {
        let line = line.trim();
        fenced ^= line.starts_with("```");
        if fenced || line.starts_with("```") || line.is_empty() {
            fresh = true;
        } else if fresh || begins_a_block(line) {
            blocks.push((number, line.to_owned()));
            fresh = false;
        } else if let Some((_, block)) = blocks.last_mut() {
            block.push(' ');
            block.push_str(line);
        }
    }
    let explains = |block: &str| {
        KEYWORD_DOCUMENTS
            .iter()
            .any(|document| block.contains(document))
    };
    let unnamed = blocks
        .iter()
        .filter(|(_, block)| has_must(block) && ids(block).is_empty() && !explains(block));
    unnamed
        .map(|(line, _)| page.finding(*line, "this MUST has no id; add one such as [SES-1]"))
        .collect()
}

fn begins_a_block(line: &str) -> bool {
    let numbered = line
        .split_once(". ")
        .is_some_and(|(n, _)| n.chars().all(|c| c.is_ascii_digit()));
    line.starts_with(['|', '#']) || line.starts_with("- ") || line.starts_with("* ") || numbered
}

fn has_must(block: &str) -> bool {
    block
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word == "MUST")
}

fn pages() -> Vec<File> {
    let pages = tree::files().into_iter();
    pages
        .filter(|file| file.is("md") && file.path.starts_with("docs/protocol/"))
        .collect()
}

fn sources() -> Vec<File> {
    tree::files()
        .into_iter()
        .filter(|file| !file.is("md"))
        .collect()
}

#[test]
fn every_requirement_of_the_protocol_pages_is_named_by_a_test() {
    assert_none(untested(&pages(), &sources()));
}

#[test]
fn no_test_names_a_requirement_that_no_page_has() {
    assert_none(unknown(&pages(), &sources()));
}

#[test]
fn every_must_of_the_protocol_pages_has_an_id() {
    assert_none(pages().iter().flat_map(without_id));
}

#[test]
fn links_and_cited_documents_are_not_ids() {
    let line =
        "[DEMO-1] [DEMO-LOGIN-22] [a](b) [DEMO-3](c.md) [RFC-9807] [DEMO-] [demo-4] [SHA-256]";
    assert_eq!(ids(line), ["DEMO-1", "DEMO-LOGIN-22"]);
}

#[test]
fn a_requirement_is_tested_when_a_test_names_it_and_not_when_code_does() {
    let pages = [File::new(
        "docs/protocol/a.md",
        "\n[DEMO-1] x\n[DEMO-2] y\n[DEMO-12] z\n",
    )];
    let sources = [
        File::new(
            "crates/a/src/b.rs",
            "// DEMO-1\nfn b() {}\n#[cfg(test)]\n// DEMO-2\n#[test]\nfn c() {}\n",
        ),
        File::new(
            "crates/a/tests/c.rs",
            "//! Shows DEMO-1.\n/// Shows [DEMO-12].\n#[test]\nfn d() {}\n",
        ),
    ];
    let found = untested(&pages, &sources);
    assert_eq!(
        found.iter().map(|found| found.line).collect::<Vec<_>>(),
        [2]
    );
    assert!(unknown(&pages, &sources).is_empty());
}

#[test]
fn a_test_that_names_a_requirement_no_page_has_is_found_at_its_line() {
    let pages = [File::new("docs/protocol/a.md", "[DEMO-1]\n")];
    let sources = [File::new(
        "a.rs",
        "\n#[cfg(test)]\n// DEMO-1\n// DEMO-3, OTHER-4\n",
    )];
    let found = unknown(&pages, &sources);
    assert_eq!(
        found.iter().map(|found| found.line).collect::<Vec<_>>(),
        [4]
    );
}

#[test]
fn a_must_without_an_id_is_found_by_its_paragraph_item_or_row() {
    let page = File::new(
        "docs/protocol/a.md",
        "MUST is meant as in RFC 2119.\n\n[DEMO-1] It\nMUST do.\n\nIt\nMUST do.\n\
         - [DEMO-2] It MUST.\n- It MUST.\n| a | MUST |\n```\nMUST\n```\n",
    );
    let lines: Vec<usize> = without_id(&page).iter().map(|found| found.line).collect();
    assert_eq!(lines, [6, 9, 10]);
}

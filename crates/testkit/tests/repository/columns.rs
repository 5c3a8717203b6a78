//! The prose of pages is wrapped at 100 columns, so that a difference shows what changed.
//!
//! Tables, headings and fenced blocks cannot be wrapped. Nor can a link's target, a URL or a command
//! between backticks: a longer one stands alone on its line.

use crate::tree::{self, File, Finding, assert_none};

/// The most columns of a line of prose.
const COLUMNS: usize = 100;

/// The lines of a page that are too long and could be wrapped.
fn too_long(page: &File) -> Vec<Finding> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in page.lines() {
        let text = line.trim_start();
        if text.starts_with("```") {
            fenced = !fenced;
        }
        let length = line.chars().count();
        let is_prose = !fenced && !text.starts_with('|') && !text.starts_with('#');
        if is_prose && length > COLUMNS && !is_one_word(text) {
            let problem = format!("{length} columns: wrap it at {COLUMNS}");
            found.push(page.finding(number, problem));
        }
    }
    found
}

/// Whether nothing in the line can go to the next one: behind the mark of a list, it has no space
/// outside `code`.
fn is_one_word(text: &str) -> bool {
    let (mark, rest) = text.split_once(' ').unwrap_or(("", text));
    let is_mark = mark == "-" || mark == ">" || mark.trim_end_matches('.').parse::<u8>().is_ok();
    let text = if is_mark { rest } else { text };
    !text.split('`').step_by(2).any(|prose| prose.contains(' '))
}

#[test]
fn the_prose_of_every_page_is_wrapped() {
    let files = tree::files();
    let pages = files.iter().filter(|file| file.is("md"));
    assert_none(pages.flat_map(too_long));
}

#[test]
fn a_long_line_of_prose_is_found_and_what_cannot_be_wrapped_passes() {
    let words = |count: usize| "über ".repeat(count);
    let page = File::new(
        "a.md",
        &[
            words(20).trim_end(),
            &words(20),
            &format!("{}it", words(20)),
            &format!("- {}it", words(20)),
            &format!("  {}[a](b.md)", words(19)),
            &format!("# {}", words(21)),
            &format!("| {} |", words(21)),
            "```",
            &words(21),
            "```",
            &format!("[a]({}.md)", "b".repeat(100)),
            &format!("- `a {}`.", words(21)),
            &format!("12. `a {}`", words(21)),
            &format!("`a {}` b", words(21)),
            &format!("a `{}`", words(21)),
        ]
        .join("\n"),
    );
    let lines: Vec<usize> = too_long(&page).iter().map(|found| found.line).collect();
    assert_eq!(lines, [3, 4, 5, 14, 15]);
}

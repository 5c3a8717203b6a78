//! Every link from a page to another file or heading of the repository has a target.

use std::path::Path;

use crate::tree::{self, File, Finding, assert_none};

/// A page's links with their lines: `[text](target)` and `[name]: target`. Links inside code do not
/// count.
fn links(page: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(page) {
        for (at, _) in line.match_indices("](") {
            let target = line
                .get(at + 2..)
                .and_then(|rest| rest.split([')', ' ']).next());
            found.extend(target.map(|target| (number, target.to_owned())));
        }
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            found.extend(
                target
                    .split_whitespace()
                    .next()
                    .map(|target| (number, target.to_owned())),
            );
        }
    }
    found
}

/// The lines of a page without fenced blocks and without inline `code`.
fn prose(page: &File) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((
                number,
                line.split('`').step_by(2).collect::<Vec<_>>().join("``"),
            ));
        }
    }
    lines
}

/// The anchors of a page's headings, as a forge makes them: lower case, without punctuation,
/// hyphens for spaces, and a number after the second and further ones of the same text.
fn anchors(page: &File) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in page.text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let letters = title
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = letters.collect::<String>().to_lowercase().replace(' ', "-");
        let earlier = anchors
            .iter()
            .filter(|other| numbered_form_of(other, &anchor))
            .count();
        anchors.push(if earlier == 0 {
            anchor
        } else {
            format!("{anchor}-{earlier}")
        });
    }
    anchors
}

fn numbered_form_of(other: &str, anchor: &str) -> bool {
    let rest = other
        .strip_prefix(anchor)
        .map(|rest| rest.trim_start_matches('-'));
    rest.is_some_and(|rest| rest.chars().all(|character| character.is_ascii_digit()))
}

/// The links of a page whose target does not exist or is outside the repository.
fn broken(page: &File, root: &Path) -> Vec<Finding> {
    let folder = root.join(&page.path);
    let folder = folder.parent().unwrap_or(root);
    let mut found = Vec::new();
    for (line, target) in links(page) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let place = if path.is_empty() {
            root.join(&page.path)
        } else {
            folder.join(path)
        };
        let Some(place) = place
            .canonicalize()
            .ok()
            .filter(|place| place.starts_with(root))
        else {
            found.push(page.finding(line, format!("`{target}` is not in the repository")));
            continue;
        };
        if !anchor.is_empty() && place.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&place).unwrap_or_default();
            if !anchors(&File::new(path, &text))
                .iter()
                .any(|known| known == anchor)
            {
                found.push(page.finding(line, format!("`{target}`: the page has no such heading")));
            }
        }
    }
    found
}

#[test]
fn every_link_between_pages_has_a_target() {
    let root = tree::root();
    let files = tree::files();
    let pages = files.iter().filter(|file| file.is("md"));
    assert_none(pages.flat_map(|page| broken(page, &root)));
}

#[test]
fn a_link_without_target_is_found_unless_it_is_code_or_on_the_web() {
    let page = File::new(
        "CONTRIBUTING.md",
        "[a](deny.toml)\n[b](nowhere.md) `[c](nowhere.md)`\n```\n[d](nowhere.md)\n```\n\
         [e](https://example.org/f) [g](../../etc/passwd)\n[h]: nowhere.md\n\
         [i](CONTRIBUTING.md#nowhere)\n[j](CONTRIBUTING.md#running-things)\n",
    );
    let lines: Vec<usize> = broken(&page, &tree::root())
        .iter()
        .map(|found| found.line)
        .collect();
    assert_eq!(lines, [2, 6, 7, 8]);
}

#[test]
fn headings_get_the_anchors_that_a_forge_gives_them() {
    let page = File::new(
        "a.md",
        "# A `b`, C\n```\n# code\n```\n## D_e-f\n## D_e-f\n#no heading\n",
    );
    assert_eq!(anchors(&page), ["a-b-c", "d_e-f", "d_e-f-1"]);
}

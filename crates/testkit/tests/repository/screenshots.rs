//! The page of screenshots shows each screen of the console in both schemes, and each file of its
//! folder.

use std::collections::BTreeSet;

use crate::tree::{self, File, Finding, assert_none};

const PAGE: &str = "docs/images/console/README.md";
const SCREENS: &str = "console/src/app/screens.ts";
const SCHEMES: [&str; 2] = ["light", "dark"];

/// The titles in the list of screens.
fn titles(screens: &str) -> Vec<&str> {
    let entries = screens.lines().filter(|line| line.contains("component: "));
    entries
        .filter_map(|entry| entry.split_once("title: \"")?.1.split('"').next())
        .collect()
}

/// The files that a page shows or links.
fn shown(page: &str) -> BTreeSet<&str> {
    let targets = page.split("](").skip(1);
    targets
        .filter_map(|target| target.split(')').next())
        .collect()
}

/// The pictures that must be on the page and are not.
fn missing(page: &File, titles: &[&str], files: &[String]) -> Vec<Finding> {
    let shown = shown(&page.text);
    let of_screens = titles
        .iter()
        .flat_map(|title| SCHEMES.map(|scheme| format!("{title}-{scheme}-1440.png")));
    let wanted: BTreeSet<String> = of_screens.chain(files.iter().cloned()).collect();
    let absent = wanted.iter().filter(|name| !shown.contains(name.as_str()));
    absent
        .map(|name| page.finding(1, format!("`{name}` is not shown")))
        .collect()
}

#[test]
fn each_screen_and_each_picture_is_on_the_page_of_screenshots() {
    let page = tree::file(PAGE);
    let screens = tree::file(SCREENS);
    let titles = titles(&screens.text);
    assert!(titles.len() > 10, "{SCREENS} has only {titles:?}");
    let path = tree::root().join(PAGE);
    let folder = std::fs::read_dir(path.parent().expect("the page is in a folder"));
    let files: Vec<String> = folder
        .expect("the folder of the page can be read")
        .map(|entry| {
            entry
                .expect("the folder can be read to its end")
                .file_name()
        })
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".png"))
        .collect();
    assert_none(missing(&page, &titles, &files));
}

#[test]
fn a_screen_without_a_picture_and_a_picture_that_is_not_shown_are_found() {
    let titles = titles(
        "export const SCREENS = [\n  { path: \"a\", title: \"ants\", component: Ants },\n  \
         { path: \"b\", title: \"bees\", component: Bees },\n];\n",
    );
    assert_eq!(titles, ["ants", "bees"]);
    let page = File::new(
        "a.md",
        "[ants](ants-light-320.png) ![](ants-light-1440.png) ![](ants-dark-1440.png) \
         ![](bees-light-1440.png)",
    );
    let files = ["ants-light-320.png", "old.png"].map(str::to_owned);
    let found = missing(&page, &titles, &files);
    let problems: Vec<&str> = found.iter().map(|found| found.problem.as_str()).collect();
    assert_eq!(
        problems,
        [
            "`bees-dark-1440.png` is not shown",
            "`old.png` is not shown"
        ]
    );
}

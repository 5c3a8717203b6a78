//! The walks in ARCHITECTURE.md name files, functions and types that exist.

use crate::tree::root;

/// The paths in backticks, each split into a file or folder and the item in it, if one is named.
fn named(page: &str) -> Vec<(&str, Option<&str>)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| name.contains("/src/"))
        .map(|name| match name.split_once("::") {
            Some((file, item)) => (file, Some(item)),
            None => (name, None),
        })
        .collect()
}

fn holds(source: &str, item: &str) -> bool {
    ["fn", "struct", "enum", "trait", "const"]
        .iter()
        .any(|kind| {
            source
                .split(&format!("{kind} {item}"))
                .skip(1)
                .any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
        })
}

#[test]
fn every_file_and_item_that_the_architecture_names_exists() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named = named(&page);
    assert!(
        named.len() > 40,
        "ARCHITECTURE.md names only {} places",
        named.len()
    );
    for (file, item) in named {
        let path = root().join(if file.starts_with("crates/") {
            ""
        } else {
            "crates"
        });
        let path = path.join(file);
        assert!(path.exists(), "there is no {file}");
        if let Some(item) = item {
            let source = std::fs::read_to_string(&path).unwrap();
            assert!(holds(&source, item), "{file} has no {item}");
        }
    }
}

#[test]
fn an_item_is_found_by_its_whole_name() {
    assert!(holds("    pub fn run(&self)", "run"));
    assert!(!holds("    pub fn run_entry(&self)", "run"));
    assert_eq!(
        named("a `core/src/a.rs::b` c `d`"),
        [("core/src/a.rs", Some("b"))]
    );
}

//! The generated reference page and other pages are consistent with the table of operations.

use std::collections::BTreeSet;
use std::path::Path;

use countersign_core::access::Channel;
use countersign_core::engine::{Entry, reference};
use countersign_core::operations;

#[test]
fn the_reference_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/operations.md");
    let wanted = reference::markdown(&operations::table().unwrap());
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        std::fs::create_dir_all(page.parent().unwrap()).unwrap();
        std::fs::write(&page, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == wanted,
        "{} differs from the table; run this test with COUNTERSIGN_BLESS=1 to generate it again",
        page.display()
    );
}

#[test]
fn every_operation_has_a_summary_and_a_role() {
    for entry in operations::table().unwrap().entries() {
        let name = entry.name();
        assert!(entry.summary().ends_with('.'), "{name}");
        let access = entry.access();
        // A peer has no role: its operations are those of its channel.
        let of_peers = access.channels() == [Channel::Peer];
        assert!(
            of_peers || !access.roles().is_empty() || !access.own_roles().is_empty(),
            "no role may call {name}"
        );
    }
}

/// Regression test: a new operation was missing from the page that says what an attacker can do
/// with each.
#[test]
fn the_page_of_attacks_names_every_operation_once() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/attacks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page
        .split_once("\n## What each operation allows\n")
        .unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.trim_start_matches('|').split(" | ").next());
    let named: Vec<&str> = first
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let operations = operations::table().unwrap();
    let known: BTreeSet<&str> = operations.entries().map(Entry::name).collect();
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), known);
    assert_eq!(named.len(), known.len(), "an operation has two rows");
}

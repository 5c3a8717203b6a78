//! The reference page says what the table says.

use std::path::Path;

use countersign_core::{operations, reference};

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
        "{} is not what the table says; write it anew with COUNTERSIGN_BLESS=1",
        page.display()
    );
}

#[test]
fn every_operation_says_what_it_does_and_who_may_call_it() {
    for entry in operations::table().unwrap().entries() {
        let name = entry.name();
        assert!(entry.summary().ends_with('.'), "{name}");
        let access = entry.access();
        assert!(
            !access.roles().is_empty() || !access.own_roles().is_empty(),
            "nobody may call {name}"
        );
    }
}

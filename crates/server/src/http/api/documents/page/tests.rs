use std::collections::BTreeSet;

use countersign_core::engine::rest::document;
use countersign_core::operations;

use super::*;

fn page() -> (Table, Value, String) {
    let table = operations::table().unwrap();
    let document = document(&table);
    let page = html(&document, &table);
    (table, document, page)
}

/// The page had the parameters of each operation and nothing about its response.
#[test]
fn the_page_has_the_request_and_response_of_each_operation() {
    let (table, document, page) = page();
    for entry in table.entries() {
        let Some(route) = entry.rest().route() else {
            continue;
        };
        let name = entry.name();
        let id = format!("<div id=\"{}\">", anchor(entry));
        let (_, section) = page.split_once(&id).unwrap();
        let (section, _) = section
            .split_once("<details class=\"operation")
            .unwrap_or((section, ""));
        let method = route.method.as_str().to_ascii_lowercase();
        let responses = &document["paths"][route.path][method]["responses"];
        for (status, response) in responses.as_object().unwrap() {
            let shown = match status.starts_with('2') {
                true => format!("<h4>Response {status} <code>"),
                false => format!("<a href=\"#status-{status}\">{status}</a>"),
            };
            assert!(section.contains(&shown), "{name}: {shown}");
            for (header, _) in response["headers"].as_object().into_iter().flatten() {
                let is_shown = section.contains(&format!("<code>{header}</code>"));
                assert_eq!(is_shown, !is_common(header), "{name}: {header}");
            }
        }
        for schema in [entry.params(), entry.result()] {
            let properties = schema.get("properties").and_then(Value::as_object);
            let is_shown = !entry.gives_content() || schema == entry.params();
            for field in properties.into_iter().flatten().filter(|_| is_shown) {
                assert!(
                    section.contains(&format!("<code>{}</code>", field.0)),
                    "{name}"
                );
            }
        }
    }
}

/// A reader scrolled through 129,000 px to find an operation: the contents had groups alone, and each
/// operation repeated the headers of all.
#[test]
fn the_contents_lead_to_each_operation_which_a_reader_opens() {
    let (table, _, page) = page();
    let (contents, rest) = page.split_once("</nav>").unwrap();
    let (introduction, operations) = rest.split_once("<details class=\"operation").unwrap();
    for entry in table.entries() {
        let link = format!("<a href=\"#{}\">{}</a>", anchor(entry), entry.command());
        let is_routed = entry.rest().route().is_some();
        assert_eq!(contents.contains(&link), is_routed, "{link}");
    }
    for (header, ..) in COMMON_HEADERS {
        let cell = format!("<td><code>{header}</code>");
        assert_eq!(introduction.matches(&cell).count(), 1, "{header}");
        assert!(!operations.contains(&cell), "{header}");
    }
    // An element with an id is inside what it opens, and not the element that is opened.
    assert!(!page.contains("<details id=") && !page.contains("<summary id="));
}

#[test]
fn the_page_has_no_scripts_and_every_link_leads_somewhere() {
    let (_, _, page) = page();
    for refused in ["<script", "style=", "javascript:", " onclick"] {
        assert!(!page.contains(refused), "{refused}");
    }
    let all = |before: &'static str| {
        let parts = page.split(before).skip(1);
        parts.filter_map(|part| part.split('"').next())
    };
    let ids: Vec<&str> = all(" id=\"").collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id is there twice");
    for target in all(" href=\"") {
        let is_known = match target.strip_prefix('#') {
            Some(id) => unique.contains(id),
            // Relative, so that it works behind a proxy that serves the site below a path.
            None => ["docs/style.css", "openapi.json"].contains(&target),
        };
        assert!(is_known, "{target}");
    }
}

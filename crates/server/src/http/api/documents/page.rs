//! The page `/api/v1/docs`: the description of the API for readers, as HTML without scripts.

use countersign_core::engine::rest::BASE;
use countersign_core::engine::{Entry, Table};
use serde_json::Value;

/// The style of the page.
pub(super) const STYLE: &str = include_str!("style.css");

/// Returns the page.
pub(super) fn html(document: &Value, table: &Table) -> String {
    let mut page = Page(String::new());
    page.0.push_str(HEAD);
    page.0.push_str("<nav aria-label=\"Groups\"><ul>");
    for group in groups(table) {
        page.0.push_str("<li><a href=\"#");
        page.text(group);
        page.0.push_str("\">");
        page.text(group);
        page.0.push_str("</a></li>");
    }
    page.0.push_str("</ul></nav>\n<main>\n");
    page.0.push_str(INTRODUCTION);
    for group in groups(table) {
        page.0.push_str("<h2 id=\"");
        page.text(group);
        page.0.push_str("\">");
        page.text(group);
        page.0.push_str("</h2>\n");
        for entry in table.entries().filter(|entry| entry.group() == group) {
            page.operation(document, entry);
        }
    }
    page.0.push_str("</main>\n</body>\n</html>\n");
    page.0
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<title>Countersign API</title>\n\
    <link rel=\"stylesheet\" href=\"/api/v1/docs/style.css\">\n</head>\n<body>\n\
    <header><h1>Countersign API</h1></header>\n";

const INTRODUCTION: &str = "<p>Each path and method is one operation of the site. Send an access \
    token as <code>Authorization: Bearer cst_…</code>. Programs read <a \
    href=\"/api/v1/openapi.json\">openapi.json</a>.</p>\n<p>A refusal is a problem (RFC 9457): \
    <code>application/problem+json</code> with a stable <code>code</code>, the <code>field</code> \
    that is wrong, and a <code>request_id</code>. A list has <code>next</code> if there is another \
    page: send it as <code>after</code>.</p>\n";

/// The groups with an operation that has a route.
fn groups(table: &Table) -> Vec<&'static str> {
    let routed = table
        .entries()
        .filter(|entry| entry.rest().route().is_some());
    let mut groups: Vec<&str> = routed.map(Entry::group).collect();
    groups.dedup();
    groups
}

/// Text of the page. Everything that does not come from this file is escaped.
struct Page(String);

impl Page {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
    }

    fn element(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!("<{name}>"));
        self.text(text);
        self.0.push_str(&format!("</{name}>"));
    }

    fn operation(&mut self, document: &Value, entry: &Entry) {
        let Some(route) = entry.rest().route() else {
            return;
        };
        let method = route.method.as_str();
        let described = document
            .get("paths")
            .and_then(|paths| paths.get(route.path))
            .and_then(|path| path.get(method.to_ascii_lowercase()));
        let Some(described) = described else {
            return;
        };
        self.0.push_str("<section id=\"");
        self.text(&entry.name().replace('.', "_"));
        self.0.push_str("\"><h3><span class=\"method\">");
        self.text(method);
        self.0.push_str("</span> ");
        self.element("code", &format!("{BASE}{}", route.path));
        self.0.push_str("</h3>\n");
        self.element("p", entry.summary());
        self.element("p", text_of(described, "description"));
        self.parameters(described);
        self.example(described);
        self.0.push_str("</section>\n");
    }

    fn parameters(&mut self, described: &Value) {
        let in_url = described.get("parameters").and_then(Value::as_array);
        let rows: Vec<_> = in_url
            .into_iter()
            .flatten()
            .filter(|one| one.get("name").is_some())
            .map(|one| {
                let required = one.get("required") == Some(&Value::Bool(true));
                let schema = one.get("schema").unwrap_or(&Value::Null);
                (text_of(one, "name"), text_of(one, "in"), required, schema)
            })
            .collect();
        let schema = described.pointer("/requestBody/content/application~1json/schema");
        let required = schema.and_then(|schema| schema.get("required"));
        let fields = schema.and_then(|schema| schema.get("properties"));
        let fields = fields.and_then(Value::as_object).into_iter().flatten();
        let in_body = fields.map(|(name, field)| {
            let required = required.and_then(Value::as_array);
            let required = required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
            (name.as_str(), "body", required, field)
        });
        let rows: Vec<_> = rows.into_iter().chain(in_body).collect();
        if rows.is_empty() {
            return;
        }
        self.0.push_str(
            "<table><thead><tr><th scope=\"col\">parameter</th><th scope=\"col\">in</th>\
             <th scope=\"col\">meaning</th></tr></thead><tbody>\n",
        );
        for (name, place, required, schema) in rows {
            self.0.push_str("<tr><td>");
            self.element("code", name);
            if !required {
                self.0.push_str(" <span class=\"optional\">optional</span>");
            }
            self.0.push_str("</td>");
            self.element("td", place);
            self.element("td", text_of(schema, "description"));
            self.0.push_str("</tr>\n");
        }
        self.0.push_str("</tbody></table>\n");
    }

    fn example(&mut self, described: &Value) {
        let example = described.pointer("/requestBody/content/application~1json/example");
        let example = example.and_then(|one| serde_json::to_string_pretty(one).ok());
        if let Some(example) = example.filter(|text| text != "{}") {
            self.0.push_str("<pre>");
            self.element("code", &example);
            self.0.push_str("</pre>\n");
        }
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use countersign_core::engine::rest::document;
    use countersign_core::operations;

    use super::*;

    #[test]
    fn the_page_has_each_operation_with_a_route_and_no_scripts() {
        let table = operations::table().unwrap();
        let page = html(&document(&table), &table);
        for entry in table
            .entries()
            .filter(|entry| entry.rest().route().is_some())
        {
            let id = format!("<section id=\"{}\">", entry.name().replace('.', "_"));
            assert!(page.contains(&id), "{id}");
        }
        for refused in ["<script", "style=", "javascript:", " onclick"] {
            assert!(!page.contains(refused), "{refused}");
        }
    }

    #[test]
    fn text_of_an_operation_is_escaped() {
        let mut page = Page(String::new());
        page.text("<a href=\"x\">&'");
        assert_eq!(page.0, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}

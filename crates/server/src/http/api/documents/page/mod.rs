//! The page `/api/v1/docs`: the description of the API for readers, as HTML without scripts. All its links
//! are relative, so that it works below any path.

mod fields;
mod markup;

use countersign_core::engine::{Entry, Table};
use serde_json::Value;

use self::fields::Field;
use self::markup::Markup;

/// The style of the page.
pub(super) const STYLE: &str = include_str!("../style.css");

/// Returns the page.
pub(super) fn html(document: &Value, table: &Table) -> String {
    let mut page = Page {
        document,
        markup: Markup::default(),
    };
    page.whole(table);
    page.markup.0
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <title>Countersign API</title>\n\
    <link rel=\"stylesheet\" href=\"docs/style.css\">\n</head>\n<body>\n";

const INTRODUCTION: &str = "<h1>Countersign API</h1>\n<p>Each path and method is one operation of the \
    site. Paths begin after <code>/api/v1</code>. Programs read <a \
    href=\"openapi.json\">openapi.json</a>, an OpenAPI 3.1 document.</p>\n\
    <h2 id=\"requests\">Requests</h2>\n\
    <p>Send an access token as <code>Authorization: Bearer cst_…</code>; a service can sign its \
    requests instead (RFC 9421), and a device uses its key in the TLS handshake. Parameters are in \
    the path, in the query, or in a JSON object as the body. A list in a query is repeated: \
    <code>names=a&amp;names=b</code>.</p>\n\
    <p>A list has <code>next</code> if there is another page: send it as <code>after</code>.</p>\n\
    <pre tabindex=\"0\"><code>curl --header @head.txt \"$SITE/api/v1/persons?limit=10\"</code></pre>\n\
    <p>The file <code>head.txt</code> has the line <code>Authorization: Bearer cst_…</code>. Other users \
    of a machine see the arguments of its programs, and would see a token among them.</p>\n";

const REFUSALS: &str = "<h2 id=\"refusals\">Refusals</h2>\n\
    <p>A refused request had no effect. Its response is a problem (RFC 9457), \
    <code>application/problem+json</code>, with a stable <code>code</code>, the <code>field</code> \
    that is wrong, and a <code>request_id</code>.</p>\n";

/// The headers of many operations, and where the document describes them. The page describes them once.
const COMMON_HEADERS: [(&str, &str, &str); 3] = [
    (
        "Idempotency-Key",
        "each request that changes something",
        "/components/parameters/IdempotencyKey",
    ),
    (
        "Idempotency-Replayed",
        "its response",
        "/components/headers/IdempotencyReplayed",
    ),
    (
        "Request-Id",
        "each response",
        "/components/headers/RequestId",
    ),
];

fn is_common(header: &str) -> bool {
    COMMON_HEADERS.iter().any(|(name, ..)| *name == header)
}

/// The operations that have a route.
fn routed(table: &Table) -> impl Iterator<Item = &Entry> {
    table
        .entries()
        .filter(|entry| entry.rest().route().is_some())
}

/// The groups with an operation that has a route.
fn groups(table: &Table) -> Vec<&'static str> {
    let mut groups: Vec<&str> = routed(table).map(Entry::group).collect();
    groups.dedup();
    groups
}

/// The id of an operation on the page.
fn anchor(entry: &Entry) -> String {
    entry.name().replace('.', "_")
}

struct Page<'a> {
    document: &'a Value,
    markup: Markup,
}

impl<'a> Page<'a> {
    fn whole(&mut self, table: &Table) {
        let groups = groups(table);
        self.markup.html(HEAD);
        self.navigation(&groups, table);
        self.markup.html("<main>\n");
        self.markup.html(INTRODUCTION);
        self.common_headers();
        self.markup.html(REFUSALS);
        self.statuses();
        for group in groups {
            self.markup.with_id("h2", group, |page| page.text(group));
            for entry in routed(table).filter(|entry| entry.group() == group) {
                self.operation(entry);
            }
        }
        self.types();
        self.markup.html("</main>\n</body>\n</html>\n");
    }

    /// Links to the parts of the page and, below each group, to its operations.
    fn navigation(&mut self, groups: &[&str], table: &Table) {
        self.markup.html("<nav aria-label=\"Contents\"><ul>");
        for id in ["requests", "refusals"] {
            self.markup.html("<li>");
            self.markup.link(id, id);
            self.markup.html("</li>");
        }
        for group in groups {
            self.markup.html("<li>");
            self.markup.link(group, group);
            self.markup.html("<ul>");
            for entry in routed(table).filter(|entry| entry.group() == *group) {
                self.markup.html("<li>");
                self.markup.link(&anchor(entry), entry.command());
                self.markup.html("</li>");
            }
            self.markup.html("</ul></li>");
        }
        self.markup.html("<li>");
        self.markup.link("types", "types");
        self.markup.html("</li>");
        self.markup.html("</ul></nav>\n");
    }

    fn common_headers(&mut self) {
        let document = self.document;
        self.markup.table(&["header", "of", "meaning"], |page| {
            for (name, of, pointer) in COMMON_HEADERS {
                let header = document.pointer(pointer).unwrap_or(&Value::Null);
                page.html("<tr><td>");
                page.element("code", name);
                page.html("</td>");
                page.element("td", of);
                page.html("<td>");
                page.prose(text_of(header, "description"));
                page.html("</td></tr>\n");
            }
        });
    }

    /// What each status of a refusal means.
    fn statuses(&mut self) {
        let document = self.document;
        let responses = document.pointer("/components/responses");
        let responses = responses.and_then(Value::as_object).into_iter().flatten();
        let mut all: Vec<(u64, &Value)> = responses
            .filter_map(|(_, response)| {
                let example = problem_of(response)?;
                Some((example.get("status")?.as_u64()?, response))
            })
            .collect();
        all.sort_by_key(|(status, _)| *status);
        self.markup.table(&["status", "meaning"], |page| {
            for (status, response) in &all {
                page.with_id("tr", &format!("status-{status}"), |page| {
                    page.element("td", &status.to_string());
                    page.html("<td>");
                    page.prose(text_of(response, "description"));
                    page.html("</td>");
                });
            }
        });
        let example = all.iter().find(|(status, _)| *status == 404);
        let example = example.and_then(|(_, response)| problem_of(response));
        self.example("A problem", example);
    }

    fn operation(&mut self, entry: &Entry) {
        let Some(route) = entry.rest().route() else {
            return;
        };
        let method = route.method.as_str();
        let described = self
            .document
            .get("paths")
            .and_then(|paths| paths.get(route.path))
            .and_then(|path| path.get(method.to_ascii_lowercase()));
        let Some(described) = described else {
            return;
        };
        // A link to an element in it opens it.
        self.markup
            .html("<details class=\"operation\"><summary><h3><span class=\"method ");
        self.markup.text(&method.to_ascii_lowercase());
        self.markup.html("\">");
        self.markup.text(method);
        self.markup.html("</span> ");
        self.markup.element("code", route.path);
        self.markup.html("</h3> <span class=\"purpose\">");
        self.markup.prose(entry.summary());
        self.markup.html("</span></summary>\n");
        self.markup.with_id("div", &anchor(entry), |page| {
            page.html("<p class=\"roles\">");
            page.prose(text_of(described, "description"));
            page.html("</p>\n");
        });
        self.request(described);
        self.responses(described);
        self.markup.html("</details>\n");
    }

    fn request(&mut self, described: &'a Value) {
        let parameters = described.get("parameters").and_then(Value::as_array);
        let mut all: Vec<Field<'_>> = Vec::new();
        for parameter in parameters.into_iter().flatten() {
            let parameter = self.resolved(parameter);
            if is_common(text_of(parameter, "name")) {
                continue;
            }
            let schema = parameter.get("schema").unwrap_or(&Value::Null);
            let own = text_of(parameter, "description");
            all.push(Field {
                name: text_of(parameter, "name").to_owned(),
                place: Some(text_of(parameter, "in")),
                required: parameter.get("required") == Some(&Value::Bool(true)),
                schema,
                meaning: match own.is_empty() {
                    true => text_of(schema, "description"),
                    false => own,
                },
            });
        }
        let body = described.pointer("/requestBody/content/application~1json");
        let schema = body.and_then(|body| body.get("schema"));
        let in_body = schema.map(|schema| fields::fields(schema, Some("body")));
        all.extend(in_body.into_iter().flatten());
        if !all.is_empty() {
            fields::table(&mut self.markup, "parameter", &all);
        }
        if described
            .pointer("/requestBody/content/application~1octet-stream")
            .is_some()
        {
            self.markup
                .html("<p>The body is content: bytes of any length.</p>\n");
        }
        let example = body.and_then(|body| body.get("example"));
        self.example(
            "Example of a body",
            example.filter(|example| example.as_object().is_some_and(|all| !all.is_empty())),
        );
    }

    fn responses(&mut self, described: &'a Value) {
        let responses = described.get("responses").and_then(Value::as_object);
        let mut refusals = Vec::new();
        for (status, response) in responses.into_iter().flatten() {
            match status.starts_with('2') {
                true => self.success(status, response),
                false => refusals.push(status),
            }
        }
        self.markup.html("<p class=\"refusals\">Refusals: ");
        for (index, status) in refusals.into_iter().enumerate() {
            if index > 0 {
                self.markup.text(" ");
            }
            self.markup.link(&format!("status-{status}"), status);
        }
        self.markup.html("</p>\n");
    }

    fn success(&mut self, status: &str, response: &'a Value) {
        self.markup.html("<h4>");
        self.markup.text(&format!("Response {status}"));
        let contents = response.get("content").and_then(Value::as_object);
        for kind in contents.into_iter().flatten().map(|(kind, _)| kind) {
            self.markup.text(" ");
            self.markup.element("code", kind);
        }
        self.markup.html("</h4>\n");
        self.headers(response);
        for (kind, content) in contents.into_iter().flatten() {
            let schema = content.get("schema").map(|schema| self.resolved(schema));
            let all = schema.map(|schema| fields::fields(schema, None));
            let all = all.unwrap_or_default();
            match (kind.as_str(), all.is_empty()) {
                ("application/json", true) => self.markup.html("<p>An empty object.</p>\n"),
                (_, true) => {}
                (_, false) => fields::table(&mut self.markup, "field", &all),
            }
            let title = match kind.as_str() {
                "text/event-stream" => "Example of an event stream",
                _ => "Example of a result",
            };
            let example = content.get("example").filter(|_| !all.is_empty());
            let stream = content.get("example").filter(|one| one.is_string());
            self.example(title, example.or(stream));
        }
    }

    fn headers(&mut self, response: &'a Value) {
        let headers = response.get("headers").and_then(Value::as_object);
        let own = headers.into_iter().flatten();
        let all: Vec<_> = own
            .filter(|(name, _)| !is_common(name))
            .map(|(name, header)| (name, self.resolved(header)))
            .collect();
        if all.is_empty() {
            return;
        }
        self.markup.table(&["header", "meaning"], |page| {
            for (name, header) in all {
                page.html("<tr><td>");
                page.element("code", name);
                page.html("</td><td>");
                page.prose(text_of(header, "description"));
                page.html("</td></tr>\n");
            }
        });
    }

    /// The definitions that tables refer to.
    fn types(&mut self) {
        let schemas = self.document.pointer("/components/schemas");
        self.markup
            .with_id("h2", "types", |page| page.text("types"));
        for (name, schema) in schemas.and_then(Value::as_object).into_iter().flatten() {
            let markup = &mut self.markup;
            markup.html("<details><summary><h3>");
            markup.element("code", name);
            markup.html("</h3></summary>\n");
            markup.with_id("p", &format!("type-{name}"), |page| {
                page.prose(text_of(schema, "description"));
            });
            let all = fields::fields(schema, None);
            match all.is_empty() {
                false => fields::table(markup, "field", &all),
                true => choices(markup, schema),
            }
            markup.html("</details>\n");
        }
    }

    fn example(&mut self, title: &str, example: Option<&Value>) {
        let text = match example {
            Some(Value::String(text)) => text.trim_end().to_owned(),
            Some(other) => serde_json::to_string_pretty(other).unwrap_or_default(),
            None => return,
        };
        self.markup.example(title, &text);
    }

    /// What a reference of the document leads to.
    fn resolved(&self, value: &'a Value) -> &'a Value {
        let reference = value.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| reference.strip_prefix('#'));
        let found = target.and_then(|pointer| self.document.pointer(pointer));
        found.unwrap_or(value)
    }
}

/// The alternatives of a definition, with what each means.
fn choices(page: &mut Markup, schema: &Value) {
    let choices = ["oneOf", "anyOf"]
        .into_iter()
        .find_map(|key| schema.get(key).and_then(Value::as_array));
    let Some(choices) = choices else {
        page.html("<p>");
        fields::kind(page, schema);
        return page.html("</p>\n");
    };
    page.table(&["value", "meaning"], |page| {
        for choice in choices {
            page.html("<tr><td>");
            let all = fields::fields(choice, None);
            match all.is_empty() {
                true => fields::kind(page, choice),
                false => {
                    for field in &all {
                        page.element("code", &field.name);
                        page.text(": ");
                        fields::kind(page, field.schema);
                        page.html("<br>");
                    }
                }
            }
            page.html("</td><td>");
            page.prose(text_of(choice, "description"));
            page.html("</td></tr>\n");
        }
    });
}

/// The example of a response that is a problem.
fn problem_of(response: &Value) -> Option<&Value> {
    response.pointer("/content/application~1problem+json/example")
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Formats lists as text: a row for each entry, in columns two spaces apart.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use crate::{escape, hint};

/// The rows of a list and below them its damaged entries, with the texts of the site's alarms changed by `reword`. `None` if
/// there are none, and for data that is not a list or an unknown one.
pub(super) fn of(operation: &str, data: &str, reword: &dyn Fn(&str) -> String) -> Option<String> {
    let data: Value = serde_json::from_str(data).ok()?;
    let list = |name: &str| data.get(name).and_then(Value::as_array);
    let rows = match operation {
        "app show" => application(&data),
        _ => list("entries")
            .or_else(|| list("operations"))?
            .iter()
            .map(|entry| row(operation, entry, reword))
            .collect::<Option<Vec<_>>>()?,
    };
    let mut lines = in_columns(rows);
    lines.extend(list("damaged").into_iter().flatten().map(|damaged| {
        let named = ["name", "id", "site", "zone"].into_iter();
        let named: Vec<_> = named.filter_map(|name| cell(damaged, name)).collect();
        let problem = cell(damaged, "problem").unwrap_or_default();
        format!("{}  damaged: {problem}", named.join("  "))
    }));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The cells of an entry.
fn row(operation: &str, entry: &Value, reword: &dyn Fn(&str) -> String) -> Option<Vec<String>> {
    let of = |field: &str| cell(entry, field).unwrap_or_default();
    Some(match operation {
        "person list" | "service list" => {
            vec![of("name"), of("role"), state(entry), of("full_name")]
        }
        "alarm list" => vec![
            of("id"),
            of("severity"),
            of("state"),
            of("to"),
            counted(&of("count"), "time"),
            of("last"),
            of("raised_by"),
            hint::alarm_text(&of("raised_by"), &of("text"), reword),
        ],
        "alarm deliveries" => vec![
            of("id"),
            of("to"),
            of("channel"),
            of("about"),
            of("severity"),
            of("state"),
            format!("due {}", of("due")),
            of("last_error"),
        ],
        "app list" => vec![
            of("id"),
            of("edition"),
            state(entry),
            counted(&of("keys"), "key"),
        ],
        "audit list" => vec![
            of("seq"),
            of("time"),
            of("actor"),
            of("operation"),
            cell(entry, "target").unwrap_or_else(|| "-".to_owned()),
            of("outcome"),
        ],
        "device list" => {
            let seen = match (entry.get("connected"), cell(entry, "last_seen")) {
                (Some(Value::Bool(true)), _) => "connected".to_owned(),
                (_, Some(seen)) => format!("last seen {seen}"),
                (_, None) => "never connected".to_owned(),
            };
            vec![of("id"), of("person"), of("name"), seen]
        }
        "ticket list" => {
            let expires = format!("expires {}", of("expires"));
            let state = match of("why").as_str() {
                "there_is_an_admin" => "revoked, since there is an admin".to_owned(),
                _ => of("state"),
            };
            vec![of("id"), of("person"), of("kind"), state, expires]
        }
        "peer list" => vec![of("site"), of("zone"), state(entry), of("address")],
        "peer inbox" => vec![of("id"), of("received"), of("from"), of("text")],
        "peer outbox" => vec![of("id"), of("to"), of("state"), of("why")],
        "key list" => vec![of("thumbprint"), of("added"), of("label")],
        "token list" => {
            let expires = match entry.get("expired") {
                Some(Value::Bool(true)) => format!("expired {}", of("expires")),
                _ => format!("expires {}", of("expires")),
            };
            let used = cell(entry, "last_used").map(|used| format!("used {used}"));
            vec![
                of("id"),
                of("account"),
                expires,
                used.unwrap_or_else(|| "never used".to_owned()),
                counted(&of("operations"), "operation"),
                of("label"),
            ]
        }
        "operation list" => vec![format!("{} {}", of("group"), of("command")), of("summary")],
        "penalty list" => {
            let until = cell(entry, "until").map(|until| format!("rejected until {until}"));
            vec![
                of("source"),
                counted(&of("points"), "point"),
                until.unwrap_or_default(),
            ]
        }
        "session list" => vec![
            of("id"),
            of("name"),
            of("option"),
            of("address"),
            of("opened"),
        ],
        _ => return None,
    })
}

/// The state of an account, an application or a peer. One in lockdown is refused, whatever its own state is; a
/// removed peer is what an admin wanted.
fn state(entry: &Value) -> String {
    let own = cell(entry, "state").unwrap_or_default();
    match entry.get("lockdown") {
        Some(Value::Object(_)) if own != "removed" => "lockdown".to_owned(),
        _ => own,
    }
}

/// A number with what it counts.
pub(crate) fn counted(number: &str, what: &str) -> String {
    match number {
        "1" => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The rows of one application.
fn application(data: &Value) -> Vec<Vec<String>> {
    let of = |field: &str| cell(data, field).unwrap_or_default();
    let each = |field: &str| {
        data.get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    // The key beside it is long.
    let edition = format!("{}  {}", of("edition"), state(data));
    let mut rows = vec![vec![of("id"), edition]];
    if let Some(lockdown) = data.get("lockdown") {
        let of = |field: &str| cell(lockdown, field).unwrap_or_default();
        let reason = match of("reason").as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let by = format!("since {}  by {}{reason}", of("since"), of("by"));
        rows.push(vec!["lockdown".to_owned(), by]);
    }
    rows.extend(each("keys").map(|key| {
        let until = cell(key, "retires").map(|retires| format!("until {retires}"));
        let fingerprint = cell(key, "fingerprint").unwrap_or_default();
        vec!["key".to_owned(), fingerprint, until.unwrap_or_default()]
    }));
    let named = |label: &str, name: Option<String>| Some(vec![label.to_owned(), name?]);
    rows.extend(each("groups").filter_map(|group| named("in group", text(group))));
    rows.extend(each("may_call").filter_map(|callee| {
        named("may call", cell(callee, "app"))
            .or_else(|| named("may call group", cell(callee, "group")))
    }));
    rows.extend(named("service", cell(data, "service")));
    rows
}

/// The text of a field, without line ends; for a list the number of its items.
fn cell(entry: &Value, field: &str) -> Option<String> {
    text(entry.get(field)?)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(escape::line(text)),
        Value::Array(several) => Some(several.len().to_string()),
        other => Some(other.to_string()),
    }
}

fn in_columns(rows: Vec<Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(operation: &str, data: &str) -> Option<String> {
        super::of(operation, data, &str::to_owned)
    }

    fn person(name: &str, role: &str, full_name: &str) -> Value {
        json!({ "name": name, "role": role, "state": "active", "full_name": full_name, "email": "" })
    }

    #[test]
    fn cells_of_a_column_are_aligned() {
        let entries = [
            person("ada@local", "admin", "Ada  L"),
            person("zoë@local", "member", ""),
            person("山田@local", "admin", "Yamada"),
        ];
        let shown = of("person list", &json!({ "entries": entries }).to_string());
        let expected = "ada@local   admin   active  Ada  L\n\
                        zoë@local   member  active\n\
                        山田@local  admin   active  Yamada";
        assert_eq!(shown.as_deref(), Some(expected));
    }

    /// A person, a service or an application in lockdown was called active.
    #[test]
    fn what_is_in_lockdown_has_that_state() {
        let lockdown =
            json!({ "since": "2026-02-01T12:00:00.000Z", "by": "root", "reason": "stolen" });
        let mut ada = person("ada@local", "admin", "");
        ada["lockdown"] = lockdown.clone();
        let list = json!({ "entries": [ada, person("bob@local", "admin", "")] });
        let shown = of("person list", &list.to_string()).unwrap();
        assert_eq!(
            shown,
            "ada@local  admin  lockdown\nbob@local  admin  active"
        );
        let app = json!({
            "id": "shop", "edition": "v2", "state": "active", "lockdown": lockdown, "keys": [],
        });
        let shown = of("app show", &app.to_string()).unwrap();
        let expected = "shop      v2  lockdown\n\
                        lockdown  since 2026-02-01T12:00:00.000Z  by root: stolen";
        assert_eq!(shown, expected);
        let peer = json!({
            "site": "s", "zone": "b.example", "state": "removed", "address": "a", "lockdown": lockdown,
        });
        let shown = of("peer list", &json!({ "entries": [peer] }).to_string()).unwrap();
        assert!(shown.contains("removed"), "an admin wanted that: {shown}");
    }

    #[test]
    fn damaged_entries_are_below_the_list() {
        let list = json!({
            "entries": [person("ada@local", "admin", "")],
            "damaged": [{ "name": "b\u{1b}ob", "problem": "no such role" }],
        });
        let shown = of("person list", &list.to_string()).unwrap();
        let expected = "ada@local  admin  active\nb\\u{1b}ob  damaged: no such role";
        assert_eq!(shown, expected);
        let all =
            json!({ "entries": [], "damaged": [{ "id": "shop", "problem": "no such state" }] });
        let shown = of("app list", &all.to_string());
        assert_eq!(shown.as_deref(), Some("shop  damaged: no such state"));
        let peer = json!({ "site": "s", "zone": "b.example", "problem": "no such key" });
        let all = json!({ "entries": [], "damaged": [peer] });
        let shown = of("peer list", &all.to_string());
        assert_eq!(shown.as_deref(), Some("s  b.example  damaged: no such key"));
    }

    /// `token list` printed JSON as soon as there was a token. A list that this program knows no columns of is
    /// shown with the text of the site.
    #[test]
    fn tokens_have_a_line_each() {
        let token = json!({
            "id": "019523d0", "account": "mailer@local", "label": "queue",
            "operations": ["alarm.raise"], "expires": "2026-03-01T12:00:00.000Z", "expired": false,
        });
        let mut used = token.clone();
        used["last_used"] = "2026-02-01T12:00:00.000Z".into();
        used["expired"] = true.into();
        used["operations"] = json!(["a.b", "c.d"]);
        let shown = of(
            "token list",
            &json!({ "entries": [token, used] }).to_string(),
        )
        .unwrap();
        let words: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                    .collect()
            })
            .collect();
        let expires = [
            "expires 2026-03-01T12:00:00.000Z",
            "never used",
            "1 operation",
        ];
        let expired = [
            "expired 2026-03-01T12:00:00.000Z",
            "used 2026-02-01T12:00:00.000Z",
            "2 operations",
        ];
        for (words, middle) in words.iter().zip([expires, expired]) {
            let [first, last] = [&["019523d0", "mailer@local"][..], &["queue"]];
            assert_eq!(*words, [first, &middle, last].concat());
        }
    }

    /// A name with a line end looked like two entries.
    #[test]
    fn an_entry_is_one_line_whatever_it_contains() {
        let list = json!({ "entries": [person("ada@local", "admin", "Ada\neve@local  admin")] });
        let shown = of("person list", &list.to_string()).unwrap();
        assert_eq!(shown, "ada@local  admin  active  Ada\\neve@local  admin");
    }

    #[test]
    fn data_that_is_not_a_known_list_has_no_table() {
        let list = json!({ "entries": [{ "name": "a" }] }).to_string();
        assert_eq!(of("greeting list", &list), None);
        assert_eq!(of("person list", r#"{"entries":[]}"#), None);
        assert_eq!(of("person list", "{}"), None);
        assert_eq!(of("person list", "no JSON"), None);
    }
}

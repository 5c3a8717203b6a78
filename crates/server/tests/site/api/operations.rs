//! Every operation over HTTP.

use countersign_core::access::Role;
use countersign_core::access_tokens::MAX_OPERATIONS_PER_TOKEN;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::engine::rest::RestMethod;
use countersign_core::engine::{Answer, Entry};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{ServedSite, TestSite};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::client::Program;

/// The operations that an admin can call over HTTP.
fn names(served: &ServedSite) -> Vec<String> {
    let offered = served.site.table().entries().filter(|entry| {
        let access = entry.access();
        let roles = [access.roles(), access.own_roles()];
        entry.rest().route().is_some() && roles.iter().any(|roles| roles.contains(&Role::Admin))
    });
    offered.map(|entry| entry.name().to_owned()).collect()
}

/// A program of the admin `maria` whose token names the operations of these groups.
async fn admin<'a>(served: &'a ServedSite, groups: &[&str]) -> Program<'a> {
    let names = names(served).into_iter();
    let named = names.filter(|name| groups.iter().any(|group| name.starts_with(group)));
    let named: Vec<String> = named.collect();
    Program::maria(served, &served.maria().await, &named).await
}

#[tokio::test]
async fn a_person_is_created_read_changed_and_deleted() {
    let served = TestSite::builder().maria().serve().await;
    let admin = admin(&served, &["person."]).await;
    let created = admin
        .call("POST", "/persons", r#"{"name":"bob","full_name":"Bob"}"#)
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.field("location"), "/api/v1/persons/bob@example.org");
    assert_eq!(created.field("cache-control"), "no-store");
    let shown = admin.call("GET", "/persons/bob@example.org", "").await;
    assert_eq!(
        (shown.status, &shown.json()["full_name"]),
        (200, &json!("Bob"))
    );
    let same = served.admin("person.show", json!({ "name": "bob" })).await;
    assert_eq!(shown.json(), same);
    let head = admin.call("HEAD", "/persons/bob", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.field("content-length"), shown.body.len().to_string());
    let changed = admin
        .call("PATCH", "/persons/bob", r#"{"full_name":"Robert"}"#)
        .await;
    assert_eq!(
        (changed.status, &changed.json()["full_name"]),
        (200, &json!("Robert"))
    );
    assert_eq!(
        admin.call("POST", "/persons/bob/lock", "").await.status,
        200
    );
    let listed = admin.call("GET", "/persons?limit=1", "").await.json();
    assert_eq!(listed["entries"][0]["state"], "locked");
    let after = format!("/persons?after={}", listed["next"].as_str().unwrap());
    let further = admin.call("GET", &after, "").await.json();
    assert_eq!(further["entries"][0]["name"], "maria@example.org");
    assert_eq!(admin.call("DELETE", "/persons/bob", "").await.status, 200);
    let gone = admin.call("GET", "/persons/bob", "").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
    assert_eq!(gone.json()["field"], "name");
}

#[tokio::test]
async fn a_refusal_has_the_status_and_code_of_its_kind() {
    let served = TestSite::builder().maria().serve().await;
    let admin = admin(&served, &["person."]).await;
    let cases = [
        (
            "POST",
            "/persons",
            r#"{"name":"maria"}"#,
            409,
            "conflict",
            "name",
        ),
        (
            "POST",
            "/persons",
            r#"{"name":"no spaces"}"#,
            400,
            "invalid_params",
            "name",
        ),
        (
            "POST",
            "/persons",
            r#"{"nmae":"x"}"#,
            400,
            "invalid_params",
            "nmae",
        ),
        ("POST", "/persons", "{}", 400, "invalid_params", "name"),
        ("POST", "/persons", "[]", 400, "invalid_params", ""),
        ("POST", "/persons", "{", 400, "invalid_params", ""),
        (
            "GET",
            "/persons?limit=ten",
            "",
            400,
            "invalid_params",
            "limit",
        ),
        (
            "GET",
            "/persons?limit=10&limit=11",
            "",
            400,
            "invalid_params",
            "limit",
        ),
        (
            "GET",
            "/persons?unknown=1",
            "",
            400,
            "invalid_params",
            "unknown",
        ),
        ("GET", "/persons/unknown", "", 404, "not_found", "name"),
        (
            "PATCH",
            "/persons/maria",
            r#"{"name":"bob"}"#,
            400,
            "invalid_params",
            "name",
        ),
        (
            "GET",
            "/persons/..%2f..%2fetc",
            "",
            400,
            "invalid_params",
            "name",
        ),
        ("GET", "/broker", "", 403, "not_permitted", ""),
    ];
    for (method, path, body, status, code, field) in cases {
        let reply = admin.call(method, path, body).await;
        let found = (reply.status, reply.code());
        assert_eq!(
            found,
            (status, code.to_owned()),
            "{method} {path} {body}: {reply:?}"
        );
        assert_eq!(
            reply.json()["field"].as_str().unwrap_or_default(),
            field,
            "{reply:?}"
        );
    }
}

/// A token could read the configuration and the preferences only with the right to change them.
#[tokio::test]
async fn preferences_and_configuration_are_read_without_the_right_to_change_them() {
    let served = TestSite::builder().maria().serve().await;
    let names = ["site.config_show", "alarm.preferences_show"].map(str::to_owned);
    let admin = Program::maria(&served, &served.maria().await, &names).await;
    for (path, operation, params) in [
        ("/site/config", "site.config", json!({})),
        (
            "/alarm-preferences?person=maria",
            "alarm.preferences",
            json!({ "person": "maria" }),
        ),
    ] {
        let shown = admin.call("GET", path, "").await;
        assert_eq!(shown.status, 200, "{shown:?}");
        assert_eq!(shown.json(), served.admin(operation, params).await);
        let path = path.split('?').next().unwrap();
        let refused = admin.call("PATCH", path, "{}").await;
        assert_eq!(refused.status, 403, "{refused:?}");
    }
}

/// An operation over HTTP and over a session, with the same parameters: same result, same refusal.
/// The parameters are the examples, and the same ones with an unknown field.
#[tokio::test]
async fn every_operation_has_the_same_result_and_refusal_as_over_a_session() {
    let served = TestSite::builder().maria().serve().await;
    let session = served.maria().await;
    let all = names(&served);
    let mut programs = Vec::new();
    for names in all.chunks(MAX_OPERATIONS_PER_TOKEN) {
        programs.push((names, Program::maria(&served, &session, names).await));
    }
    let mut compared = 0;
    for entry in served.site.table().entries() {
        let Some(route) = entry.rest().route() else {
            continue;
        };
        let program = programs
            .iter()
            .find(|(names, _)| names.iter().any(|name| name == entry.name()));
        let Some((_, program)) = program else {
            continue;
        };
        // Reading changes nothing, so that the order does not matter; a refusal changes nothing either.
        let reads = route.method == RestMethod::Get && !entry.gives_content();
        let unknown = {
            let mut params = entry.example().clone();
            params["no_such_field"] = json!(1);
            params
        };
        let given = if reads {
            vec![entry.example().clone(), unknown]
        } else {
            vec![unknown]
        };
        for params in given {
            let (path, query, body) = parts(route.path, route.method, &params);
            let path = format!("{path}{query}");
            let http = program.call(route.method.as_str(), &path, &body).await;
            let params = to_raw_value(&params).unwrap();
            let result = session
                .outcome(entry.group(), entry.command(), params)
                .await
                .unwrap();
            let data: Value = serde_json::from_str(result.data.get()).unwrap();
            let name = entry.name();
            if result.code != Code::SUCCESS {
                assert_eq!(
                    http.code(),
                    data["code"].as_str().unwrap(),
                    "{name}: {http:?} {data}"
                );
                assert_eq!(
                    http.json()["field"],
                    data["field"],
                    "{name}: {http:?} {data}"
                );
            } else {
                assert_eq!(http.status, 200, "{name}: {http:?}");
                let (over_http, over_session) = (stable(http.json()), stable(data));
                let same = name == "operation.list" || over_http == over_session;
                assert!(same, "{name}: {over_http} {over_session}");
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// A result without what changes from call to call: times, and counts of entries and sessions.
fn stable(mut data: Value) -> Value {
    let volatile = [
        "sessions",
        "audit_entries",
        "last_used",
        // The session that `self show` shows.
        "session",
        "expires",
    ];
    match &mut data {
        Value::Object(fields) => {
            fields.retain(|name, _| !volatile.contains(&name.as_str()));
            for value in fields.values_mut() {
                *value = stable(value.take());
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = stable(item.take())),
        _ => {}
    }
    data
}

/// Divides parameters among path, query and body.
fn parts(path: &str, method: RestMethod, params: &Value) -> (String, String, String) {
    let mut left = params.as_object().unwrap().clone();
    let segments = path.split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) => match left.remove(name) {
                Some(Value::String(text)) => text.replace(' ', "%20").replace('/', "%2F"),
                Some(other) => other.to_string(),
                None => "x".to_owned(),
            },
            None => segment.to_owned(),
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    if method.has_body() {
        return (path, String::new(), Value::Object(left).to_string());
    }
    let pairs = left.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    let query = pairs.collect::<Vec<_>>().join("&");
    (path, format!("?{query}"), String::new())
}

fn echo() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Echo {
        /// Whether the content of the result breaks.
        #[serde(default)]
        breaks: bool,
    }
    Entry::new("echo", "content")
        .summary("Returns its content.")
        .allow(&Role::ALL)
        .takes_content()
        .gives_content()
        .rest(RestMethod::Post, "/echo")
        .handler(|context, params: Echo| async move {
            let content = context.content()?;
            let broken = ContentBroken("a test".to_owned());
            let content = match params.breaks {
                true => Content::new(futures_util::stream::iter([Ok(vec![7; 10]), Err(broken)])),
                false => content,
            };
            Ok(Answer::new(()).with(content))
        })
}

#[tokio::test]
async fn content_is_the_body_in_both_directions() {
    let served = TestSite::builder()
        .operations(|| vec![echo()])
        .serve()
        .await;
    let robot = Program::robot(&served, &["echo.content"]).await;
    let text = "0123456789".repeat(20_000);
    let echoed = robot.call("POST", "/echo", &text).await;
    assert_eq!(
        (echoed.status, echoed.field("content-type").as_str()),
        (200, "application/octet-stream")
    );
    assert!(echoed.body.len() > text.len(), "chunked");
    let digits: usize = echoed.body.matches("0123456789").count();
    assert!(digits > 19_000, "{digits}");
    // Content that breaks ends the connection before the last chunk.
    let broken = robot.call("POST", "/echo?breaks=true", &text).await;
    // The head may not have been sent by then.
    assert!([0, 200].contains(&broken.status), "{broken:?}");
    assert!(!broken.body.ends_with("0\r\n\r\n"), "{broken:?}");
}

//! Every operation over HTTP and over a session, with the same parameters: the same results and the same
//! refusals.

use countersign_client::Client;
use countersign_core::access::Role;
use countersign_core::access_tokens::MAX_OPERATIONS_PER_TOKEN;
use countersign_core::engine::Entry;
use countersign_core::engine::rest::RestMethod;
use countersign_proto::operation::Code;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::harness::tour::{OF_SERVICES, Tour, steps};
use countersign_testkit::harness::{PASSPHRASE, ServedSite, TestSite};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::client::{Program, Reply};
use super::same::Comparison;

/// The hint for parameters in a wrong form, in a session and over HTTP.
const OPERATION_LIST: &str = "`operation list` shows the parameters of every operation";
const DOCS: &str = "/api/v1/docs describes the parameters of each path";

/// The fields of results that differ between the channels, or between two sites, each with the reason.
const EXCEPTIONS: [(&str, &str, &str); 15] = [
    (
        "self.show",
        "session",
        "it shows the session that it arrived on",
    ),
    ("self.show", "expires", "it shows when that session ends"),
    ("lockdown.", "channel", "it is the channel of the operation"),
    ("audit.list", "seq", "the use of a token is audited"),
    (
        "audit.list",
        "channel",
        "it is the channel of the operation",
    ),
    ("audit.list", "details", "they name the access token"),
    ("audit.list", "earlier", "the use of a token is audited"),
    ("audit.verify", "entries", "the use of a token is audited"),
    ("audit.verify", "signed", "the use of a token is audited"),
    (
        "site.status",
        "audit_entries",
        "the use of a token is audited",
    ),
    (
        "operation.list",
        "operations",
        "it shows what the token permits",
    ),
    (
        "site.doctor",
        "message",
        "it names the free space and the open files at the moment",
    ),
    ("alarm.list", "deliveries", WORKER),
    ("alarm.retry", "retried", WORKER),
    ("alarm.deliveries", "entries", WORKER),
];
const WORKER: &str = "the worker of the server delivers meanwhile";

/// Unknown names of each kind. No example has one of them.
const UNKNOWN_ID: &str = "019523d0-5c00-7000-8000-ffffffffffff";

/// A caller over both channels.
pub(super) struct Both<'a> {
    session: Client,
    /// Programs, each with the names of the operations of its token.
    programs: Vec<(Vec<String>, Program<'a>)>,
}

impl<'a> Both<'a> {
    /// A person, whose tokens name these operations.
    pub(super) async fn person(served: &'a ServedSite, name: &str, operations: &[String]) -> Self {
        let session = served.log_in(name, PASSPHRASE).await.unwrap();
        let mut programs = Vec::new();
        for names in operations.chunks(MAX_OPERATIONS_PER_TOKEN) {
            let program = Program::maria(served, &session, names).await;
            programs.push((names.to_vec(), program));
        }
        Self { session, programs }
    }

    /// The service `robot`, whose token names these operations.
    async fn robot(served: &'a ServedSite, operations: &[String]) -> Self {
        let session = served.robot().await;
        let names: Vec<&str> = operations.iter().map(String::as_str).collect();
        let program = Program::robot(served, &names).await;
        Self {
            session,
            programs: vec![(operations.to_vec(), program)],
        }
    }

    pub(super) fn program(&self, operation: &str) -> &Program<'a> {
        let named = |names: &[String]| names.iter().any(|name| name == operation);
        let found = self.programs.iter().find(|(names, _)| named(names));
        // The token of another operation is refused as one without permission.
        &found.unwrap_or(&self.programs[0]).1
    }

    async fn over_http(&self, entry: &Entry, params: &Value) -> Reply {
        let route = entry.rest().route().unwrap();
        let (target, body) = parts(route.path, route.method, params);
        let program = self.program(entry.name());
        program.call(route.method.as_str(), &target, &body).await
    }

    async fn over_session(&self, entry: &Entry, params: &Value) -> (Code, Value, Vec<u8>) {
        let params = to_raw_value(params).unwrap();
        let called = self
            .session
            .stream(entry.group(), entry.command(), params, None);
        let (outcome, content) = called.await.unwrap();
        let content = match content {
            Some(content) => content.all(1 << 20).await.unwrap(),
            None => Vec::new(),
        };
        let data = serde_json::from_str(outcome.data.get()).unwrap();
        (outcome.code, data, content)
    }
}

/// The entry of an operation.
fn entry<'a>(served: &'a ServedSite, name: &str) -> &'a Entry {
    let (group, command) = name.split_once('.').unwrap();
    served.site.table().find(group, command).unwrap()
}

/// The operations with a route that this role may call.
pub(super) fn offered(served: &ServedSite, role: Role) -> Vec<String> {
    let offered = served.site.table().entries().filter(|entry| {
        let access = entry.access();
        let roles = [access.roles(), access.own_roles()];
        entry.rest().route().is_some() && roles.iter().any(|roles| roles.contains(&role))
    });
    offered.map(|entry| entry.name().to_owned()).collect()
}

async fn site() -> ServedSite {
    let entropy = SeededEntropy::new(1);
    let site = TestSite::builder().entropy(entropy);
    site.person("operator", "admin").serve().await
}

/// The status of a success, or of a refusal with this code.
fn status(entry: &Entry, code: Code, data: &Value) -> u16 {
    let creates = entry.rest().route().unwrap().creates.is_some();
    match (code, data["code"].as_str()) {
        (Code::SUCCESS, _) if creates => 201,
        (Code::SUCCESS, _) => 200,
        (_, Some("invalid_params")) => 400,
        (_, Some("not_permitted")) => 403,
        (_, Some("not_found")) => 404,
        (_, Some("conflict")) => 409,
        other => panic!("{}: {other:?}", entry.name()),
    }
}

/// Two equal sites take the same tour, one over HTTP and one over sessions.
#[tokio::test]
async fn every_operation_has_the_same_result_over_http_as_over_a_session() {
    let (over_http, over_session) = (site().await, site().await);
    let admins = offered(&over_http, Role::Admin);
    let mut tours = [
        Tour::begin(&over_http).await,
        Tour::begin(&over_session).await,
    ];
    let [first, second] = &mut tours;
    let caller = Both::person(&over_http, "operator", &admins).await;
    let other = Both::person(&over_session, "operator", &admins).await;
    let mut comparison = Comparison::default();
    let (mut seen, mut differences) = (Vec::new(), Vec::new());
    for step in steps() {
        let entry = entry(&over_http, step.operation);
        let name = entry.name();
        let params = [
            first.prepare(&over_http, &step).await,
            second.prepare(&over_session, &step).await,
        ];
        let reply = caller.over_http(entry, &params[0]).await;
        let called = other.over_session(entry, &params[1]);
        let (code, data, content) = called.await;
        assert_eq!(code, Code::SUCCESS, "{name} {}: {data}", params[1]);
        assert_eq!(
            reply.status,
            status(entry, code, &data),
            "{name}: {reply:?}"
        );
        let creates = entry.rest().route().unwrap().creates.is_some();
        assert_eq!(!reply.field("location").is_empty(), creates, "{name}");
        if entry.gives_content() {
            let content = String::from_utf8(content).unwrap();
            let [found, wanted] = [reply.content().unwrap(), content].map(|text| audited(&text));
            let difference = comparison.difference(&found, &wanted);
            differences.extend(difference.map(|text| format!("{name}{text}")));
        } else {
            let result = without_exceptions(name, reply.json());
            let wanted = without_exceptions(name, data.clone());
            let difference = comparison.difference(&result, &wanted);
            differences.extend(difference.map(|text| format!("{name}{text}")));
        }
        let result = match entry.gives_content() {
            true => Value::Null,
            false => reply.json(),
        };
        first.keep(&over_http, &step, &result).await;
        second.keep(&over_session, &step, &data).await;
        seen.push(name.to_owned());
    }
    assert_eq!(differences, Vec::<String>::new());
    seen.sort();
    let table = over_http.site.table().entries();
    let routed = table.filter(|entry| entry.rest().route().is_some());
    let mut routed: Vec<_> = routed.map(|entry| entry.name().to_owned()).collect();
    routed.retain(|name| !OF_SERVICES.contains(&name.as_str()));
    assert_eq!(seen, routed);
}

/// The tour is that of an admin: what a member and a service read of themselves was compared nowhere.
#[tokio::test]
async fn a_member_and_a_service_read_the_same_over_http_as_over_a_session() {
    let site = TestSite::builder().person("maria", "member");
    let served = site.serve().await;
    let member = Both::person(&served, "maria", &offered(&served, Role::Member)).await;
    let robot = Both::robot(&served, &offered(&served, Role::Service)).await;
    for (role, caller, least) in [(Role::Member, &member, 10), (Role::Service, &robot, 4)] {
        let mut comparison = Comparison::default();
        let (mut read, mut differences) = (Vec::new(), Vec::new());
        for name in offered(&served, role) {
            let entry = entry(&served, &name);
            let route = entry.rest().route().unwrap();
            if route.method != RestMethod::Get || route.path.contains('{') {
                continue;
            }
            let reply = caller.over_http(entry, &json!({})).await;
            let (code, data, _) = caller.over_session(entry, &json!({})).await;
            assert_eq!(reply.status, status(entry, code, &data), "{role} {name}");
            if code != Code::SUCCESS {
                continue;
            }
            let [found, wanted] = [reply.json(), data].map(|data| without_exceptions(&name, data));
            let difference = comparison.difference(&found, &wanted);
            differences.extend(difference.map(|text| format!("{name}{text}")));
            read.push(name);
        }
        assert_eq!(differences, Vec::<String>::new(), "{role}");
        assert!(read.len() >= least, "{role}: {read:?}");
    }
}

/// The operations and targets of exported audit entries, without those of the use of a token and of the
/// worker that delivers alarms.
fn audited(lines: &str) -> Value {
    let entries = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let others = ["token.used", "alarm.deliver", "alarm.lease", "alarm.retry"];
    let entries = entries.filter(|entry| {
        let operation = entry["operation"].as_str();
        operation.is_some_and(|name| !others.contains(&name))
    });
    entries
        .map(|entry| json!([entry["operation"], entry["target"]]))
        .collect()
}

/// A result without the fields that differ for a reason.
fn without_exceptions(operation: &str, mut data: Value) -> Value {
    for (name, field, _) in EXCEPTIONS {
        if operation.starts_with(name) {
            remove(&mut data, field);
        }
    }
    data
}

fn remove(data: &mut Value, field: &str) {
    match data {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| remove(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, field)),
        _ => {}
    }
}

/// For each role: an unknown field, a field of another type, names that do not exist, and operations that the
/// role may not call.
#[tokio::test]
async fn every_operation_has_the_same_refusals_over_http_as_over_a_session() {
    let served = site().await;
    let all = offered(&served, Role::Admin);
    served
        .admin(
            "person.create",
            json!({ "name": "member", "role": "admin" }),
        )
        .await;
    served.set_passphrase("member", PASSPHRASE).await;
    // Their tokens name operations that a member may not call.
    let former = Both::person(&served, "member", &all).await;
    let demoted = json!({ "name": "member", "role": "member" });
    served.admin("person.update", demoted).await;
    let member = Both {
        session: served.log_in("member", PASSPHRASE).await.unwrap(),
        programs: former.programs,
    };
    let admin = Both::person(&served, "operator", &all).await;
    let robot = Both::robot(&served, &offered(&served, Role::Service)).await;
    for (role, caller) in [
        (Role::Admin, &admin),
        (Role::Member, &member),
        (Role::Service, &robot),
    ] {
        let mut codes: Map<String, Value> = Map::new();
        for entry in served.site.table().entries() {
            let Some(route) = entry.rest().route() else {
                continue;
            };
            for params in wrong_params(entry, route.method) {
                let reply = caller.over_http(entry, &params).await;
                let (code, data, _) = caller.over_session(entry, &params).await;
                let what = format!("{role}: {} {params}: {reply:?} {data}", entry.name());
                let expected = status(entry, code, &data);
                assert_eq!(reply.status, expected, "{what}");
                let code = data["code"].as_str().unwrap_or("success");
                let count = codes.entry(code).or_insert(json!(0));
                *count = (count.as_u64().unwrap() + 1).into();
                if code == "success" {
                    assert_eq!(reply.json(), data, "{what}");
                    continue;
                }
                assert_eq!(reply.code(), code, "{what}");
                let (problem, named) = (reply.json(), caller.names(entry.name()));
                assert_eq!(problem["field"], data["field"], "{what}");
                if named {
                    assert_eq!(problem["detail"], data["message"], "{what}");
                    // Readers of the API have another page that describes the parameters.
                    let is_operation_list = data["hint"] == OPERATION_LIST;
                    let hint = if is_operation_list {
                        &json!(DOCS)
                    } else {
                        &data["hint"]
                    };
                    assert_eq!(problem["hint"], *hint, "{what}");
                }
            }
        }
        let count = |code: &str| codes.get(code).and_then(Value::as_u64).unwrap_or(0);
        let found = ["invalid_params", "not_found", "not_permitted"].map(count);
        let least = match role {
            Role::Admin => [140, 50, 0],
            Role::Member => [30, 15, 140],
            Role::Service => [10, 0, 140],
        };
        let enough = found
            .iter()
            .zip(least)
            .all(|(found, least)| *found >= least);
        assert!(enough, "{role}: {codes:?}");
    }
}

impl Both<'_> {
    /// Whether a token names the operation. A token cannot name one that the role of its account may not call
    /// when it is created; then the refusal over HTTP says so.
    fn names(&self, operation: &str) -> bool {
        let mut names = self.programs.iter().flat_map(|(names, _)| names);
        names.any(|name| name == operation)
    }
}

/// Parameters that an operation refuses, or that name something that does not exist.
fn wrong_params(entry: &Entry, method: RestMethod) -> Vec<Value> {
    let example = entry.example();
    let mut unknown_field = example.clone();
    unknown_field["no_such_field"] = json!("1");
    let mut wrong = vec![unknown_field];
    let unknown = names_nothing(example);
    if unknown != *example && !names_what_it_creates(entry) {
        wrong.push(unknown);
    }
    if method.has_body()
        && let Some(field) = in_body(entry).next()
    {
        let mut other_type = example.clone();
        other_type[field] = json!({ "no": ["such", "type"] });
        wrong.push(other_type);
    }
    wrong
}

/// The parameters in the body that cannot be objects.
fn in_body(entry: &Entry) -> impl Iterator<Item = &String> {
    let path = entry.rest().route().unwrap().path;
    let properties = entry.params().get("properties");
    let properties = properties.and_then(Value::as_object).into_iter().flatten();
    let is_simple = |schema: &Value| {
        let kind = schema.get("type").map(Value::to_string).unwrap_or_default();
        !kind.is_empty() && !kind.contains("object")
    };
    let names = properties.filter(move |(_, schema)| is_simple(schema));
    let names = names.map(|(name, _)| name);
    names.filter(move |name| !path.contains(&format!("{{{name}}}")))
}

/// Whether the operation creates what its parameters name, so that an unknown name is right.
fn names_what_it_creates(entry: &Entry) -> bool {
    let created = entry.rest().route().and_then(|route| route.creates);
    let mut segments = created
        .into_iter()
        .flat_map(|path| path.split(['/', '{', '}']));
    segments.any(|segment| entry.example().get(segment).is_some())
}

/// The parameters with other names, of the same form.
fn names_nothing(params: &Value) -> Value {
    let mut params = params.clone();
    for (name, value) in params.as_object_mut().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let unknown = match name.as_str() {
            "id" | "alarm" if text.len() == UNKNOWN_ID.len() => UNKNOWN_ID,
            "id" | "app" | "consumer" | "provider" | "name" | "person" | "account" | "service"
            | "from" => "no-such",
            "peer" => "no-such.example",
            "thumbprint" | "fingerprint" => {
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            }
            "key" if text.contains('.') => "no.such",
            _ => continue,
        };
        *value = unknown.into();
    }
    params
}

/// The target of a request below the API's path, and its body.
fn parts(path: &str, method: RestMethod, params: &Value) -> (String, String) {
    let mut left = params.as_object().unwrap().clone();
    let segments = path.split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) => encoded(&left.remove(name).unwrap()),
            None => segment.to_owned(),
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    if method.has_body() {
        return (path, Value::Object(left).to_string());
    }
    let pairs = left
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    (format!("{path}?{query}"), String::new())
}

fn encoded(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

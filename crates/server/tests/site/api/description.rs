//! The API does what its description says, tested by the PyPI package `schemathesis`, which makes
//! requests from the description: right ones, and wrong ones.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use countersign_core::access::Role;
use countersign_core::engine::rest::{RestMethod, Routes};
use countersign_core::throttle::PenaltyLimits;
use countersign_server::limits::Limits;
use countersign_testkit::harness::tour::{Tour, steps};
use countersign_testkit::harness::{Builder, PASSPHRASE, ServedSite, TestSite, python};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::both_channels::{Both, offered};
use super::client::Program;

/// The checks that are not made, each with the reason.
const UNCHECKED: [(&str, &str); 1] = [(
    "positive_data_acceptance",
    "names, keys and tickets have rules beyond JSON Schema, and what breaks them gets 400",
)];

/// The operations that get no invented requests, each with the reason.
const UNCALLED: [(&str, &str); 1] = [(
    "lockdown.site",
    "a lockdown at the level `all` refuses every later request over HTTP",
)];

/// Of five operations, so many have to succeed once with invented requests. The others name objects that another
/// request removed, or need a peer or a ticket. The tour calls all of them with what they need.
const SUCCESSFUL_OF_FIVE: usize = 2;

/// How many requests of each kind are invented for an operation, unless the environment variable
/// `COUNTERSIGN_SCHEMATHESIS_EXAMPLES` has another number.
const EXAMPLES: &str = "3";

/// A site with the admin `operator`.
fn site() -> Builder {
    // The program sends wrong credentials on purpose.
    let penalties = PenaltyLimits {
        threshold: 1_000_000,
        ..PenaltyLimits::default()
    };
    let limits = Limits {
        penalties,
        ..Limits::default()
    };
    let site = TestSite::builder().limits(limits);
    site.person("operator", "admin")
}

/// The test called 34 operations; the others were refused, which conforms to every description. So
/// many have to succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_finds_what_the_description_says_of_half_of_the_operations() {
    an_admin_finds_what_is_described(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_finds_what_the_description_says_of_the_other_operations() {
    an_admin_finds_what_is_described(1).await;
}

/// Calls one half of the operations of an admin, at a site of its own, so that the halves are called side by side.
async fn an_admin_finds_what_is_described(half: usize) {
    let served = site().person("maria", "member").serve().await;
    let _tour = Tour::begin(&served).await;
    let operator = served.log_in("operator", PASSPHRASE).await.unwrap();
    let called = called(&served, Role::Admin);
    let names = called.chunks(called.len().div_ceil(2)).nth(half).unwrap();
    let program = Program::maria(&served, &operator, names).await;
    conforms(&program, names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_and_a_service_find_what_the_description_says() {
    let served = site().person("maria", "member").serve().await;
    let _tour = Tour::begin(&served).await;
    let maria = served.maria().await;
    let names = called(&served, Role::Member);
    let program = Program::maria(&served, &maria, &names).await;
    conforms(&program, &names).await;
    let names = called(&served, Role::Service);
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    conforms(&Program::robot(&served, &named).await, &names).await;
}

/// Three fifths of the operations were called with invented requests alone, whose refusals conform to every
/// description, and `lockdown.site` was not called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_succeeds_as_the_description_says() {
    let served = site().serve().await;
    let mut tour = Tour::begin(&served).await;
    let operator = Both::person(&served, "operator", &offered(&served, Role::Admin)).await;
    let mut checked = Checked::begin(&served);
    let mut seen = BTreeSet::new();
    for step in steps() {
        let params = tour.prepare(&served, &step).await;
        let token = &operator.program(step.operation).token;
        let (status, body) = checked.call(step.operation, &params, token, &[]);
        assert!((200..300).contains(&status), "{}: {body}", step.operation);
        tour.keep(&served, &step, &body).await;
        seen.insert(step.operation.to_owned());
    }
    // A service has a ticket for its application.
    let settings = json!({ "service": "robot" });
    served.create_application("orders", settings).await;
    let robot = Program::robot(&served, &["broker.ticket"]).await;
    let asked = json!({ "app": "orders", "providers": ["ledger"] });
    let (status, body) = checked.call("broker.ticket", &asked, &robot.token, &[]);
    assert_eq!(status, 200, "{body}");
    seen.insert("broker.ticket".to_owned());
    let table = served.site.table().entries();
    let routed = table.filter(|entry| entry.rest().route().is_some());
    let routed: BTreeSet<_> = routed.map(|entry| entry.name().to_owned()).collect();
    assert_eq!(seen, routed);

    // What follows is refused with 503, with a credential and without, until the lockdown is lifted.
    let token = &operator.program("lockdown.site").token;
    let all = json!({ "level": "all", "reason": "an investigation" });
    let (status, body) = checked.call("lockdown.site", &all, token, &["ignored_auth"]);
    assert_eq!((status, &body["level"]), (200, &json!("all")));
    let token = &operator.program("site.status").token;
    let unchecked = ["ignored_auth", "not_a_server_error"];
    let (status, _) = checked.call("site.status", &json!({}), token, &unchecked);
    assert_eq!(status, 503);
    let site = json!({ "site": true });
    served.admin("lockdown.lift", site).await;
    let (status, _) = checked.call("site.status", &json!({}), token, &[]);
    assert_eq!(status, 200);
}

/// A program that makes requests, and checks each response against the description.
struct Checked {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Checked {
    fn begin(served: &ServedSite) -> Self {
        let address = served.server.http_address().unwrap();
        let script = in_python("schemathesis_tour.py");
        let mut process = Command::new(interpreter())
            .arg("-B")
            .arg(script)
            .arg(format!("http://{address}/api/v1"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            requests,
            answers,
        }
    }

    /// Makes a request. Returns the status and the JSON of the body. Stops the test if the response is not as
    /// described.
    fn call(
        &mut self,
        operation: &str,
        params: &Value,
        token: &str,
        unchecked: &[&str],
    ) -> (u64, Value) {
        let request = json!({
            "operation": operation,
            "params": params,
            "token": token,
            "unchecked": unchecked,
        });
        let answer = tokio::task::block_in_place(|| {
            writeln!(self.requests, "{request}").unwrap();
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            line
        });
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["problem"], Value::Null, "{operation} {params}");
        (answer["status"].as_u64().unwrap(), answer["body"].take())
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The operations that a role may call and the program calls.
fn called(served: &ServedSite, role: Role) -> Vec<String> {
    let mut names = offered(served, role);
    names.retain(|name| UNCALLED.iter().all(|(uncalled, _)| uncalled != name));
    names
}

/// Has a program call these operations with all checks, in all phases but that of the examples,
/// which are the requests of the tour with ids of another site.
async fn conforms(program: &Program<'_>, operations: &[String]) {
    let token = program.token.clone();
    let address = program.served.server.http_address().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (called, report) = (operations.to_vec(), folder.path().join("requests.har"));
    let written = report.clone();
    let run = move || run(&format!("http://{address}"), &token, &called, &written);
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let succeeded = succeeded(program.served, &report);
    let least = operations.len() * SUCCESSFUL_OF_FIVE / 5;
    assert!(
        succeeded.len() >= least,
        "of {operations:?} succeeded {succeeded:?}"
    );
}

/// The operations of the requests in a report that succeeded.
fn succeeded(served: &ServedSite, report: &Path) -> BTreeSet<String> {
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let routes = Routes::of(served.site.table());
    let entries = report["log"]["entries"].as_array().unwrap().iter();
    let right = entries.filter(|entry| {
        let status = entry["response"]["status"].as_u64();
        status.is_some_and(|status| (200..300).contains(&status))
    });
    let operation = |entry: &Value| {
        let request = &entry["request"];
        let (method, url) = (&request["method"], request["url"].as_str()?);
        let (_, path) = url.split_once("/api/v1/")?;
        let segments = path.split('?').next()?.split('/');
        let decoded = segments.map(|one| percent_decode_str(one).decode_utf8_lossy().into_owned());
        let resource = routes.find(&decoded.collect::<Vec<_>>())?;
        let method = RestMethod::ALL
            .into_iter()
            .find(|one| *method == one.as_str())?;
        Some(resource.of(method)?.entry.name().to_owned())
    };
    right.filter_map(operation).collect()
}

fn in_python(file: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/site/python").join(file)
}

/// The folder of the environment in which the packages are installed.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis")
}

fn interpreter() -> PathBuf {
    python::interpreter(&folder(), &in_python("schemathesis_requirements.txt"))
}

fn run(site: &str, token: &str, operations: &[String], report: &Path) -> Output {
    let unchecked = UNCHECKED.map(|(check, _)| check).join(",");
    let examples = std::env::var("COUNTERSIGN_SCHEMATHESIS_EXAMPLES");
    let examples = examples.unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut program = Command::new(interpreter().with_file_name("schemathesis"));
    program
        .args(["run", &format!("{site}/api/v1/openapi.json")])
        // It takes the relative address of the server for one below the root.
        .args(["--url", &format!("{site}/api/v1")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // An event stream has no end.
        .args(["--header", "Accept: application/json"])
        .args(["--report", "har", "--report-har-path"])
        .arg(report)
        .args(["--checks", "all", "--exclude-checks", &unchecked])
        .args(["--phases", "coverage,fuzzing,stateful"])
        .args(["--max-examples", &examples, "--seed", "1"])
        .args(["--workers", "1", "--no-shrink", "--no-color"])
        .args(["--warnings", "off", "--generation-database", "none"])
        .args(["--suppress-health-check", "all", "--continue-on-failure"]);
    for name in operations {
        program.args(["--include-operation-id", &name.replace('.', "_")]);
    }
    program.current_dir(folder()).output().unwrap()
}

/// Parameters in a query were "text or null", and a query cannot have a null.
#[tokio::test]
async fn no_parameter_in_a_query_is_described_as_null() {
    let served = TestSite::builder().serve().await;
    let anonymous = Program {
        served: &served,
        token: String::new(),
    };
    let described = anonymous.call("GET", "/openapi.json", "").await.json();
    let paths = described["paths"].as_object().unwrap();
    let operations = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values());
    let parameters = operations.filter_map(|operation| operation["parameters"].as_array());
    let mut seen = 0;
    for parameter in parameters.flatten().filter(|one| one["in"] == "query") {
        let schema = parameter["schema"].to_string();
        assert!(!schema.contains("\"null\""), "{parameter}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

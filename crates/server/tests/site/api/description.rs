//! The API does what its description says, tested by the PyPI package `schemathesis`, which makes
//! requests from the description: right ones, and wrong ones.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use countersign_core::access::Role;
use countersign_core::access_tokens::MAX_OPERATIONS_PER_TOKEN;
use countersign_core::engine::rest::{RestMethod, Routes};
use countersign_core::throttle::PenaltyLimits;
use countersign_server::limits::Limits;
use countersign_testkit::harness::tour::Tour;
use countersign_testkit::harness::{PASSPHRASE, ServedSite, TestSite, python};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::both_channels::offered;
use super::client::Program;

/// The checks that are not made, each with the reason.
const UNCHECKED: [(&str, &str); 1] = [(
    "positive_data_acceptance",
    "names, keys and tickets have rules beyond JSON Schema, and what breaks them gets 400",
)];

/// The operations that are not called, each with the reason.
const UNCALLED: [(&str, &str); 1] = [(
    "lockdown.site",
    "a lockdown at the level `all` refuses every later request over HTTP",
)];

/// Of five operations, so many have to succeed once. The others name objects that another request removed, or
/// need a peer or a ticket.
const SUCCESSFUL_OF_FIVE: usize = 2;

/// How many requests of each kind are invented for an operation, unless the environment variable
/// `COUNTERSIGN_SCHEMATHESIS_EXAMPLES` has another number.
const EXAMPLES: &str = "3";

async fn site() -> ServedSite {
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
    let site = site.person("operator", "admin").person("maria", "member");
    site.serve().await
}

/// The test called 34 operations; the others were refused, which conforms to every description. So
/// many have to succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_finds_what_the_description_says() {
    let served = site().await;
    let _tour = Tour::begin(&served).await;
    let operator = served.log_in("operator", PASSPHRASE).await.unwrap();
    let called = called(&served, Role::Admin);
    for names in called.chunks(MAX_OPERATIONS_PER_TOKEN) {
        let program = Program::maria(&served, &operator, names).await;
        conforms(&program, names).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_and_a_service_find_what_the_description_says() {
    let served = site().await;
    let _tour = Tour::begin(&served).await;
    let maria = served.maria().await;
    let names = called(&served, Role::Member);
    let program = Program::maria(&served, &maria, &names).await;
    conforms(&program, &names).await;
    let names = called(&served, Role::Service);
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    conforms(&Program::robot(&served, &named).await, &names).await;
}

/// The operations that a role may call and the program calls.
fn called(served: &ServedSite, role: Role) -> Vec<String> {
    let mut names = offered(served, role);
    names.retain(|name| UNCALLED.iter().all(|(uncalled, _)| uncalled != name));
    names
}

/// Has a program call these operations with all checks in all phases.
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

fn run(site: &str, token: &str, operations: &[String], report: &Path) -> Output {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR"));
    let requirements = requirements.join("tests/site/python/schemathesis_requirements.txt");
    let python = python::interpreter(&to, &requirements);
    let unchecked = UNCHECKED.map(|(check, _)| check).join(",");
    let examples = std::env::var("COUNTERSIGN_SCHEMATHESIS_EXAMPLES");
    let examples = examples.unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut program = Command::new(python.with_file_name("schemathesis"));
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
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", &examples, "--seed", "1"])
        .args(["--workers", "1", "--no-shrink", "--no-color"])
        .args(["--warnings", "off", "--generation-database", "none"])
        .args(["--suppress-health-check", "all", "--continue-on-failure"]);
    for name in operations {
        program.args(["--include-operation-id", &name.replace('.', "_")]);
    }
    program.current_dir(&to).output().unwrap()
}

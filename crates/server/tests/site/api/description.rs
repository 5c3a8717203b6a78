//! The API does what its description says, tested by the PyPI package `schemathesis`, which makes
//! requests from the description: right ones, and wrong ones.

use std::path::Path;
use std::process::Command;

use countersign_core::throttle::PenaltyLimits;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{TestSite, python};

use super::client::Program;

/// What each response is checked for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method,allow_header_conformance,\
                      ignored_auth";
/// Groups whose operations the token names: they change nothing that later requests need.
const GROUPS: [&str; 7] = [
    "alarm.",
    "app.",
    "device.",
    "operation.",
    "option.list",
    "service.",
    "ticket.",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_conforms_to_its_description() {
    // The program sends wrong credentials on purpose.
    let penalties = PenaltyLimits {
        threshold: 1_000_000,
        ..PenaltyLimits::default()
    };
    let limits = Limits {
        penalties,
        ..Limits::default()
    };
    let served = TestSite::builder().maria().limits(limits).serve().await;
    let table = served.site.table().entries();
    let offered = table.filter(|entry| entry.rest().route().is_some());
    let named = offered.map(|entry| entry.name().to_owned());
    let named: Vec<String> = named
        .filter(|name| GROUPS.iter().any(|group| name.starts_with(group)))
        .collect();
    let admin = Program::maria(&served, &served.maria().await, &named).await;
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR"));
    let requirements = requirements.join("tests/site/schemathesis_requirements.txt");
    let address = served.server.http_address().unwrap();
    let token = admin.token.clone();
    let run = tokio::task::spawn_blocking(move || {
        let python = python::interpreter(&to, &requirements);
        let mut program = Command::new(python.with_file_name("schemathesis"));
        program
            .args(["run", &format!("http://{address}/api/v1/openapi.json")])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--checks", CHECKS, "--phases", "fuzzing"])
            .args([
                "--max-examples",
                "4",
                "--seed",
                "1",
                "--no-shrink",
                "--no-color",
            ])
            .args(["--warnings", "off", "--generation-database", "none"])
            .args(["--suppress-health-check", "all", "--continue-on-failure"])
            .current_dir(&to);
        program.output().unwrap()
    });
    let output = run.await.unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
}

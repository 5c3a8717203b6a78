//! `shell` and `call`: operations at a prompt, parameters from files, complete lists.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::running::{CommandOutput, Running};

fn shell(site: &Running, lines: &str) -> CommandOutput {
    let words = [
        "shell",
        "--site",
        &site.uri,
        "--as",
        "maria",
        "--passphrase-file",
        "maria.pass",
    ];
    site.run_with(&words, lines)
}

#[test]
fn a_script_runs_over_one_session_and_ends_at_its_first_failure() {
    let site = Running::with_accounts();
    let output = shell(
        &site,
        "self show\nperson create name=ada full_name='Ada L'\nhelp person create\nexit\nperson delete name=ada\n",
    );
    assert_eq!(output.code, 0, "{}", output.err);
    assert!(
        output.out.starts_with("maria@local") && output.out.contains("Created ada@local"),
        "{}",
        output.out
    );
    assert!(output.out.contains("name"), "help shows the parameters");
    let shown = site.run(&["person", "show", "ada", "--json"]);
    assert_eq!(
        shown.json()["full_name"],
        json!("Ada L"),
        "the lines after exit are not run"
    );

    let output = shell(&site, "person show name=unknown\nperson delete name=ada\n");
    assert_eq!(output.code, 6, "{}", output.err);
    assert_eq!(
        output.err.matches("[not_found]").count(),
        1,
        "{}",
        output.err
    );
    assert_eq!(site.run(&["person", "show", "ada"]).code, 0);
}

/// A hint had the arguments of a command where the user types parameters of an operation.
#[test]
fn a_hint_names_operations_as_the_user_types_them() {
    let site = Running::with_accounts();
    assert_eq!(site.run(&["person", "create", "ada"]).code, 0);
    assert_eq!(site.run(&["person", "disable", "ada", "--yes"]).code, 0);
    let typed = "`person unlock name=ada@local` or `person enable name=ada@local`";
    for output in [
        site.call("maria", "maria.pass", &["ticket", "issue", "person=ada"]),
        shell(&site, "ticket issue person=ada\n"),
    ] {
        assert!(output.err.contains(typed), "{}", output.err);
    }
    let local = site.run(&["ticket", "issue", "ada"]).err;
    let command = "`countersign person unlock ada@local";
    assert!(local.contains(command), "{local}");
}

#[test]
fn history_is_stored_with_mode_0600_and_without_secrets() {
    let site = Running::with_accounts();
    shell(&site, "self show\nself show passphrase=hunter2\n");
    let path = site.path("state/countersign/history");
    let history = std::fs::read_to_string(&path).unwrap();
    assert!(
        history.contains("self show") && !history.contains("hunter2"),
        "{history}"
    );
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn parameters_come_from_a_file_and_the_command_line_overrides_it() {
    let site = Running::with_accounts();
    site.write(
        "ada.json",
        r#"{"name": "ada", "full_name": "From the file"}"#,
    );
    let words = [
        "person",
        "create",
        "full_name=Ada L",
        "--params-file",
        "ada.json",
        "--json",
    ];
    let output = site.call("maria", "maria.pass", &words);
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(
        (&output.json()["name"], &output.json()["full_name"]),
        (&json!("ada@local"), &json!("Ada L"))
    );
    site.write("list.json", "[1]");
    let words = ["person", "create", "--params-file", "list.json"];
    assert_eq!(site.call("maria", "maria.pass", &words).code, 2);
}

/// `call` and the shell parsed numbers as floating point: the site stored rounded numbers.
#[test]
fn numbers_in_parameters_are_stored_unchanged() {
    const LONG: &str = "123456789012345678901234567890";
    let site = Running::with_accounts();
    for words in [
        &["key", "party", "robot.key", "--out", "party"][..],
        &["app", "create", "billing", "--public-key", "party"],
    ] {
        let output = site.run(words);
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
    }
    let settings = |last: u8| format!("{{\"auth_data\": {{\"number\": {LONG}{last}}}}}");
    let is_stored = |last: u8| {
        let shown = site.run(&["app", "show", "billing", "--json"]).out;
        assert!(shown.contains(&format!("{LONG}{last}")), "{shown}");
    };
    let update = |words: &[&str]| {
        let words = [&["app", "update", "id=billing"], words].concat();
        let output = site.call("maria", "maria.pass", &words);
        assert_eq!(output.code, 0, "{}", output.err);
    };
    update(&[&format!("settings:={}", settings(1))]);
    is_stored(1);
    site.write(
        "settings.json",
        &format!("{{\"settings\": {}}}", settings(2)),
    );
    update(&["--params-file", "settings.json"]);
    is_stored(2);
    let line = format!("app update id=billing 'settings:={}'\n", settings(3));
    let output = shell(&site, &line);
    assert_eq!(output.code, 0, "{}", output.err);
    is_stored(3);
}

#[test]
fn a_list_of_any_length_is_complete() {
    let site = Running::new();
    let socket = UnixStream::connect(site.path("site/admin.sock")).unwrap();
    let mut answers = BufReader::new(socket.try_clone().unwrap()).lines();
    let sending = std::thread::spawn(move || {
        for number in 0..1_001 {
            let operation = json!({ "id": number, "group": "person", "command": "create",
                "params": { "name": format!("p{number}") } });
            writeln!(&socket, "{operation}").unwrap();
        }
    });
    for _ in 0..1_001 {
        assert!(answers.next().unwrap().unwrap().contains("\"code\":0"));
    }
    sending.join().unwrap();
    let listed = site.run(&["person", "list", "--json"]).json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1_001);
    for format in ["text", "jsonl"] {
        let listed = site.run(&["person", "list", "-o", format]).out;
        assert_eq!(listed.lines().count(), 1_001);
    }
}

//! The commands of `countersign alarm`.

use serde_json::{Value, json};

use super::{Receiver, SERVE, create_person, folder_with_webhook};
use crate::faults::clock::{set_clock, with_clock};
use crate::running::{CommandOutput, Running};

fn done(site: &Running, words: &[&str]) -> CommandOutput {
    let output = site.run(words);
    assert_eq!(output.code, 0, "{words:?}: {}", output.err);
    output
}

#[test]
fn an_alarm_is_raised_listed_shown_acknowledged_and_ended() {
    let receiver = Receiver::start();
    let mut site = folder_with_webhook(&receiver);
    site.start(&SERVE);
    create_person(&site, "ada");
    let words = [
        "alarm",
        "raise",
        "ada",
        "--severity",
        "critical",
        "--text",
        "The disk is full.",
        "--key",
        "disk",
        "--alarm-data",
        r#"{"disk":"sda"}"#,
        "--json",
    ];
    let raised = done(&site, &words).json();
    let id = raised["id"].as_str().unwrap();
    assert_eq!(raised["data"], json!({ "disk": "sda" }));
    let raiser = raised["raised_by"].as_str().unwrap();
    assert_eq!(
        receiver.next(),
        format!("ada@local critical [local] Critical, {raiser}: The disk is full.")
    );
    let list = done(&site, &["alarm", "list", "--state", "open"]);
    assert!(
        list.out.contains(id) && list.out.contains("1 time "),
        "{}",
        list.out
    );
    let shown = done(&site, &["alarm", "show", id, "--json"]).json();
    assert_eq!(shown["recipients"][0]["name"], "ada@local");
    done(&site, &["alarm", "acknowledge", id]);
    done(&site, &["alarm", "over", "disk"]);
    let of_ada = [
        "alarm", "list", "--person", "ada", "--state", "over", "--json",
    ];
    assert_eq!(done(&site, &of_ada).json()["entries"][0]["id"], id);
    let sent = done(&site, &["alarm", "deliveries", "--state", "sent"]);
    assert!(
        sent.out.contains("ada@local") && sent.out.contains("text"),
        "{}",
        sent.out
    );
    let none = done(&site, &["alarm", "retry"]);
    assert!(none.out.contains("waiting again: 0"), "{}", none.out);
}

#[test]
fn an_alarm_for_the_admins_names_the_group() {
    let site = Running::with_accounts();
    let text = ["--text", "Something happened."];
    let raise = |words: &[&str]| site.run(&[&["alarm", "raise"], words, &text].concat());
    assert_eq!(raise(&["--group", "admins"]).code, 0);
    assert_eq!(raise(&["maria"]).code, 0);
    for (words, code) in [
        (&["admins"][..], 2),
        (&[], 2),
        (&["maria", "--group", "admins"], 2),
        (&["--group", "users"], 2),
        (&["maria", "--alarm-data", "{"], 2),
        (&["unknown"], 6),
    ] {
        assert_eq!(raise(words).code, code, "{words:?}");
    }
}

#[test]
fn a_person_tests_how_alarms_arrive() {
    let receiver = Receiver::start();
    let mut site = folder_with_webhook(&receiver);
    set_clock(site.folder.path(), "+0s");
    let command = with_clock(site.command(&["serve"]), site.folder.path());
    site.start_as(command, &SERVE);
    site.create_accounts();
    let preferences = [
        "alarm",
        "preferences",
        "maria",
        "--channels",
        "text",
        "--text-to",
        "+491701234567",
        "--language",
        "de",
        "--time-zone",
        "Europe/Berlin",
        "--json",
    ];
    let set = done(&site, &preferences).json();
    assert_eq!(
        (&set["language"], &set["channels"]),
        (&json!("de"), &json!(["text"]))
    );
    let test = [
        "alarm",
        "test",
        "--site",
        &site.uri,
        "--as",
        "maria",
        "--passphrase-file",
        "maria.pass",
        "--severity",
        "critical",
        "--json",
    ];
    let tested = done(&site, &test).json();
    assert_eq!(tested["severity"], "critical");
    // Maria was connected, so she has 60 s to acknowledge. Another alarm wakes the worker then.
    set_clock(site.folder.path(), "+61s");
    done(
        &site,
        &[
            "alarm",
            "raise",
            "--group",
            "admins",
            "--text",
            "Another one.",
        ],
    );
    let test = "maria@local critical [local] Kritisch, maria@local: ";
    // Maria is one of the admins, and the other alarm may come first.
    assert!((0..2).any(|_| receiver.next().starts_with(test)));
}

/// A webhook that rejects everything: `site status` and `doctor` tell, and a corrected configuration
/// takes effect at SIGHUP.
#[test]
fn operators_see_messages_that_were_given_up_and_send_them_again() {
    let receiver = Receiver::start();
    let mut site = folder_with_webhook(&receiver);
    let good = std::fs::read_to_string(site.path("countersign.toml")).unwrap();
    site.write(
        "countersign.toml",
        &good.replace("/\"\nbody_f", "/wrong\"\nbody_f"),
    );
    site.start(&SERVE);
    create_person(&site, "ada");
    done(&site, &["alarm", "raise", "ada", "--text", "Down."]);
    let status = loop {
        let status = done(&site, &["site", "status", "--json"]).json();
        if status["delivery"]["dead"] == 1 {
            break status;
        }
    };
    assert_eq!(status["delivery"]["text"], true);
    assert_eq!(status["delivery"]["email"], false);
    let text = done(&site, &["site", "status"]).out;
    assert!(
        text.contains("messages about alarms that were given up: 1;"),
        "{text}"
    );
    let doctor = site.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 8);
    let checks = doctor.json()["checks"].clone();
    let alarms = |one: &&Value| one["check"] == "alarms";
    let check = checks
        .as_array()
        .unwrap()
        .iter()
        .find(alarms)
        .unwrap()
        .clone();
    assert_eq!(check["ok"], false);
    assert!(
        check["hint"].as_str().unwrap().contains("alarm retry"),
        "{check}"
    );

    site.write("countersign.toml", &good);
    site.hang_up();
    // The reload is done when a retry arrives.
    loop {
        done(&site, &["alarm", "retry"]);
        if receiver.ready().iter().any(|text| text.contains("Down.")) {
            break;
        }
    }
}

#[test]
fn config_check_reports_a_channel_that_cannot_work() {
    let site = Running::folder();
    let check = |lines: &str| {
        site.write("countersign.toml", &format!("version = 1\n{lines}\n"));
        site.run(&["config", "check", "countersign.toml"])
    };
    for (lines, named) in [
        ("[mail]\nserver = \"m.example\"\ntls = \"none\"", "mail.tls"),
        ("[webhook]\nurl = \"http://a.example\"", "webhook.url"),
        (
            "[webhook]\nurl = \"https://a.example\"\nbody = \"{{text\"",
            "webhook.body",
        ),
        ("[mail]\ntimeout_ms = 1", "timeout_ms"),
        (
            "[webhook]\nurl = \"https://a.example\"\nsecret_file = \"site.pass\"",
            "webhook.secret_file",
        ),
    ] {
        let refused = check(lines);
        assert_eq!(refused.code, 8, "{lines}");
        assert!(refused.err.contains(named), "{}", refused.err);
    }
    let missing = check("[webhook]\nurl = \"https://a.example\"\nsecret_file = \"none\"");
    assert_eq!(missing.code, 6, "{}", missing.err);
    assert_eq!(check("[mail]\nserver = \"mail.example.org\"").code, 0);
}

//! Commands at a terminal: questions and prompts without echo, in the pseudo-terminal of `script`.

use std::process::Command;

use crate::running::{MARIAS_PASSPHRASE, Running, SITE_PASSPHRASE};
use crate::screen::Terminal;

const NEW_KEY: &str = "$CS key new --out new.key --passphrase; echo code $?; stty -a";

/// After Ctrl-C at a prompt, the terminal stayed without echo.
#[test]
fn ctrl_c_at_a_prompt_restores_the_terminal() {
    let site = Running::folder();
    let mut terminal = Terminal::run(site.folder.path(), NEW_KEY);
    terminal
        .until("Pass phrase of the key file: ")
        .press("secret\u{3}");
    let rest = terminal.rest();
    assert!(
        rest.contains("[interrupted]") && rest.contains("code 130"),
        "{rest}"
    );
    assert!(
        rest.contains(" echo ") && !rest.contains("-icanon"),
        "{rest}"
    );
    assert!(!rest.contains("secret"), "{rest}");
    assert!(!site.path("new.key").exists());
}

/// A site catches signals from its start on, also during a prompt, where Ctrl-C is a key. A signal to stop
/// left the terminal without echo.
#[test]
fn a_site_that_is_stopped_at_its_prompt_restores_the_terminal() {
    const ASK: &str = "Pass phrase for the new site's key: ";
    let serve = "sh -c 'echo $$ > pid; exec $CS serve --data new --session-listen 127.0.0.1:0 \
                 --http-listen 127.0.0.1:0'; echo code $?; stty -a";
    let as_before = |rest: &str| {
        assert!(
            rest.contains(" echo ") && !rest.contains("-icanon") && !rest.contains("secret"),
            "{rest}"
        );
    };
    let site = Running::folder();
    let mut terminal = Terminal::run(site.folder.path(), serve);
    terminal.until(ASK).press("secret\u{3}");
    let rest = terminal.rest();
    assert!(
        rest.contains("[interrupted]") && rest.contains("code 130"),
        "{rest}"
    );
    as_before(&rest);
    for signal in ["-TERM", "-INT"] {
        let mut terminal = Terminal::run(site.folder.path(), serve);
        terminal.until(ASK).press("secret");
        let id = std::fs::read_to_string(site.path("pid")).unwrap();
        let kill = Command::new("kill").args([signal, id.trim()]).status();
        assert!(kill.unwrap().success());
        let rest = terminal.rest();
        assert!(rest.contains("code 0"), "{rest}");
        as_before(&rest);
    }
}

/// A sealed site refused `peer start` without asking for what unseals it.
#[test]
fn peer_start_asks_for_the_pass_phrase_of_a_sealed_site() {
    let mut site = Running::folder();
    let peer = ["--peer-listen", "127.0.0.1:0"];
    site.start(&[&["--passphrase-file", "site.pass"][..], &peer].concat());
    assert_eq!(site.run(&["site", "seal", "--yes"]).code, 0);
    // Without a terminal and a file there is nothing to ask.
    assert_eq!(site.run(&["peer", "start"]).code, 3);
    let wrong = ["peer", "start", "--passphrase-file", "wrong.pass"];
    assert_eq!(site.run(&wrong).code, 4);
    let start = "$CS peer start; echo code $?";
    let mut terminal = Terminal::run(site.folder.path(), start);
    let asked = terminal.until("Pass phrase of the site key: ");
    asked.press(&format!("{SITE_PASSPHRASE}\n"));
    let rest = terminal.rest();
    assert!(
        rest.contains("The peer server is started") && rest.contains("code 0"),
        "{rest}"
    );
    let status = site.run(&["peer", "status", "--json"]).json();
    assert_eq!(status["state"], "running");
}

/// `peer start` ended with 0 and said that the peer server was started while another program had its
/// port.
#[test]
fn peer_start_fails_if_the_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut site = Running::folder();
    site.start(&["--passphrase-file", "site.pass", "--peer-listen", &address]);
    let started = site.run(&["peer", "start"]);
    assert_eq!(started.code, 8);
    assert!(
        started.out.contains("does not run: it cannot listen"),
        "{}",
        started.out
    );
    let status = site.run(&["peer", "status", "--json"]).json();
    assert_eq!(
        (&status["wanted"], &status["state"]),
        (&true.into(), &"failed".into())
    );
}

/// A mistyped repetition ended the command, and the shell read what was typed ahead.
#[test]
fn a_mistyped_pass_phrase_is_asked_for_again_three_times() {
    let site = Running::folder();
    let mut terminal = Terminal::run(site.folder.path(), NEW_KEY);
    terminal
        .until("Pass phrase of the key file: ")
        .press("too short\n");
    terminal.until("at least 12 characters; try again");
    let first = "Pass phrase of the key file: ";
    let again = "Pass phrase of the key file, once more: ";
    terminal.until(first).press("correct horse battery\n");
    terminal.until(again).press("correct horse batterz\n");
    terminal.until("the two pass phrases are not the same; try again");
    terminal.until(first).press("correct horse battery\n");
    terminal.until(again).press("correct horse battery\n");
    assert!(terminal.rest().contains("code 0"));
    let show = ["key", "show", "new.key", "--passphrase-file", "maria.pass"];
    assert_eq!(
        (MARIAS_PASSPHRASE, site.run(&show).code),
        ("correct horse battery", 0)
    );

    // Input that was typed ahead is discarded: the shell would run it.
    let left = "stty -icanon min 0 time 5; dd bs=99 count=1 2>/dev/null | od -c";
    let line = NEW_KEY.replace("new.key", "other.key");
    let mut terminal = Terminal::run(site.folder.path(), &line.replace("stty -a", left));
    terminal.until(first).press("short\n");
    terminal.until(first).press("short\n");
    terminal.until(first).press("short\nrm x\n");
    let rest = terminal.rest();
    assert!(rest.contains("code 1") && !rest.contains("r   m"), "{rest}");
}

/// `person lock` did not ask, and the shell asked the same question for every operation.
#[test]
fn a_question_names_the_effect_and_no_changes_nothing() {
    let site = Running::with_accounts();
    let question = "person lock maria: Locks a person";
    let mut terminal = Terminal::run(site.folder.path(), "$CS person lock maria; echo code $?");
    terminal
        .until(question)
        .until("Type yes to continue:")
        .press("no\n");
    let rest = terminal.rest();
    assert!(
        rest.contains("[declined]") && rest.contains("code 1"),
        "{rest}"
    );
    let called = ["self", "show"];
    assert_eq!(site.call("maria", "maria.pass", &called).code, 0);
    let mut terminal = Terminal::run(site.folder.path(), "$CS person lock maria; echo code $?");
    terminal.until(question).press("yes\n");
    assert!(terminal.rest().contains("code 0"));
    assert_eq!(site.call("maria", "maria.pass", &called).code, 4);
}

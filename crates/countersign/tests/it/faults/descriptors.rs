//! No file descriptor left.

use std::fs::read_dir;
use std::process::Stdio;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::Table;
use crate::dev::{DEV, Site, shell};

/// Under the usual soft limit, idle connections from a few addresses used up all descriptors, and honest
/// logins failed.
#[test]
fn the_soft_limit_on_descriptors_is_raised() {
    let site = Site::start(r#"ulimit -Sn 128; exec "$@""#);
    let _idle = site.flood(8, 50);
    for _ in 0..3 {
        assert_eq!(site.log_in().code, 0);
    }
    assert_eq!(site.run(&["site", "status"]).code, 0);
}

/// If the limit cannot be raised, the site reserves descriptors for logins, database and admin socket.
#[test]
fn under_a_hard_limit_on_descriptors_logins_and_the_admin_socket_work() {
    let site = Site::start(r#"ulimit -n 160; exec "$@""#);
    let _idle = site.flood(16, 20);
    for number in 0..5 {
        assert_eq!(site.log_in().code, 0);
        let name = format!("p{number}");
        let created = site.run(&["person", "create", &name]);
        assert_eq!(created.code, 0, "{}", created.err);
    }
    let _more = site.flood(16, 20);
    assert_eq!(site.log_in().code, 0);
    assert_eq!(site.run(&["person", "list"]).code, 0);
    assert_eq!(site.stop(), Some(0));
}

/// `limits.connections = 99999999999999` was saved, and the list of settings showed it, while the process
/// accepted as many connections as it may open files. Only the log told so. The list also showed the default as if
/// it were in force.
#[test]
fn a_limit_for_which_the_process_may_open_too_few_files_is_refused() {
    let site = Site::start(r#"ulimit -n 600; exec "$@""#);
    let key = "limits.connections";
    let listed = site.run(&["config", "list"]).out;
    let start = format!("{key} = 24000  (default, lowered to ");
    let default = listed.lines().find(|line| line.starts_with(&start));
    let end = " to fit the number of files that the process may open)";
    assert!(default.is_some_and(|line| line.ends_with(end)), "{listed}");
    let refused = site.run(&["config", "set", key, "99999999999999"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let (_, most) = refused.err.split_once("give at most ").unwrap();
    let most: String = most.chars().take_while(char::is_ascii_digit).collect();
    let set = |value: usize| site.run(&["config", "set", key, &value.to_string()]);
    let most: usize = most.parse().unwrap();
    assert_eq!(set(most + 1).code, 2);
    let fits = set(most);
    assert_eq!(fits.code, 0, "{}", fits.err);
    assert_eq!(fits.out, format!("{key} = {most}  (database)\n"));
    // The one of a network is a share of it.
    let network = site.run(&["config", "set", "limits.connections_per_network", "400"]);
    assert_eq!(network.code, 2, "{}", network.err);
}

/// The exit codes of the page, with each limit used up by idle connections.
#[test]
fn logins_and_the_admin_socket_work_with_any_limit_on_descriptors() {
    let mut table = Table::under("No file descriptor left");
    for (limit, line) in [
        ("soft limit of 128", r#"ulimit -Sn 128; exec "$@""#),
        ("hard limit of 160", r#"ulimit -n 160; exec "$@""#),
    ] {
        let site = Site::start(line);
        let _idle = site.flood(16, 20);
        try_all(&mut table, limit, &site);
        table.ended(&[limit, "stop"], site.stop());
    }

    let site = Site::start(r#"exec "$@""#);
    let _idle = site.flood(4, 2);
    // Connections are accepted in order: after this login the idle ones are accepted.
    assert_eq!(site.log_in().code, 0);
    let limit = "none left while it runs";
    let process = site.process.id();
    let before = getrlimit(Resource::Nofile);
    let open = read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).unwrap();
    let number = |file: std::io::Result<std::fs::DirEntry>| {
        let name = file.unwrap().file_name();
        name.to_str().unwrap().parse::<u64>().unwrap()
    };
    let highest = open.map(number).max().unwrap();
    let now = Rlimit {
        current: Some(highest + 1),
        maximum: before.maximum,
    };
    prlimit(Some(process), Resource::Nofile, now).unwrap();
    try_all(&mut table, limit, &site);
    table.ended(&[limit, "stop"], site.stop());

    let folder = tempfile::tempdir().unwrap();
    let line = r#"ulimit -n 60; exec "$@""#;
    let code = shell(folder.path(), line, DEV).status().unwrap().code();
    table.ended(&["hard limit of 60", "start"], code);
    table.assert_complete();
}

fn try_all(table: &mut Table, limit: &str, site: &Site) {
    for _ in 0..3 {
        table.ended(&[limit, "login"], Some(site.log_in().code));
    }
    let read = site.run(&["person", "list"]);
    table.ended(&[limit, "reading at the admin socket"], Some(read.code));
    let name = format!("p{}", limit.len());
    let changed = site.run(&["person", "create", &name]);
    table.ended(&[limit, "change at the admin socket"], Some(changed.code));
}

/// With too few descriptors a site started and every operation failed.
#[test]
fn a_site_with_too_few_descriptors_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    for files in [20, 60] {
        let line = format!(r#"ulimit -n {files}; "$@""#);
        let output = shell(folder.path(), &line, DEV)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains("error: "), "{log}");
        std::fs::remove_dir_all(folder.path().join("site")).unwrap();
    }
}

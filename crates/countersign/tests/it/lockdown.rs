//! `countersign lockdown`, from the command line.

use crate::running::Running;

/// The exit code of a refusal by policy or lockdown.
const REFUSED: i32 = 5;

#[test]
fn a_lockdown_of_the_site_refuses_a_login_and_is_lifted_at_the_site() {
    let site = Running::with_accounts();
    let unasked = site.run(&["lockdown", "site"]);
    assert_eq!(unasked.code, 2, "{}", unasked.err);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);

    let imposed = [
        "lockdown", "site", "--level", "logins", "--reason", "a drill",
    ];
    let imposed = site.run(&[&imposed[..], &["--yes", "--json"]].concat());
    assert_eq!(imposed.code, 0, "{}", imposed.err);
    assert_eq!(imposed.json()["level"], "logins");
    let doctor = site.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, 8);
    assert!(
        doctor.out.contains("`countersign lockdown lift site`"),
        "{}",
        doctor.out
    );
    let status = site.run(&["site", "status"]);
    assert!(
        status.out.contains("in lockdown at the level logins"),
        "{}",
        status.out
    );
    let shown = site.run(&["lockdown", "status"]);
    assert!(shown.out.contains("a drill"), "{}", shown.out);

    let login = site.call("maria", "maria.pass", &["self", "show"]);
    assert_eq!(login.code, REFUSED, "{}", login.err);
    assert!(login.err.contains("lockdown"), "{}", login.err);

    let lifted = site.run(&["lockdown", "lift", "site"]);
    assert_eq!(lifted.code, 0, "{}", lifted.err);
    assert!(
        site.run(&["lockdown", "status"])
            .out
            .contains("No lockdown is in force")
    );
}

#[test]
fn a_lockdown_and_its_lifting_name_what_does_not_exist() {
    let site = Running::new();
    for command in [
        &["lockdown", "person", "unknown", "--yes"][..],
        &["lockdown", "app", "billing", "--yes"],
        &["lockdown", "peer", "b.example", "--yes"],
        &["lockdown", "lift", "service", "unknown"],
        &["lockdown", "lift", "peer", "b.example"],
    ] {
        assert_eq!(site.run(command).code, 6, "{command:?}");
    }
    let unknown = site.run(&["lockdown", "site", "--level", "everything", "--yes"]);
    assert_eq!(unknown.code, 2, "{}", unknown.err);
}

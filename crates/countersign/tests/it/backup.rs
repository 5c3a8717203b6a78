//! Backups, their restoration, and `doctor`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::Connection;

use crate::running::{CommandOutput, MARIAS_PASSPHRASE, Running, SITE_PASSPHRASE};

const PASS: [&str; 2] = ["--passphrase-file", "backup.pass"];

fn with_backup_passphrase() -> Running {
    let site = Running::with_accounts();
    site.write("backup.pass", "a pass phrase for backups");
    site
}

fn backup(site: &Running, words: &[&str]) -> CommandOutput {
    site.run(&[&["backup"], words, &PASS].concat())
}

fn done(output: CommandOutput) -> CommandOutput {
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    output
}

/// Changes the database of a stopped site, or of a backup.
pub(crate) fn sql(file: &Path, statements: &'static [&'static str]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", file.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for statement in statements {
            sqlx::query(*statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    });
}

/// A site that is backed up while it runs and restored in another folder is the same site: accounts log in
/// with the same credentials, and the audit log continues.
#[test]
fn a_sealed_backup_of_a_running_site_restores_it() {
    let mut site = with_backup_passphrase();
    done(backup(&site, &["create", "night.backup"]));
    let mode = std::fs::metadata(site.path("night.backup")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(site.path("night.backup")).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"maria"));

    let verify = [
        "verify",
        "night.backup",
        "--unseal",
        "--site-passphrase-file",
        "site.pass",
    ];
    let verified = done(backup(&site, &verify));
    for named in [
        "sealed backup",
        "layout",
        "its site key opens",
        "head of its audit log",
    ] {
        assert!(verified.out.contains(named), "{named}: {}", verified.out);
    }

    done(backup(
        &site,
        &["restore", "night.backup", "--data", "other"],
    ));
    for (name, mode) in [
        ("other", 0o700),
        ("other/site.db", 0o600),
        ("other/countersign.toml", 0o600),
    ] {
        let found = std::fs::metadata(site.path(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(site.stop(), Some(0));
    site.start(&["--data", "other", "--passphrase-file", "site.pass"]);
    done(site.call("maria", "maria.pass", &["self", "show"]));
    done(site.call_as_robot(&["self", "show"]));
    let log = site.run(&["audit", "list", "--data", "other"]).out;
    assert!(
        log.contains("site.backup") && log.contains("site.restored"),
        "{log}"
    );
    done(site.run(&["audit", "verify", "--data", "other"]));
}

/// With the slot file a restored site unseals itself. A stopped site can be backed up too.
#[test]
fn a_stopped_site_is_backed_up_with_its_slot_file_on_request() {
    let folder = Running::new();
    let dev = |words: &[&str]| folder.run(&[words, &["--data", "dev"]].concat());
    // A temporary site has a slot file; a port in use ends it after it was created.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_eq!(dev(&["dev", "--session-listen", &address]).code, 1);
    folder.write("backup.pass", "a pass phrase for backups");
    for (file, words) in [("with", &["--with-slot-file"][..]), ("without", &[])] {
        let create = ["backup", "create", file, PASS[0], PASS[1]];
        done(dev(&[&create[..], words].concat()));
        let restored = format!("restored-{file}");
        let restore = ["restore", file, "--data", &restored];
        done(backup(&folder, &restore));
        let slot = folder.path(&restored).join("site-key.slot").exists();
        assert_eq!(slot, file == "with");
    }
    let plain = dev(&["backup", "create", "plain", "--plain", "--with-slot-file"]);
    assert_eq!(
        plain.code, 2,
        "a plain backup with the slot file would contain the unsealed site"
    );
    done(dev(&["backup", "create", "plain", "--plain"]));
    done(folder.run(&["backup", "verify", "plain"]));
    let exists = dev(&["backup", "create", "plain", "--plain"]);
    assert_eq!(exists.code, 7, "{}", exists.err);
    done(dev(&["backup", "create", "plain", "--plain", "--force"]));
}

/// Over the network, an admin's session could have read the credentials of all accounts.
#[test]
fn a_backup_can_be_made_at_the_admin_socket_only() {
    let site = Running::with_accounts();
    for command in ["backup", "backup_done"] {
        let output = site.call("maria", "maria.pass", &["site", command, "sealed:=true"]);
        assert_eq!(output.code, 5, "{}", output.err);
    }
}

/// An attacker with write access to the backups and a copy of the database replaced the sealed backup by a
/// plain one: it was restored, and the pass phrase of the sealed one was not used.
#[test]
fn a_plain_backup_is_refused_if_a_pass_phrase_is_given() {
    let site = with_backup_passphrase();
    done(backup(&site, &["create", "sealed"]));
    done(site.run(&["backup", "create", "plain", "--plain"]));
    std::fs::rename(site.path("plain"), site.path("sealed")).unwrap();
    for words in [
        &["verify", "sealed"][..],
        &["restore", "sealed", "--data", "other"],
    ] {
        let output = backup(&site, words);
        assert_eq!(output.code, 4, "{}", output.err);
        assert!(output.err.contains("plain backup"), "{}", output.err);
    }
    assert!(!site.path("other").exists(), "nothing was restored");
    done(site.run(&["backup", "restore", "sealed", "--data", "other"]));
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let site = with_backup_passphrase();
    done(backup(&site, &["create", "sealed"]));
    done(backup(&site, &["create", "plain", "--plain"]));
    for name in ["sealed", "plain"] {
        let whole = std::fs::read(site.path(name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for (bytes, what) in [(&whole[..whole.len() - 1], "cut"), (&flipped, "flipped")] {
            std::fs::write(site.path("damaged"), bytes).unwrap();
            for words in [
                &["verify", "damaged"][..],
                &["restore", "damaged", "--data", "new"],
            ] {
                let output = backup(&site, words);
                assert!(
                    output.code == 8 && output.err.contains("damaged"),
                    "{name} {what}: {}",
                    output.err
                );
            }
            assert!(!site.path("new").exists(), "{name} {what}");
        }
    }
    let wrong = site.run(&[
        "backup",
        "restore",
        "sealed",
        "--data",
        "new",
        "--passphrase-file",
        "wrong.pass",
    ]);
    assert!(
        wrong.code == 4 && wrong.err.contains("does not open"),
        "{}",
        wrong.err
    );
    assert!(!site.path("new").exists());
    let wrong = [
        "verify",
        "plain",
        "--unseal",
        "--site-passphrase-file",
        "wrong.pass",
    ];
    assert_eq!(backup(&site, &wrong).code, 4);
}

#[test]
fn a_restore_replaces_no_site_without_force_and_moves_it_aside_with_force() {
    let mut site = with_backup_passphrase();
    done(backup(&site, &["create", "kept"]));
    let refused = backup(&site, &["restore", "kept"]);
    assert!(
        refused.code == 7 && refused.err.contains("--force"),
        "{}",
        refused.err
    );
    let running = backup(&site, &["restore", "kept", "--force"]);
    assert!(running.err.contains("[folder_in_use]"), "{}", running.err);
    assert_eq!(site.stop(), Some(0));
    let database = std::fs::read(site.path("site/site.db")).unwrap();
    done(backup(&site, &["restore", "kept", "--force"]));
    let aside = std::fs::read_dir(site.path("site"))
        .unwrap()
        .flatten()
        .find(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("before-restore-")
        });
    let aside = aside.unwrap().path();
    assert_eq!(std::fs::read(aside.join("site.db")).unwrap(), database);
    site.start(&["--passphrase-file", "site.pass"]);
    done(site.call("maria", "maria.pass", &["self", "show"]));
}

/// A database of a newer version was reported as damaged, or was changed.
#[test]
fn a_backup_of_a_newer_version_is_reported_as_such() {
    let mut site = with_backup_passphrase();
    assert_eq!(site.stop(), Some(0));
    sql(
        &site.path("site/site.db"),
        &["INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
           SELECT 99, 'newer', installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1"],
    );
    let output = backup(&site, &["create", "newer"]);
    assert!(
        output.code == 1 && output.err.contains("newer version"),
        "{}",
        output.err
    );
    assert!(!site.path("newer").exists());
}

/// A copy of `site.db`, made while the site ran, lacked rows to which others refer; `audit verify`
/// reported no problem, since the hash chain was intact.
#[test]
fn a_database_with_missing_rows_is_reported() {
    let mut site = with_backup_passphrase();
    done(site.run(&["audit", "verify"]));
    assert_eq!(site.stop(), Some(0));
    sql(
        &site.path("site/site.db"),
        &[
            "PRAGMA foreign_keys = OFF",
            "DELETE FROM account WHERE kind = 'service'",
        ],
    );
    let doctor = site.run(&["doctor"]);
    assert!(
        doctor.code == 8 && doctor.out.contains("belongs to no row"),
        "{}",
        doctor.out
    );
    site.start(&["--passphrase-file", "site.pass"]);
    let output = site.run(&["audit", "verify"]);
    assert!(
        output.code == 8 && output.out.contains("damaged"),
        "{}",
        output.out
    );
    done(backup(&site, &["create", "broken"]));
    let output = backup(&site, &["verify", "broken"]);
    assert!(
        output.code == 8 && output.err.contains("belongs to no row"),
        "{}",
        output.err
    );
}

/// A partly written page of the database was found only at the first login that read it.
#[test]
fn a_database_with_a_torn_page_is_found_at_the_start() {
    let mut site = with_backup_passphrase();
    assert_eq!(site.stop(), Some(0));
    let database = site.path("site/site.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let page = 4096 * 4;
    bytes[page..page + 4096].fill(0xa5);
    std::fs::write(&database, &bytes).unwrap();
    let serve = [
        "serve",
        "--session-listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "site.pass",
    ];
    let output = site.run(&serve);
    assert!(
        output.code == 1 && output.err.contains("damaged"),
        "{}",
        output.err
    );
    assert_eq!(std::fs::read(&database).unwrap(), bytes);
    assert_eq!(site.run(&["doctor"]).code, 8);
}

#[test]
fn the_doctor_names_problems_and_what_to_do() {
    let site = with_backup_passphrase();
    let output = site.run(&["doctor"]);
    assert!(
        output.code == 8 && output.out.contains("countersign backup create"),
        "{}",
        output.out
    );
    let piped = site
        .command(&["backup", "create", "-", "--plain"])
        .output()
        .unwrap();
    assert!(piped.stdout.starts_with(b"countersign backup/1 plain\n"));
    let output = site.run(&["doctor", "--json"]);
    assert_eq!(
        (output.code, output.json()["problems"].as_u64()),
        (0, Some(0)),
        "{}",
        output.out
    );

    done(site.run(&["option", "floor", "delivered", "--yes"]));
    done(site.run(&["option", "enable", "delivered-key", "--yes"]));
    let mode = PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(site.path("site/site.db"), mode).unwrap();
    site.write(
        "site/countersign.toml",
        "version = 1\nlog.level = \"warning\"",
    );
    let output = site.run(&["doctor"]);
    for named in [
        "delivered-key is enabled",
        "chmod 600",
        "`warn`",
        "3 problems",
    ] {
        assert!(output.out.contains(named), "{named}: {}", output.out);
    }
    assert_eq!(output.code, 8);
    assert_eq!(site.run(&["doctor", "--data", "nowhere"]).code, 6);
    assert!(!output.out.contains(SITE_PASSPHRASE) && !output.out.contains(MARIAS_PASSPHRASE));
}

//! Seeds of what operators and users write: settings, files of the command line, values, templates of e-mail.

use std::fs;
use std::path::Path;

use countersign_crypto::file_signature::{FileDigest, FileSignature};
use countersign_crypto::site_key_slots::{RecoveryCode, SlotFile};
use countersign_proto::site_identity::{KnownSite, SignedKeyEvent};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::site::Site;
use serde_json::json;

use super::{key, write};

/// The example file with every setting, a short one, and values of settings.
pub(super) fn settings() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../countersign/src/config/example.toml"
    );
    let example = fs::read_to_string(Path::new(file)).unwrap();
    write("config_file", "example", &example);
    let is_name = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
    let is_setting = |line: &str| match line.split_once(" = ") {
        Some((key, _)) => is_name(key),
        None => line.starts_with('['),
    };
    let lines = example
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line));
    let set: Vec<&str> = lines.filter(|line| is_setting(line)).collect();
    write("config_file", "set", set.join("\n"));
    let short = "version = 1\n[listen]\nhttp = \"\"\nhttp_origins = [\"https://a.example\"]\n\
        public_host = \"b.example\"\n[log]\nlevel = \"warn\"\n[limits]\nconnections = 100\n";
    write("config_file", "short", short);
    for (name, value) in [
        ("duration", "90s"),
        ("milliseconds", "500ms"),
        ("filter", "info, countersign_server=debug"),
        ("host", "2001:db8::1"),
        ("address", "devices.example.org:443"),
        ("address_v6", "[2001:db8::1]:4748"),
    ] {
        write("config_value", name, value);
    }
}

/// Files and lines of the command line.
pub(super) fn command_line() {
    let profile = "version = 1\nid = \"ada@example.org\"\n\
        site_key = \"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"\nkey = \"ada@example.org.key\"\n\
        ticket = \"00\"\n\n[enrolled]\ndevice = \"1\"\nhost = \"devices.example.org\"\nport = 4748\n";
    write("cli_file", "profile", profile);
    let first = SignedKeyEvent::first(&key(1), &key(2).public(), 1_772_366_400_000);
    let known = KnownSite::whole(&[first]).unwrap();
    let entry = json!({ "pin": key(1).public().to_string(), "known": known });
    let known = json!({ "version": 1, "sites": [entry] });
    write("cli_file", "known_sites", known.to_string());
    let file = json!({ "name": "site.db", "bytes": 4_096 });
    let manifest = json!({ "created": 0, "version": "0.1.0", "files": [file] });
    write("cli_file", "manifest", manifest.to_string());
    write(
        "cli_file",
        "line",
        "name=maria 'full_name=Maria K.' seats:=2",
    );
    let utf_16 = "\u{feff}a\r\n".encode_utf16().flat_map(u16::to_le_bytes);
    write("cli_file", "utf_16", utf_16.collect::<Vec<u8>>());
    let mut file = FileDigest::new();
    file.update(b"the file of the seed");
    let signature = FileSignature::new(&Site::new().robot, file);
    write("file_signature", "signature", signature.to_pem());
}

/// Texts that stand for one value.
pub(super) fn values() {
    let entropy = &mut SeededEntropy::new(0).fork("texts");
    let code = RecoveryCode::generate(entropy);
    let file = SlotFile::generate(entropy);
    write("texts", "recovery_code", code.to_text().expose());
    write("texts", "slot_file", file.to_text().expose());
    for (name, value) in [
        ("id", "01010101-0101-0101-0101-010101010101"),
        ("device", "ada@example.org/phone"),
        ("foreign", "ledger@b.example"),
        ("source", "2001:db8:1:2::/64"),
        ("target", "group:admins"),
        ("time", "2026-03-01T12:00:00Z"),
        ("time_of_day", "22:30"),
        ("time_zone", "Europe/Berlin"),
        ("origin", "https://site.example:8443"),
        ("url", "https://site.example/auth"),
    ] {
        write("texts", name, value);
    }
}

/// Templates of e-mail with the text of an alarm.
pub(super) fn mail() {
    let text = "The disk <b>is</b> \"full\" & 'old'";
    for (name, template) in [
        ("subject", "{{severity}}: {{heading}}"),
        ("text", "{{heading}}\n\n{{alarms}}\n\n{{login}}"),
        (
            "html",
            "<!DOCTYPE html><html lang=\"{{language}}\"><!-- --><style>p{}</style><body><p>{{heading}} \
             {{name}}{{alarms}}<a href='{{link}}'>{{site}}</a>{{login}}",
        ),
    ] {
        write("mail_template", name, format!("{template}\0{text}"));
    }
}

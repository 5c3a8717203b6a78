//! One module for each target, and their names.

mod access_token;
mod account_name;
mod application_key;
mod audit_head;
mod broker_v1;
mod broker_v2;
mod certificate;
mod cli_file;
mod client_login;
mod config_file;
mod config_value;
mod delivered_key;
mod device_hello;
mod device_upgrade;
mod enrolment_request;
mod enrolment_ticket;
mod file_signature;
mod http_fields;
mod key_events;
mod key_file;
mod lines;
mod live_session;
mod mail_template;
mod operation_line;
mod packets;
mod passphrase_ticket;
mod peer_hello;
mod peer_join;
mod peer_line;
mod person_dump;
mod rest_request;
mod risp_read;
mod sealed_channel;
mod server_login;
mod signed_request;
mod site_key_slots;
mod site_uri;
mod stored_record;
mod stored_setting;
mod texts;
mod webhook_reply;
mod webhook_template;

/// A fuzz target: it panics if an input breaks a promise.
pub type Target = fn(&[u8]);

const ALL: &[(&str, Target)] = &[
    ("access_token", access_token::run),
    ("account_name", account_name::run),
    ("application_key", application_key::run),
    ("audit_head", audit_head::run),
    ("broker_v1", broker_v1::run),
    ("broker_v2", broker_v2::run),
    ("certificate", certificate::run),
    ("cli_file", cli_file::run),
    ("client_login", client_login::run),
    ("config_file", config_file::run),
    ("config_value", config_value::run),
    ("delivered_key", delivered_key::run),
    ("device_hello", device_hello::run),
    ("device_upgrade", device_upgrade::run),
    ("enrolment_request", enrolment_request::run),
    ("enrolment_ticket", enrolment_ticket::run),
    ("file_signature", file_signature::run),
    ("http_fields", http_fields::run),
    ("key_events", key_events::run),
    ("key_file", key_file::run),
    ("lines", lines::run),
    ("live_session", live_session::run),
    ("mail_template", mail_template::run),
    ("operation_line", operation_line::run),
    ("packets", packets::run),
    ("passphrase_ticket", passphrase_ticket::run),
    ("peer_hello", peer_hello::run),
    ("peer_join", peer_join::run),
    ("peer_line", peer_line::run),
    ("person_dump", person_dump::run),
    ("rest_request", rest_request::run),
    ("risp_read", risp_read::run),
    ("sealed_channel", sealed_channel::run),
    ("server_login", server_login::run),
    ("signed_request", signed_request::run),
    ("site_key_slots", site_key_slots::run),
    ("site_uri", site_uri::run),
    ("stored_record", stored_record::run),
    ("stored_setting", stored_setting::run),
    ("texts", texts::run),
    ("webhook_reply", webhook_reply::run),
    ("webhook_template", webhook_template::run),
];

/// The fuzz target of this name; `None` if there is none.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let found = ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}

/// The text at the beginning of an input, up to the first byte that is not UTF-8.
fn text(input: &[u8]) -> &str {
    let first = input.utf8_chunks().next();
    first.map_or("", |chunk| chunk.valid())
}

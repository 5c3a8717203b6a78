//! A configuration file from any text. A file and its table give the same settings, or are both refused.

use std::net::SocketAddr;

use countersign::parsers::{configuration, configuration_table};
use toml::{Table, Value};

use super::text;

pub(super) fn run(input: &[u8]) {
    let file = text(input);
    let table: Option<Table> = file.parse().ok();
    if table.as_ref().is_some_and(names_a_host) {
        return;
    }
    let read = configuration(file);
    let of_table = table.map(configuration_table);
    match (read, of_table) {
        (Ok(one), Some(Ok(other))) => assert_eq!(one, other),
        (Ok(settings), other) => panic!("{settings}: {other:?}"),
        (Err(_), Some(Ok(settings))) => panic!("only the table is accepted: {settings}"),
        (Err(_), _) => {}
    }
}

/// Whether a listener has a name in place of an address: it would be looked up, which a target must not do.
fn names_a_host(table: &Table) -> bool {
    let listen = table.get("listen").and_then(Value::as_table);
    let named =
        ["session", "http", "device", "peer", "health"].map(|key| listen?.get(key)?.as_str());
    let mut given = named.into_iter().flatten().map(str::trim);
    given.any(|text| text.contains(':') && text.parse::<SocketAddr>().is_err())
}

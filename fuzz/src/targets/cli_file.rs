//! Files and lines that the command line reads, from any bytes: profiles, known sites, manifests of backups,
//! text of other systems, and lines of the shell. One that is read is written and read again as the same.

use std::collections::HashMap;

use countersign::parsers::{backup_manifest, known_sites, parameters, profile, text as decoded};
use serde_json::value::RawValue;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    for parse in [profile, known_sites] {
        if let Ok(written) = parse(text) {
            assert_eq!(parse(&written), Ok(written.clone()));
        }
    }
    if let Ok(written) = backup_manifest(input) {
        assert_eq!(backup_manifest(written.as_bytes()), Ok(written.clone()));
    }
    if let Ok(read) = decoded(input.to_vec()) {
        let again = [b"\xef\xbb\xbf", read.as_bytes()].concat();
        assert_eq!(decoded(again), Ok(read));
    }
    if let Ok(params) = parameters(text) {
        let _: HashMap<String, Box<RawValue>> = serde_json::from_str(&params).unwrap();
    }
}

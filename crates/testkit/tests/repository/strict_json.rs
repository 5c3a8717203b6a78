//! Messages of other programs are read strictly: `countersign-proto` reads JSON with its module `json`
//! alone, and no derived reader there buffers a value, which would be read again without it.

use crate::tree::{self, File, Finding, assert_none};

const MESSAGES: &str = "crates/proto/src/";
const READER: &str = "crates/proto/src/json/";
const LENIENT: [&str; 4] = [
    "serde_json::from_str",
    "serde_json::from_slice",
    "serde_json::from_value",
    "serde_json::from_reader",
];
/// Attributes of types whose derived readers buffer.
const BUFFERED: [&str; 3] = ["untagged", "tag = ", "flatten"];

/// The lines before the tests of a file.
fn code(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.lines()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

fn lenient(file: &File) -> Vec<Finding> {
    let is_message = file.is("rs")
        && file.path.starts_with(MESSAGES)
        && !file.path.starts_with(READER)
        && !file.path.ends_with("tests.rs");
    if !is_message {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut derives = "";
    for (number, line) in code(file) {
        if line.trim_start().starts_with("#[derive(") {
            derives = line;
        }
        if LENIENT.iter().any(|call| line.contains(call)) {
            findings.push(file.finding(
                number,
                "use `json::read`, which accepts one form of a value",
            ));
        }
        let is_buffered =
            line.contains("serde(") && BUFFERED.iter().any(|word| line.contains(word));
        if is_buffered && derives.contains("Deserialize") {
            let problem =
                "a derived reader of this buffers its value; use `json::either`, or a form";
            findings.push(file.finding(number, problem));
        }
    }
    findings
}

/// An array of the values of the members was read as a message, and `{"idle":null}` as a word.
// OPS-13
#[test]
fn messages_of_other_programs_are_read_strictly() {
    assert_none(tree::files().iter().flat_map(lenient));
}

#[test]
fn a_lenient_reader_of_a_message_is_found_at_its_line() {
    let sample = "#[derive(Serialize)]\n#[serde(untagged)]\n\
        #[derive(Deserialize)]\n    #[serde(flatten)]\nserde_json::from_slice(line)\n\
        #[cfg(test)]\nserde_json::from_str(line)\n";
    let lines = |path| -> Vec<_> {
        let found = lenient(&File::new(path, sample));
        found.iter().map(|finding| finding.line).collect()
    };
    assert_eq!(lines("crates/proto/src/peer/line.rs"), [4, 5]);
    assert_eq!(lines("crates/proto/src/json/mod.rs"), [0; 0]);
    assert_eq!(lines("crates/core/src/engine/operation/params.rs"), [0; 0]);
}

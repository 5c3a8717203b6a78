//! Runs `person load` on any text. The site returns a result, and never an internal error.

use countersign_proto::operation::{Code, Operation};
use countersign_testkit::decisions::Decisions;
use serde_json::{json, value::to_raw_value};

use super::text;

thread_local! {
    static SITE: Decisions = Decisions::new();
}

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    let params = to_raw_value(&json!({ "dump": text })).unwrap();
    let outcome = SITE.with(|site| site.run(&Operation::new(1, "person", "load", params)));
    assert_ne!(outcome.code, Code::INTERNAL, "{}", outcome.data);
}

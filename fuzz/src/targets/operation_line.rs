//! Parses a line of the admin socket or of a script. A parsed operation is written on one line and
//! parses again to the same operation. The site returns a result for every operation, and never an
//! internal error.

use countersign_proto::operation::{Code, Operation};
use countersign_testkit::decisions::Decisions;

thread_local! {
    static SITE: Decisions = Decisions::new();
}

pub(super) fn run(line: &[u8]) {
    let Ok(operation) = serde_json::from_slice::<Operation>(line) else {
        return;
    };
    let written = serde_json::to_string(&operation).unwrap();
    assert!(line.contains(&b'\n') || !written.contains('\n'));
    let again: Operation = serde_json::from_str(&written).unwrap();
    assert_eq!(again, operation);
    let outcome = SITE.with(|site| site.run(&operation));
    assert_ne!(outcome.code, Code::INTERNAL, "{}", outcome.data);
}

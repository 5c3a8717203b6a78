//! A line at the admin socket or in a script. JSON that is an operation is written and read again as the
//! same, still fits one line, and is answered, whatever it asks for.

#![no_main]

use countersign_proto::operation::{Code, Operation};
use countersign_testkit::decisions::Decisions;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SITE: Decisions = Decisions::new();
}

fuzz_target!(|line: &[u8]| {
    let Ok(operation) = serde_json::from_slice::<Operation>(line) else {
        return;
    };
    let written = serde_json::to_string(&operation).unwrap();
    assert!(line.contains(&b'\n') || !written.contains('\n'));
    let again: Operation = serde_json::from_str(&written).unwrap();
    assert_eq!(again, operation);
    let outcome = SITE.with(|site| site.run(&operation));
    assert_ne!(outcome.code, Code::INTERNAL, "{}", outcome.data);
});

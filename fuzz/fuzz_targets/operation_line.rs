//! A line at the admin socket or in a script: JSON that is an operation is written and read again as the
//! same, and still fits one line.

#![no_main]

use countersign_proto::operation::Operation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(operation) = serde_json::from_slice::<Operation>(line) {
        let written = serde_json::to_string(&operation).unwrap();
        assert_eq!(
            serde_json::from_str::<Operation>(&written).unwrap(),
            operation
        );
        assert!(line.contains(&b'\n') || !written.contains('\n'));
    }
});

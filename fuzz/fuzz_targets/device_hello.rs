//! The first line of a device from any bytes: one that reads is written and read again as the same.

#![no_main]

use countersign_proto::device::{Hello, MAX_HELLO};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(hello) = Hello::read(line) {
        let written = hello.to_line();
        assert!(written.len() <= MAX_HELLO);
        assert_eq!(Hello::read(written.as_bytes()).unwrap(), hello);
    }
});

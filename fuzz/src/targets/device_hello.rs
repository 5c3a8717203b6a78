//! The first line of a device from any bytes: one that reads is written and read again as the same.

use countersign_proto::device::{Hello, MAX_HELLO};

pub(super) fn run(line: &[u8]) {
    if let Ok(hello) = Hello::read(line) {
        let written = hello.to_line();
        assert!(written.len() <= MAX_HELLO);
        assert_eq!(Hello::read(written.as_bytes()).unwrap(), hello);
    }
}

//! RISP from any bytes: no panic, nothing read that did not arrive, and what was read is written the same.

#![no_main]

use countersign_proto::risp::{MaxLength, Parsed, Reader, parse, put};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|wire: &[u8]| {
    let longest = MaxLength(1 << 16);
    let mut reader = Reader::new(wire, &longest);
    let mut written = Vec::new();
    for step in reader.by_ref() {
        let Ok((command, value)) = step else { break };
        put(&mut written, command, value).unwrap();
    }
    let used = reader.consumed();
    assert_eq!(written, wire[..used]);
    if let Ok(Parsed::Incomplete { needed }) = parse(&wire[used..], &longest) {
        assert!(needed > wire.len() - used);
    }
});

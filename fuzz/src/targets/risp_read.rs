//! Reads RISP from any bytes. Only bytes that arrived are read, and the commands are written to the
//! same bytes.

use countersign_proto::risp::{MaxLength, Parsed, Reader, parse, put};

pub(super) fn run(wire: &[u8]) {
    let max_length = MaxLength(1 << 16);
    let mut reader = Reader::new(wire, &max_length);
    let mut written = Vec::new();
    for step in reader.by_ref() {
        let Ok((command, value)) = step else { break };
        put(&mut written, command, value).unwrap();
    }
    let used = reader.consumed();
    assert_eq!(written, wire[..used]);
    if let Ok(Parsed::Incomplete { needed }) = parse(&wire[used..], &max_length) {
        assert!(needed > wire.len() - used);
    }
}

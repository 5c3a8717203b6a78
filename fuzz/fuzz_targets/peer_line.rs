//! A line between peers from any bytes: an operation, a result or the last line is written and read again as the
//! same, and no line is two of them.

#![no_main]

use countersign_proto::lines::{put_operation, put_outcome};
use countersign_proto::peer::PeerLine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(line) = PeerLine::read(bytes) else {
        return;
    };
    let mut written = Vec::new();
    match &line {
        PeerLine::Operation(operation) => put_operation(&mut written, operation, false).unwrap(),
        PeerLine::Outcome(outcome) => put_outcome(&mut written, outcome, false).unwrap(),
        PeerLine::End(end) => written.extend(end.to_line()),
    }
    let read = PeerLine::read(written.trim_ascii_end()).unwrap();
    match (line, read) {
        (PeerLine::Operation(one), PeerLine::Operation(other)) => {
            assert_eq!((one.id, one.group, one.command), (other.id, other.group, other.command));
        }
        (PeerLine::Outcome(one), PeerLine::Outcome(other)) => {
            assert_eq!((one.id, one.code, one.output), (other.id, other.code, other.output));
        }
        (PeerLine::End(one), PeerLine::End(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} became {other:?}"),
    }
});

//! Decodes JSON lines from any bytes. The lines do not depend on the pieces in which the bytes
//! arrive, and none is too long. A parsed message is written on one line and parses again to the
//! same message.

use countersign_proto::lines::{
    ContentLine, Decoder, put_event, put_operation, put_outcome, read_event, read_operation,
    read_outcome,
};

const MAX_LENGTH: usize = 1 << 10;

pub(super) fn run(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = lines(bytes, bytes.len().max(1));
    assert_eq!(whole, lines(bytes, usize::from(*size).max(1)));
    whole.iter().for_each(|line| again(line));
}

/// The lines of bytes that arrive in pieces of `size`, up to the first line that is too long.
fn lines(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(MAX_LENGTH);
    let mut found = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.tail(piece.len()).extend_from_slice(piece);
        while let Ok(Some(line)) = decoder.next_line() {
            assert!(line.len() <= MAX_LENGTH && !line.contains(&b'\n'));
            found.push(line.to_vec());
        }
    }
    while let Ok(Some(line)) = decoder.last_line() {
        found.push(line.to_vec());
    }
    found
}

fn again(line: &[u8]) {
    let mut out = Vec::new();
    if let Ok((operation, content)) = read_operation(line) {
        put_operation(&mut out, &operation, content).unwrap();
        assert_eq!(read_operation(&out).unwrap(), (operation, content));
    } else if let Ok((outcome, content)) = read_outcome(line) {
        put_outcome(&mut out, &outcome, content).unwrap();
        assert_eq!(read_outcome(&out).unwrap(), (outcome, content));
    } else if let Ok(event) = read_event(line) {
        put_event(&mut out, &event).unwrap();
        assert_eq!(read_event(&out).unwrap(), event);
    } else if let Ok(content) = ContentLine::read(line) {
        content.put(&mut out).unwrap();
        assert_eq!(ContentLine::read(&out).unwrap(), content);
    } else {
        return;
    }
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
}

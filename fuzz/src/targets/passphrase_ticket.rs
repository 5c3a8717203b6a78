//! The lines with which a client sets a pass phrase, from any bytes: the site's challenge and reply, and the
//! client's record. One that reads is written and read again as the same, and how the bytes are cut does not matter.

use countersign_proto::enrolment::passphrase::{
    AwaitingRecord, MAX_ANSWER, MAX_RECORD, RecordStep, RegistrationAnswer, RegistrationRecord,
};

pub(super) fn run(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    if let Ok(answer) = RegistrationAnswer::read(bytes) {
        let line = match &answer {
            RegistrationAnswer::Challenge(challenge) => challenge.to_line(),
            RegistrationAnswer::Reply(reply) => reply.to_line(),
        };
        assert!(line.len() <= MAX_ANSWER);
        assert_eq!(RegistrationAnswer::read(&line).unwrap(), answer);
    }
    let whole = record(bytes, bytes.len().max(1));
    let in_pieces = record(bytes, usize::from(*size).max(1));
    assert!(whole == in_pieces);
    if let Some(record) = whole {
        let line = record.to_line();
        assert!(line.expose().len() <= MAX_RECORD);
        assert!(RegistrationRecord::read(line.expose()).unwrap() == record);
    }
}

/// The record in bytes that arrive in pieces of that size.
fn record(bytes: &[u8], size: usize) -> Option<RegistrationRecord> {
    let mut waiting = AwaitingRecord::new();
    for piece in bytes.chunks(size) {
        assert!(waiting.room() > 0);
        match waiting.receive(piece).ok()? {
            RecordStep::More(more) => waiting = more,
            RecordStep::Record(record) => return Some(*record),
        }
    }
    None
}

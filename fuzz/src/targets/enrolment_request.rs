//! A request to enrol, or to set a pass phrase, from any bytes: what is read does not depend on how
//! the bytes are cut, is written and read again as the same, and proves nothing on a connection
//! that it was not made for. The first byte says in which pieces the bytes arrive.

use countersign_proto::enrolment::passphrase::RegistrationRequest;
use countersign_proto::enrolment::server::{AwaitingRequest, RequestStep};
use countersign_proto::enrolment::{EnrolmentRequest, Exporter, MAX_REQUEST};

pub(super) fn run(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(*size).max(1)));
    match whole {
        None => {}
        Some(Asked::Device(request)) => {
            let line = request.to_line();
            assert!(line.expose().len() <= MAX_REQUEST);
            assert_eq!(EnrolmentRequest::read(line.expose()).unwrap(), request);
            // The seeds were made for another.
            assert!(request.verify(&Exporter([0; 32])).is_err());
        }
        Some(Asked::Passphrase(request)) => {
            let line = request.to_line();
            assert!(line.expose().len() <= MAX_REQUEST);
            assert_eq!(RegistrationRequest::read(line.expose()).unwrap(), request);
            assert!(request.verify(&Exporter([0; 32])).is_err());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Device(EnrolmentRequest),
    Passphrase(RegistrationRequest),
}

/// The request in bytes that arrive in pieces of that size.
fn read(bytes: &[u8], size: usize) -> Option<Asked> {
    let mut waiting = AwaitingRequest::new();
    for piece in bytes.chunks(size) {
        assert!(waiting.room() > 0);
        match waiting.receive(piece).ok()? {
            RequestStep::More(more) => waiting = more,
            RequestStep::Request(request) => return Some(Asked::Device(*request)),
            RequestStep::Registration(request) => return Some(Asked::Passphrase(*request)),
            RequestStep::KeyEvents(_, next) => waiting = next,
        }
    }
    None
}

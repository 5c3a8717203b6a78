//! A line between peers from any bytes: an operation, a result or the last line is written and read again as the
//! same, and no line is two of them. What it carries is read as each message between peers: one that is read is
//! written and read again as the same.

use std::collections::BTreeMap;
use std::fmt::Debug;

use countersign_core::engine::{
    DeliveryReport, HeadOffer, HeadReply, Incoming, PeerAddressNotice, PeerStatus,
};
use countersign_proto::broker::v2::foreign::{ForeignName, ForeignRequest};
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::lines::{put_operation, put_outcome};
use countersign_proto::peer::PeerLine;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn run(bytes: &[u8]) {
    let Ok(line) = PeerLine::read(bytes) else {
        return;
    };
    let mut written = Vec::new();
    match &line {
        PeerLine::Operation(operation) => {
            parameters(operation.params.get());
            put_operation(&mut written, operation, false).unwrap();
        }
        PeerLine::Outcome(outcome) => {
            results(outcome.data.get());
            put_outcome(&mut written, outcome, false).unwrap();
        }
        PeerLine::End(end) => written.extend(end.to_line()),
    }
    let read = PeerLine::read(written.trim_ascii_end()).unwrap();
    match (line, read) {
        (PeerLine::Operation(one), PeerLine::Operation(other)) => {
            assert_eq!(
                (one.id, one.group, one.command),
                (other.id, other.group, other.command)
            );
        }
        (PeerLine::Outcome(one), PeerLine::Outcome(other)) => {
            assert_eq!(
                (one.id, one.code, one.output),
                (other.id, other.code, other.output)
            );
        }
        (PeerLine::End(one), PeerLine::End(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} became {other:?}"),
    }
}

/// What the operations have that a peer may call.
fn parameters(text: &str) {
    again::<HeadOffer>(text);
    again::<PeerAddressNotice>(text);
    again::<BTreeMap<String, Vec<ForeignName>>>(text);
    let _ = serde_json::from_str::<BTreeMap<String, Vec<Incoming>>>(text);
}

/// What the results have.
fn results(text: &str) {
    again::<HeadReply>(text);
    again::<PeerStatus>(text);
    let _ = serde_json::from_str::<BTreeMap<String, Vec<DeliveryReport>>>(text);
    let tickets = serde_json::from_str::<BTreeMap<String, TicketResult>>(text);
    let asked = ForeignRequest {
        consumer: "billing@a.example".parse().unwrap(),
        provider: "ledger@b.example".parse().unwrap(),
        nonce: Nonce([0; 16]),
    };
    for ticket in tickets.unwrap_or_default().into_values() {
        if let TicketResult::Granted(response) = ticket
            && asked.is_answered_by(&response)
        {
            assert_eq!(response.requested, "ledger@b.example");
            assert!(response.ts < response.expires);
        }
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    if let Ok(read) = serde_json::from_str::<T>(text) {
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<T>(&written).unwrap(), read);
    }
}

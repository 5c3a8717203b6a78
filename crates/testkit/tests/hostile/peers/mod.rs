//! The hostile corpus of peers (`vectors/hostile-peers`): each message between sites.

mod answers;
mod exchange;
mod stages;

use serde::{Deserialize, Serialize};

use crate::corpus::{self, Refused};

/// What the bytes are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Dialog {
    /// A peer ticket as URI or JSON.
    Ticket,
    /// The first line of a client without a certificate: a sealed request, or one for key events.
    First,
    /// The request to join that is sealed in the first line.
    Request,
    /// The answer to a request to join.
    Answer,
    /// A page of key events, to a site that knows the first one.
    KeyEvents,
    /// The first line of the site that connects, whose first key event is known.
    Hello,
    /// The first line of the other site.
    Welcome,
    /// A later line, of at most 256 bytes.
    Line,
    /// The parameters of `peer deliver`, at a site with the person ada.
    Deliver,
    /// The result of `peer deliver`.
    Reports,
    /// The parameters of `broker foreign_ticket`, at a site whose application `ledger` admits
    /// `billing@b.example`.
    ForeignTicket,
    /// The result of `broker foreign_ticket`.
    ForeignTicketAnswer,
    /// The parameters of `broker foreign_void`.
    ForeignVoid,
    /// The parameters of `peer address`.
    Address,
    /// The parameters of `peer ping`.
    Ping,
    /// The result of `peer ping`.
    Status,
    /// The parameters of `peer audit_head`, at a site that has countersigned the head of entry 5.
    AuditHead,
    /// The result of `peer audit_head`.
    HeadReply,
    /// The last line of a connection.
    End,
}

impl corpus::Dialog for Dialog {
    const FOLDER: &'static str = "hostile-peers";
    const ALL: &'static [Self] = &[
        Self::Ticket,
        Self::First,
        Self::Request,
        Self::Answer,
        Self::KeyEvents,
        Self::Hello,
        Self::Welcome,
        Self::Line,
        Self::Deliver,
        Self::Reports,
        Self::ForeignTicket,
        Self::ForeignTicketAnswer,
        Self::ForeignVoid,
        Self::Address,
        Self::Ping,
        Self::Status,
        Self::AuditHead,
        Self::HeadReply,
        Self::End,
    ];

    fn read(self, bytes: &[u8]) -> Result<(), Refused> {
        match self {
            Self::Ticket => stages::ticket(bytes),
            Self::First => stages::first(bytes),
            Self::Request => stages::request(bytes),
            Self::Answer => stages::answer(bytes),
            Self::KeyEvents => stages::key_events(bytes),
            Self::Hello => stages::hello(bytes),
            Self::Welcome => stages::welcome(bytes),
            Self::Line => stages::line(bytes),
            Self::Deliver => stages::deliver(bytes),
            Self::Reports => stages::reports(bytes),
            Self::ForeignTicket => exchange::operation("broker", "foreign_ticket", bytes),
            Self::ForeignTicketAnswer => answers::ticket(bytes),
            Self::ForeignVoid => exchange::operation("broker", "foreign_void", bytes),
            Self::Address => exchange::operation("peer", "address", bytes),
            Self::Ping => exchange::operation("peer", "ping", bytes),
            Self::Status => exchange::status(bytes),
            Self::AuditHead => exchange::audit_head(bytes),
            Self::HeadReply => exchange::head_reply(bytes),
            Self::End => exchange::end(bytes),
        }
    }
}

// PEER-1, PEER-4, PEER-5, PEER-6, PEER-7, PEER-11, PEER-14, PEER-15, PEER-17, PEER-18, PEER-20,
// PEER-26, PEER-28, PEER-29, PEER-32, PEER-33, PEER-34, PEER-41
#[test]
fn every_hostile_message_of_a_peer_is_refused_at_its_stage() {
    corpus::assert_refused::<Dialog>(350);
}

#[test]
fn every_dialog_of_peers_has_an_input_without_a_fault_and_five_with_one() {
    corpus::assert_complete::<Dialog>();
}

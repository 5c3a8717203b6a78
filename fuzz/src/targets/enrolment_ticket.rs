//! An enrolment ticket from any text, as URI and as JSON: one that reads is written in each form and read again as
//! the same.

use countersign_proto::enrolment::EnrolmentTicket;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    let Ok(ticket) = text.parse::<EnrolmentTicket>() else {
        return;
    };
    for form in [ticket.to_uri(), ticket.to_qr_uri(), ticket.to_json()] {
        assert_eq!(form.expose().parse(), Ok(ticket.clone()));
    }
}

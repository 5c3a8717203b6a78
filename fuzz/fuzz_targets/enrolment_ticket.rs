//! An enrolment ticket from any text, as URI and as JSON: one that reads is written in each form and read again as
//! the same.

#![no_main]

use countersign_proto::enrolment::EnrolmentTicket;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(ticket) = text.parse::<EnrolmentTicket>() else {
        return;
    };
    for form in [ticket.to_uri(), ticket.to_qr_uri(), ticket.to_json()] {
        assert_eq!(form.expose().parse(), Ok(ticket.clone()));
    }
});

//! Tickets, the enrolment dialog, and the first lines of a device connection.

use countersign_crypto::device_key::DeviceIdentity;
use countersign_proto::device::{DeviceWelcome, Hello};
use countersign_proto::enrolment::{
    EnrolmentReply, EnrolmentRequest, EnrolmentTicket, Exporter, TicketKind, Token,
};
use countersign_proto::site_identity::SiteId;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::site::Site;
use proptest::prelude::*;

use super::speller::Speller;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // DEV-4, DEV-9, DEV-20
    #[test]
    fn enrolment_is_read_in_every_spelling(seed in any::<u64>()) {
        let (mut speller, entropy) = (Speller::new(seed), &mut SeededEntropy::new(seed));
        let site = Site::new().settings.key.public();
        let token = Token::generate(entropy);
        let ticket =
            EnrolmentTicket::new(TicketKind::Device, "a.example.org", 1, token, site.signing).unwrap();
        let spelled = speller.text(ticket.to_json().expose());
        prop_assert_eq!(spelled.parse(), Ok(ticket.clone()), "{}", spelled);

        let mut speller = speller.on_one_line();
        let (id, device) = ("ada@example.org".parse().unwrap(), "a \"phone\" \u{1f4f1}".parse().unwrap());
        let identity = DeviceIdentity::generate(entropy);
        let exporter = Exporter([9; 32]);
        let request = EnrolmentRequest::new(ticket.token().clone(), id, device, &identity, &exporter);
        let line = request.to_line();
        let spelled = speller.text(std::str::from_utf8(line.expose()).unwrap());
        let read = EnrolmentRequest::read(spelled.as_bytes()).unwrap();
        prop_assert!(read.verify(&exporter).is_ok());
        prop_assert_eq!(read, request);

        let reply = EnrolmentReply::new("0a-1b", "a.example.org", 4748, SiteId([4; 32])).unwrap();
        let spelled = speller.text(&String::from_utf8(reply.to_line()).unwrap());
        prop_assert_eq!(EnrolmentReply::read(spelled.as_bytes()).unwrap(), reply);
        let hello = Hello { id: "ada@example.org".parse().unwrap() };
        let spelled = speller.text(&hello.to_line());
        prop_assert_eq!(Hello::read(spelled.as_bytes()).unwrap(), hello);
        let welcome = DeviceWelcome { idle_seconds: 900, line_bytes: 1 << 20, in_flight: 64 };
        let spelled = speller.text(&welcome.to_line());
        prop_assert_eq!(DeviceWelcome::read(spelled.as_bytes()).unwrap(), welcome);
    }
}

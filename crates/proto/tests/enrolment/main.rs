//! Enrolment: tickets in all their spellings, whole dialogs, and what is refused at which stage.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod channel;
mod dialog;
mod passphrase;
mod peer;
mod peer_hostile;
mod ticket;

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::enrolment::{
    EnrolmentReply, EnrolmentRequest, EnrolmentTicket, Exporter, TicketKind, Token,
};
use countersign_proto::site_identity::SiteId;

/// The exporter of the connection in these tests.
const EXPORTER: Exporter = Exporter([9; 32]);

/// Made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
const P256: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAGhRANCAARrF9Hy4SxCR/i85uVjpEDydwN9gS3r
M6D0oTlF2JjClk/jQuL+Gn+bjufrSnwPnhYrzjNXazFezsu2QGg3v1H1
-----END PRIVATE KEY-----
";

fn site() -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])))
}

/// The id of the site.
const SITE: SiteId = SiteId([3; 32]);

fn ticket() -> EnrolmentTicket {
    let token = Token::from_bytes([2; 16]);
    let site = site().public().signing;
    EnrolmentTicket::new(TicketKind::Device, "login.example.org", 4748, token, site).unwrap()
}

/// A new Ed25519 key and the P-256 key.
fn identities() -> [DeviceIdentity; 2] {
    let p256 = DeviceIdentity::from_pem(P256).unwrap();
    [DeviceIdentity::generate(&mut SystemEntropy), p256]
}

fn request(identity: &DeviceIdentity) -> EnrolmentRequest {
    let id = "ada@example.org".parse().unwrap();
    let device = "Ada's phone".parse().unwrap();
    EnrolmentRequest::new(ticket().token().clone(), id, device, identity, &EXPORTER)
}

fn reply() -> EnrolmentReply {
    EnrolmentReply::new("0a1b-2c", "devices.example.org", 4749, SITE).unwrap()
}

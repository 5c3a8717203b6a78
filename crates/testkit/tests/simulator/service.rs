//! A client is authenticated as a service only if it proves the key of a registered certificate.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_proto::session::EncryptionOption;
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::MaliciousMember;
use countersign_testkit::pair::{SESSION_LIFETIME, Server, ServerClosed};
use countersign_testkit::site::{ROBOT, Site};

use crate::dialog::site;

const NOP: [u8; 2] = [0x70, 0x00];

/// Logs in to the site with this key, names the service's certificate, and confirms the handshake.
fn log_in<'a>(site: &'a Site, key: &Identity) -> Server<'a> {
    let mut server = Server::new(site, SeededEntropy::new(1), SESSION_LIFETIME);
    let mut malicious_member = MaliciousMember::service_with(key.agreement(), site, &mut server);
    server.receive(0, &malicious_member.seal(&NOP));
    server
}

/// [SES-15]: each handshake is valid and names the same registered certificate.
#[test]
fn a_certificate_authenticates_only_a_client_that_proves_its_key() {
    let mut site = site(EncryptionOption::X25519Aes256Gcm);
    let robot = Arc::clone(&site.robot);
    let other = Identity::generate(&mut SystemEntropy);
    assert_eq!(log_in(&site, &robot).session_account(), Some(ROBOT));
    for key in [&other, &*site.maria] {
        let server = log_in(&site, key);
        assert_eq!(server.closed(), Some(&ServerClosed::RefusedInside));
        assert_eq!(server.session_account(), None);
    }
    site.locked = true;
    let server = log_in(&site, &robot);
    assert_eq!(server.closed(), Some(&ServerClosed::RefusedInside));
    assert_eq!(server.session_account(), None);
}

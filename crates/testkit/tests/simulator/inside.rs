//! Packets of a malicious member: they open, but their contents violate the protocol.

use countersign_crypto::hash::sha256;
use countersign_proto::risp::Value;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::server::FromClient;
use countersign_proto::session::{EncryptionOption, SessionRefusal, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{
    Client, ClientClosed, SESSION_LIFETIME, Server, ServerClosed, Who,
};
use countersign_testkit::simulator::operation;
use countersign_testkit::site::{ROBOT, Site};

use crate::dialog::site;

const OPTIONS: [EncryptionOption; 4] = [
    EncryptionOption::X25519Aes256Gcm,
    EncryptionOption::X25519Aes128Gcm,
    EncryptionOption::X25519ChaCha20Poly1305,
    EncryptionOption::DeliveredKey,
];

fn server(site: &Site) -> (Server<'_>, MaliciousMember) {
    let mut server = Server::new(site, SeededEntropy::new(1), SESSION_LIFETIME);
    let malicious_member = MaliciousMember::service(site, &mut server);
    (server, malicious_member)
}

fn client(site: &Site) -> (Client, MaliciousMember) {
    let who = Who::Service(&site.robot);
    let mut client = Client::new(site.client(), who, SeededEntropy::new(1));
    let malicious_member = MaliciousMember::site(site, &mut client);
    (client, malicious_member)
}

/// A message with these fields.
fn message(id: u64, fields: &[(countersign_proto::risp::Command, Value<'_>)]) -> Vec<u8> {
    let mut message = Vec::new();
    put(&mut message, c::MESSAGE_ID, Value::U64(id));
    for (command, value) in fields {
        put(&mut message, *command, *value);
    }
    put(&mut message, c::END, Value::Nothing);
    message
}

fn welcome() -> Vec<u8> {
    let mut welcome = Vec::new();
    put(&mut welcome, c::SESSION_ID, Value::Bytes(&[1; 16]));
    put(&mut welcome, c::EXPIRES, Value::U64(SESSION_LIFETIME));
    put(
        &mut welcome,
        c::USERNAME,
        Value::Bytes(b"robot@example.org"),
    );
    welcome
}

#[test]
fn the_malicious_member_interoperates_while_it_follows_the_protocol() {
    for option in OPTIONS {
        let site = site(option);
        let (mut server, mut malicious_member) = server(&site);
        let echo = message(
            1,
            &[
                (c::GROUP, Value::Bytes(b"test")),
                (c::COMMAND, Value::Bytes(b"echo")),
                (c::PARAMS, Value::Bytes(b"\"xx\"")),
            ],
        );
        server.receive(0, &malicious_member.seal(&echo));
        assert_eq!(server.session_account(), Some(ROBOT));
        assert_eq!(server.received(), [FromClient::Operation(operation(1, 2))]);

        let (mut client, mut malicious_member) = client(&site);
        client.receive(&malicious_member.seal(&welcome()));
        let result = message(1, &[(c::CODE, Value::U16(0))]);
        client.receive(&malicious_member.seal(&result));
        assert!(matches!(client.received(), [FromSite::Outcome(outcome)] if outcome.id == 1));
    }
}

/// [SES-21] and [SES-22]: a malformed message ends the session, as does a packet that does not
/// open.
#[test]
fn a_message_that_violates_the_protocol_ends_the_session() {
    let digest = [0; 32];
    let field = |command, value: &[u8]| {
        let mut wire = Vec::new();
        put(&mut wire, command, Value::Bytes(value));
        wire
    };
    let for_both = [
        vec![0x70],
        field(c::GROUP, b"test"),
        field(c::DATA, b"{}"),
        vec![0x70, 0x10],
        message(1, &[(c::VERIFICATION_SHA256, Value::Bytes(&digest))]),
        message(1, &[(c::VERIFICATION_SHA256, Value::Bytes(&digest[1..]))]),
        message(1, &[(c::GROUP, Value::Bytes(b"a")); 2]),
        message(1, &[(c::GROUP, Value::Bytes(&[0xff]))]),
        (0..129).fold(Vec::new(), |mut wire, id| {
            put(&mut wire, c::MESSAGE_ID, Value::U64(id));
            wire
        }),
        [0x70, 0x00].repeat(32_769),
    ];
    let site = Site::offering(
        countersign_proto::session::OptionList::new(OPTIONS),
        1 << 20,
    );
    for bad in &for_both {
        let (mut server, mut malicious_member) = server(&site);
        server.receive(0, &malicious_member.seal(&[0x70, 0x00]));
        server.receive(0, &malicious_member.seal(bad));
        let aborted = matches!(
            server.closed(),
            Some(ServerClosed::Refused(
                SessionRefusal::BadMessage(_) | SessionRefusal::BadPacket(_)
            ))
        );
        assert!(aborted && server.received().is_empty(), "{bad:02x?}");

        let mut settings = site.client();
        settings.max_packet = 1 << 20;
        let who = Who::Service(&site.robot);
        let mut client = Client::new(settings, who, SeededEntropy::new(1));
        let mut malicious_member = MaliciousMember::site(&site, &mut client);
        client.receive(&malicious_member.seal(&welcome()));
        client.receive(&malicious_member.seal(bad));
        let aborted = matches!(client.closed(), Some(ClientClosed::Aborted(_)));
        assert!(aborted && client.received().is_empty(), "{bad:02x?}");
    }
}

/// [SES-37]: both records open, but the digest is not that of the data.
#[test]
fn a_digest_of_other_data_ends_the_session() {
    let site = site(EncryptionOption::DeliveredKey);
    let nop = [0x70, 0x00];
    for at in 0..32 {
        let mut digest = sha256(&nop);
        digest[at] ^= 1;
        let (mut server, mut malicious_member) = server(&site);
        server.receive(0, &malicious_member.seal(&nop));
        assert!(server.is_live());
        server.receive(0, &malicious_member.seal_with(&nop, digest));
        let refused = matches!(
            server.closed(),
            Some(ServerClosed::Refused(SessionRefusal::BadPacket(_)))
        );
        assert!(refused, "byte {at}: {:?}", server.closed());
    }
}

#[test]
fn a_first_packet_without_a_whole_welcome_gives_no_session() {
    let site = site(OPTIONS[0]);
    let whole = welcome();
    for length in 0..whole.len() {
        let (mut client, mut malicious_member) = client(&site);
        client.receive(&malicious_member.seal(&whole[..length]));
        assert!(!client.had_session(), "{length} bytes of a welcome");
        assert!(client.closed().is_some());
    }
}

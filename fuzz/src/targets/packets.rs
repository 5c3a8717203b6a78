//! Gives one end of a session packets with any contents from a malicious member, or any bytes from
//! an attacker without the keys. Neither causes a panic, and no message is received from the
//! attacker.

use std::sync::LazyLock;

use countersign_proto::risp::Value;
use countersign_proto::session::{EncryptionOption, OptionList, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{Client, SESSION_LIFETIME, Server, Who};
use countersign_testkit::site::Site;

/// A site for each format of packets.
static SITES: LazyLock<[Site; 2]> = LazyLock::new(|| {
    [
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ]
    .map(|option| Site::offering(OptionList::new([option]), 65_536))
});

const NOP: [u8; 2] = [0x70, 0x00];

// The first byte selects the receiver, whether the sender is a malicious member, and the format of
// packets. The packets of a malicious member follow, each after its length in 2 bytes.
pub(super) fn run(input: &[u8]) {
    let Some((first, wire)) = input.split_first() else {
        return;
    };
    let site = &SITES[usize::from(first & 8 != 0)];
    let at_server = first & 1 == 0;
    let authenticated = first & 2 == 0;
    if at_server {
        let mut server = Server::new(site, SeededEntropy::new(1), SESSION_LIFETIME);
        let mut malicious_member = MaliciousMember::service(site, &mut server);
        if authenticated {
            packets(wire, |packet| {
                server.receive(0, &malicious_member.seal(packet))
            });
        } else {
            server.receive(0, &malicious_member.seal(&NOP));
            assert!(server.is_live());
            server.receive(0, wire);
            assert!(server.received().is_empty());
        }
    } else {
        let who = Who::Service(&site.robot);
        let mut client = Client::new(site.client(), who, SeededEntropy::new(1));
        let mut malicious_member = MaliciousMember::site(site, &mut client);
        if authenticated && first & 4 != 0 {
            packets(wire, |packet| {
                client.receive(&malicious_member.seal(packet))
            });
            return;
        }
        client.receive(&malicious_member.seal(&welcome()));
        assert!(client.is_live());
        if authenticated {
            packets(wire, |packet| {
                client.receive(&malicious_member.seal(packet))
            });
        } else {
            client.receive(wire);
            assert!(client.received().is_empty());
        }
    }
}

fn packets(mut wire: &[u8], mut send: impl FnMut(&[u8])) {
    while let Some((length, rest)) = wire.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        send(packet);
        wire = rest;
    }
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

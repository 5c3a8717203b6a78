//! A live session's bytes: packets whose contents are anything at all, from a peer that holds the keys;
//! and any bytes in their place, from somebody who does not. Neither makes an end panic, and of the
//! second nothing is heard.

#![no_main]

use std::sync::LazyLock;

use countersign_proto::risp::Value;
use countersign_proto::session::{EncryptionOption, OptionList, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{Client, LIFE, Server, Who};
use countersign_testkit::site::Site;
use libfuzzer_sys::fuzz_target;

/// One for each form that packets have.
static SITES: LazyLock<[Site; 2]> = LazyLock::new(|| {
    [
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ]
    .map(|option| Site::offering(OptionList::new([option]), 65_536))
});

const NOP: [u8; 2] = [0x70, 0x00];

// The first byte says who receives, whether it comes from an insider, and the form of packets. An
// insider's packets follow, each after its length in 2 bytes.
fuzz_target!(|input: &[u8]| {
    let Some((first, wire)) = input.split_first() else {
        return;
    };
    let site = &SITES[usize::from(first & 8 != 0)];
    let at_server = first & 1 == 0;
    let inside = first & 2 == 0;
    if at_server {
        let mut server = Server::new(site, SeededEntropy::new(1), LIFE);
        let mut malicious_member = MaliciousMember::service(site, &mut server);
        if inside {
            packets(wire, |packet| server.receive(0, &malicious_member.seal(packet)));
        } else {
            server.receive(0, &malicious_member.seal(&NOP));
            assert!(server.is_live());
            server.receive(0, wire);
            assert!(server.heard().is_empty());
        }
    } else {
        let who = Who::Service(&site.robot);
        let mut client = Client::new(site.client(), who, SeededEntropy::new(1));
        let mut malicious_member = MaliciousMember::site(site, &mut client);
        if inside && first & 4 != 0 {
            packets(wire, |packet| client.receive(&malicious_member.seal(packet)));
            return;
        }
        client.receive(&malicious_member.seal(&welcome()));
        assert!(client.is_live());
        if inside {
            packets(wire, |packet| client.receive(&malicious_member.seal(packet)));
        } else {
            client.receive(wire);
            assert!(client.heard().is_empty());
        }
    }
});

fn packets(mut wire: &[u8], mut say: impl FnMut(&[u8])) {
    while let Some((length, rest)) = wire.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        say(packet);
        wire = rest;
    }
}

fn welcome() -> Vec<u8> {
    let mut welcome = Vec::new();
    put(&mut welcome, c::SESSION_ID, Value::Bytes(&[1; 16]));
    put(&mut welcome, c::EXPIRES, Value::U64(LIFE));
    put(
        &mut welcome,
        c::USERNAME,
        Value::Bytes(b"robot@example.org"),
    );
    welcome
}

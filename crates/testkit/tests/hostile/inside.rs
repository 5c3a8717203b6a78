//! Faults of a malicious member: packets that open, with contents that violate the protocol.

use countersign_proto::risp::Value;
use countersign_proto::session::{OptionList, command as c};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::{MaliciousMember, put};
use countersign_testkit::pair::{Client, ClientClosed, Server, ServerClosed, Who};
use countersign_testkit::site::Site;

use crate::fault::{Fault, bytes};
use crate::file::{File, Stage};

const NOP: [u8; 2] = [0x70, 0x00];

pub(crate) fn run(file: &File) -> (Stage, String) {
    let site = Site::offering(OptionList::new([file.option()]), 65_536);
    match &file.fault {
        Fault::InsideToServer(packets) => {
            let mut server = Server::new(&site, SeededEntropy::new(1), u64::MAX);
            let mut malicious_member = MaliciousMember::service(&site, &mut server);
            server.receive(0, &malicious_member.seal(&NOP));
            for packet in packets {
                server.receive(0, &malicious_member.seal(&bytes(packet)));
            }
            match server.closed() {
                Some(ServerClosed::Refused(refusal)) => (Stage::of(refusal), refusal.to_string()),
                Some(closed) => panic!("{closed:?}"),
                None if server.received().is_empty() => (Stage::Waits, String::new()),
                None => (Stage::Accepted, String::new()),
            }
        }
        Fault::InsideToClient(packets) => {
            let mut client = Client::new(
                site.client(),
                Who::Service(&site.robot),
                SeededEntropy::new(1),
            );
            let mut malicious_member = MaliciousMember::site(&site, &mut client);
            client.receive(&malicious_member.seal(&welcome()));
            for packet in packets {
                client.receive(&malicious_member.seal(&bytes(packet)));
            }
            match client.closed() {
                Some(ClientClosed::Aborted(refusal)) => (Stage::of(refusal), refusal.to_string()),
                Some(ClientClosed::Failed(error)) => (Stage::of_login(error), error.to_string()),
                Some(closed) => panic!("{closed:?}"),
                None if client.received().is_empty() => (Stage::Waits, String::new()),
                None => (Stage::Accepted, String::new()),
            }
        }
        _ => panic!("not a fault of a malicious member"),
    }
}

fn welcome() -> Vec<u8> {
    let mut welcome = Vec::new();
    put(&mut welcome, c::SESSION_ID, Value::Bytes(&[1; 16]));
    put(&mut welcome, c::EXPIRES, Value::U64(u64::MAX));
    put(
        &mut welcome,
        c::USERNAME,
        Value::Bytes(b"robot@example.org"),
    );
    welcome
}

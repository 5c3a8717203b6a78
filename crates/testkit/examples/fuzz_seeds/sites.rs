//! Seeds of what devices and other sites send: enrolment, connections, key events.

use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::device::{DeviceWelcome, Hello};
use countersign_proto::enrolment::channel::client::AwaitingSiteKey;
use countersign_proto::enrolment::passphrase::{
    RegistrationChallenge, RegistrationRecord, RegistrationReply,
};
use countersign_proto::enrolment::{
    EnrolmentRequest, EnrolmentTicket, Exporter, TicketKind, Token,
};
use countersign_proto::peer::{
    AuditHead, AuditReceipt, JoinRequest, Joining, PeerEnd, PeerHello, PeerTicket, PeerWelcome,
    SignedAuditHead, WitnessedHead,
};
use countersign_proto::risp::Value;
use countersign_proto::session::command as c;
use countersign_proto::site_identity::{KeyEventsRequest, SignedKeyEvent, SiteId};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::malicious_member::put;
use countersign_testkit::site::{Site, key_event};
use serde_json::json;

use super::write;

/// A ticket in its forms, and requests with a key of each kind.
pub(super) fn enrolment() {
    let entropy = &mut SeededEntropy::new(0).fork("enrolment");
    let site = Site::new().settings.key.public().signing;
    let token = Token::generate(entropy);
    let host = "devices.example.org";
    let ticket = EnrolmentTicket::new(TicketKind::Device, host, 4_748, token, site).unwrap();
    for (name, form) in [
        ("uri", ticket.to_uri()),
        ("qr", ticket.to_qr_uri()),
        ("json", ticket.to_json()),
    ] {
        write("enrolment_ticket", name, form.expose());
    }
    let ed25519 = DeviceIdentity::generate(entropy);
    // The private key 1 (RFC 5915).
    let mut sec1 = vec![0x30, 0x31, 2, 1, 1, 4, 32];
    sec1.extend([0; 31]);
    sec1.extend([1, 0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    let p256 = DeviceIdentity::from_der(&sec1).unwrap();
    for (name, identity) in [("ed25519", ed25519), ("p256", p256)] {
        let id = "ada@example.org".parse().unwrap();
        let device = "Ada's phone".parse().unwrap();
        let token = ticket.token().clone();
        let request = EnrolmentRequest::new(token, id, device, &identity, &Exporter([9; 32]));
        let line = request.to_line();
        write("enrolment_request", name, [b"\x10", line.expose()].concat());
    }
}

/// What a device connects with, and the lines that set a pass phrase.
pub(super) fn devices() {
    let id = || "ada@example.org".parse().unwrap();
    write("device_hello", "name", Hello { id: id() }.to_line());
    let head = [
        "GET /device?id=ada%40example.org HTTP/1.1",
        "Host: login.example.org",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: countersign.device.1",
        "\r\n",
    ];
    write("device_upgrade", "request", head.join("\r\n"));
    let challenge = RegistrationChallenge {
        response: vec![6; 64],
        site: SiteId([5; 32]),
    };
    let reply = RegistrationReply {
        id: id(),
        site: None,
        repeated: false,
    };
    let record = RegistrationRecord {
        record: vec![7; 192],
        sealed_identity: vec![8; 768],
        certificate: vec![9; 300],
    };
    for (name, line) in [
        ("challenge", challenge.to_line()),
        ("reply", reply.to_line()),
        ("record", record.to_line().expose().to_vec()),
    ] {
        write("passphrase_ticket", name, [b"\x10", &line[..]].concat());
    }
    let entropy = &mut SeededEntropy::new(0).fork("sealed channel");
    let (_, key) = AwaitingSiteKey::start(entropy);
    write("sealed_channel", "key", [b"\x40", &key[..]].concat());
}

/// A peer ticket in its forms, a request to join, and the first and later lines between peers.
pub(super) fn peers() {
    let entropy = &mut SeededEntropy::new(0).fork("peers");
    let (own, next) = (SiteSeed::generate(entropy), SiteSeed::generate(entropy));
    let (own, next) = (SiteKey::from_seed(own), SiteKey::from_seed(next));
    let events = [SignedKeyEvent::first(
        &own,
        &next.public(),
        1_772_366_400_000,
    )];
    let other = Site::new().settings.key.public();
    let token = Token::generate(entropy);
    let id = || "ada@a.example".parse().unwrap();
    let ticket = PeerTicket::new("a.example", 4_750, token, 1_800_000_000, other, id()).unwrap();
    for (name, form) in [
        ("ticket_uri", ticket.to_uri()),
        ("ticket_qr", ticket.to_qr_uri()),
        ("ticket_json", ticket.to_json()),
    ] {
        write("peer_hello", name, form.expose());
    }
    let site = events[0].event().site_id().unwrap();
    let hello = PeerHello::new(site, id(), &events);
    write("peer_hello", "hello", hello.to_line());
    let limits = DeviceWelcome {
        idle_seconds: 300,
        line_bytes: 1_048_576,
        in_flight: 16,
    };
    write(
        "peer_hello",
        "welcome",
        PeerWelcome::new(limits, &events).to_line(),
    );
    let joining = Joining {
        id: &id(),
        host: "b.example",
        port: 4_751,
        events: &events,
    };
    let (token, exporter) = (ticket.token().clone(), Exporter([9; 32]));
    let request = JoinRequest::new(token, &joining, &own, &other, &exporter).unwrap();
    let sealed = request.seal(&other, &exporter, entropy).unwrap().to_line();
    write("peer_join", "sealed", [b"\x11", sealed.as_slice()].concat());
    let asked = KeyEventsRequest(3).to_line();
    write(
        "peer_join",
        "key_events",
        [b"\x11", asked.as_slice()].concat(),
    );
    let reply = KeyEventsRequest::answer(Site::new().settings.key_events.page(0, 4));
    write("peer_join", "events", [b"\x10", reply.as_slice()].concat());
    let head = AuditHead {
        site,
        event: 0,
        seq: 4_120,
        hash: [7; 32],
        time: 1_772_366_400_000,
    };
    let head = SignedAuditHead::new(head, &own);
    let receipt = AuditReceipt::new(&head, (SiteId([5; 32]), 0), &next, 1_772_366_400_100);
    write("audit_head", "head", head.to_bytes());
    write("audit_head", "receipt", receipt.to_bytes());
    let witnessed = WitnessedHead { head, receipt };
    let text = serde_json::to_vec(&witnessed).unwrap();
    write("audit_head", "witnessed", text);
    lines_of_peers(&witnessed);
}

/// A line of each kind between peers.
fn lines_of_peers(witnessed: &WitnessedHead) {
    let id = "019523d0-5c00-7000-8000-000000000001";
    let message = json!({
        "id": id,
        "number": 1_772_366_400_000_u64,
        "from": "ada@a.example",
        "to": "bob@b.example",
        "text": "Hello.",
        "sent": "2026-03-01T12:00:00.000Z",
    });
    let ticket = json!({
        "consumer": "billing@a.example",
        "provider": "ledger@b.example",
        "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
        "key": null,
        "lasts": 3_600_000,
    });
    let void = json!({ "consumers": ["billing@a.example"] });
    for (group, command, params) in [
        ("peer", "ping", json!({})),
        ("peer", "deliver", json!({ "messages": [message] })),
        (
            "peer",
            "address",
            json!({ "host": "a.example", "port": 4_750 }),
        ),
        (
            "peer",
            "audit_head",
            json!({ "head": witnessed.head, "all": true }),
        ),
        ("broker", "foreign_ticket", ticket),
        ("broker", "foreign_void", void),
    ] {
        let line = json!({ "id": 1, "group": group, "command": command, "params": params });
        write("peer_line", command, line.to_string());
    }
    let report = json!({ "id": id, "state": "refused", "why": "there is no such recipient" });
    let status = json!({
        "time": "2026-03-01T12:00:00.000Z",
        "version": "0.1.0",
        "lockdown": "logins",
    });
    let held = [witnessed];
    let state = json!({ "state": "countersigned", "receipt": witnessed.receipt, "held": held });
    for (name, data) in [
        ("reports", json!({ "reports": [report] })),
        ("status", status),
        ("head_reply", state),
        (
            "ticket_refused",
            json!({ "ticket": { "refused": "not-allowed" } }),
        ),
    ] {
        let line = json!({ "id": 1, "code": 0, "data": data });
        write("peer_line", name, line.to_string());
    }
    let last = PeerEnd::Lockdown.to_line();
    write("peer_line", "end", last.trim_ascii_end());
}

pub(super) fn key_events() {
    let page = Site::new().settings.key_events.page(0, 4);
    let mut command = Vec::new();
    put(&mut command, c::KEY_EVENTS, Value::Bytes(&page));
    write("key_events", "event", key_event().to_bytes());
    write("key_events", "command", command);
    write("key_events", "request", KeyEventsRequest(3).to_line());
    write("key_events", "line", KeyEventsRequest::answer(page.clone()));
    write("key_events", "page", page);
}

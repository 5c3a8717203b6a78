//! The first lines between peers, and peer tickets, from any bytes: what is read is written and
//! read again as the same.

use countersign_proto::peer::{MAX_PEER_HELLO, PeerHello, PeerTicket, PeerWelcome};

pub(super) fn run(bytes: &[u8]) {
    if let Ok(hello) = PeerHello::read(bytes) {
        let line = hello.to_line();
        assert!(line.len() <= MAX_PEER_HELLO);
        assert_eq!(PeerHello::read(&line).unwrap(), hello);
    }
    if let Ok(welcome) = PeerWelcome::read(bytes) {
        let line = welcome.to_line();
        assert!(line.len() <= MAX_PEER_HELLO);
        assert_eq!(PeerWelcome::read(&line).unwrap(), welcome);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(ticket) = text.parse::<PeerTicket>() {
        for form in [ticket.to_uri(), ticket.to_qr_uri(), ticket.to_json()] {
            assert_eq!(form.expose().parse::<PeerTicket>().unwrap(), ticket);
        }
    }
}

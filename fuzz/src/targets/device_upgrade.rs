//! A request for a WebSocket from any bytes: one that reads is a GET of HTTP/1.1, names one person, and has a key
//! that can be answered and no origin.

use countersign_proto::device::{MAX_UPGRADE, UpgradeRequest};

pub(super) fn run(head: &[u8]) {
    let Ok(request) = UpgradeRequest::read(head) else {
        return;
    };
    assert!(head.len() <= MAX_UPGRADE);
    // Empty lines before the request are ignored (RFC 9112, section 2.2).
    assert!(head.trim_ascii_start().starts_with(b"GET /device?id="));
    assert_eq!(request.key.len(), 24);
    assert!(!request.hello.to_line().is_empty());
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    assert!(!text.contains("\norigin:"));
}

//! A reply of a webhook from any bytes: status, time, `Retry-After` up to the end of the line, body. Any
//! reply is judged, a body is quoted in one short line, and a date gives the same delay as its number of
//! seconds.

use countersign_proto::webhook::{Verdict, excerpt, retry_after, verdict};

pub(super) fn run(input: &[u8]) {
    let Some((status, rest)) = input.split_first_chunk() else {
        return;
    };
    let Some((now, rest)) = rest.split_first_chunk() else {
        return;
    };
    let status = u16::from_be_bytes(*status);
    let now = u64::from(u32::from_be_bytes(*now));
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (header, body) = (part(), part());
    let accepted = verdict(status) == Verdict::Accepted;
    assert_eq!(accepted, (200..300).contains(&status));
    if let Some(seconds) = retry_after(header, now) {
        let number = retry_after(seconds.to_string().as_bytes(), now);
        assert_eq!(number, Some(seconds));
    }
    let line = excerpt(body);
    assert!(line.chars().count() <= 120 && !line.contains(char::is_control));
}

//! A reply of a webhook from any bytes: the status, a line with `Retry-After`, and the body. Any reply is
//! judged, a body is quoted in one short line, and a date gives the same delay as its number of seconds.

#![no_main]

use countersign_proto::webhook::{Verdict, excerpt, retry_after, verdict};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|reply: (u16, &[u8], &[u8], u32)| {
    let (status, header, body, now) = reply;
    let accepted = verdict(status) == Verdict::Accepted;
    assert_eq!(accepted, (200..300).contains(&status));
    if let Some(seconds) = retry_after(header, u64::from(now)) {
        let number = retry_after(seconds.to_string().as_bytes(), u64::from(now));
        assert_eq!(number, Some(seconds));
    }
    let line = excerpt(body);
    assert!(line.chars().count() <= 120 && !line.contains(char::is_control));
});

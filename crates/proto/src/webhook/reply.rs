//! What a site concludes from the reply to a request.

use std::time::{Duration, UNIX_EPOCH};

/// The most bytes of a reply's body that a site reads.
pub const MAX_REPLY_BYTES: usize = 16 * 1024;
/// The most bytes of a `Retry-After` header that are looked at: the longest date has 33.
const MAX_RETRY_AFTER_BYTES: usize = 64;
/// Characters of a body that an error quotes.
const MAX_EXCERPT_CHARS: usize = 120;

/// What a reply means for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has the message.
    Accepted,
    /// The site tries again later.
    Retry,
    /// The receiver failed at this message. The site tries it again some times.
    Refused,
    /// The receiver or a proxy does not accept the site's authorization, which may have expired and is
    /// the operator's to correct: the site tries again later.
    Unauthorized,
    /// The receiver will never accept the message.
    Rejected,
}

/// The verdict on a status code.
///
/// 2xx is acceptance. A redirect is not followed and counts as a fault that the operator can correct, as
/// do 401, 403, 407, 408, 425, 429, 502, 503, 504 and codes that do not exist. Any other 5xx says that the
/// receiver failed at this request, and any other 4xx rejects the message.
#[must_use]
pub const fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Accepted,
        401 | 403 | 407 => Verdict::Unauthorized,
        408 | 425 | 429 => Verdict::Retry,
        400..=499 => Verdict::Rejected,
        502..=504 => Verdict::Retry,
        500..=599 => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

/// The seconds that a `Retry-After` header asks for, at `now_s` seconds since 1970: a number, or the time
/// until a date (RFC 9110, section 10.2.3). `None` for anything else; 0 for a date in the past.
#[must_use]
pub fn retry_after(value: &[u8], now_s: u64) -> Option<u32> {
    if value.len() > MAX_RETRY_AFTER_BYTES {
        return None;
    }
    let value = std::str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too great is a long time.
        return Some(value.parse().unwrap_or(u32::MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let now = UNIX_EPOCH.checked_add(Duration::from_secs(now_s))?;
    let wait = date.duration_since(now).unwrap_or_default();
    Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX))
}

/// The beginning of a reply's body for an error message: one line of at most 120 characters without
/// control characters. Empty if the body is not text.
#[must_use]
pub fn excerpt(body: &[u8]) -> String {
    let body = body.get(..4 * MAX_EXCERPT_CHARS).unwrap_or(body);
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // The cut may be inside a character.
        Err(error) if error.error_len().is_none() => {
            let whole = body.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(MAX_EXCERPT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// ALM-13, ALM-14, ALM-15.
    #[test]
    fn a_status_accepts_rejects_or_asks_to_try_again() {
        for status in [200, 202, 204, 299] {
            assert_eq!(verdict(status), Verdict::Accepted, "{status}");
        }
        for status in [401, 403, 407] {
            assert_eq!(verdict(status), Verdict::Unauthorized, "{status}");
        }
        for status in [400, 402, 404, 410, 422, 451, 499] {
            assert_eq!(verdict(status), Verdict::Rejected, "{status}");
        }
        for status in [500, 501, 505, 507, 599] {
            assert_eq!(verdict(status), Verdict::Refused, "{status}");
        }
        for status in [
            0, 100, 199, 301, 302, 307, 408, 425, 429, 502, 503, 504, 600, 65_535,
        ] {
            assert_eq!(verdict(status), Verdict::Retry, "{status}");
        }
    }

    /// ALM-16.
    #[test]
    fn retry_after_is_a_number_or_a_date() {
        const NOW: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999", Some(u32::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("soon", None),
            ("Sun, 32 Nov 1994 08:50:37 GMT", None),
            ("\u{661}\u{662}", None),
        ] {
            assert_eq!(retry_after(value.as_bytes(), NOW), seconds, "{value:?}");
        }
        assert_eq!(
            retry_after(&[b'1'; MAX_RETRY_AFTER_BYTES], 0),
            Some(u32::MAX)
        );
        assert_eq!(retry_after(&[b'1'; MAX_RETRY_AFTER_BYTES + 1], 0), None);
        assert_eq!(retry_after(b"\xff", 0), None);
        assert_eq!(
            retry_after(b"Sun, 06 Nov 1994 08:50:37 GMT", u64::MAX),
            None
        );
    }

    /// ALM-17.
    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(
            excerpt(b"{\"error\":\r\n \x1b\"no such number\"}"),
            "{\"error\": \"no such number\"}"
        );
        assert_eq!(excerpt(&[0xff, 0xfe]), "");
        let long = "ä".repeat(MAX_REPLY_BYTES);
        assert_eq!(excerpt(long.as_bytes()).chars().count(), MAX_EXCERPT_CHARS);
        let odd = format!("a{long}");
        assert_eq!(excerpt(odd.as_bytes()).chars().count(), MAX_EXCERPT_CHARS);
    }

    proptest! {
        #[test]
        fn any_reply_is_judged(status: u16, header: Vec<u8>, body: Vec<u8>, now: u64) {
            let _ = verdict(status);
            let _ = retry_after(&header, now);
            let line = excerpt(&body);
            prop_assert!(line.chars().count() <= MAX_EXCERPT_CHARS && !line.contains(char::is_control));
        }
    }
}

//! The values of settings and flags from any text: durations, log filters, hosts, addresses. One that is read
//! is written and read again as the same.

use countersign::parsers::{device_address, log_filter, milliseconds, public_host, seconds};

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    if let Ok(read) = milliseconds(text) {
        assert_eq!(milliseconds(&format!("{read}ms")), Ok(read));
    }
    if let Ok(read) = seconds(text) {
        assert_eq!(seconds(&format!("{read}s")), Ok(read));
        assert_eq!(milliseconds(text), Ok(u64::from(read) * 1_000));
    }
    again(text, log_filter);
    again(text, public_host);
    again(text, device_address);
}

fn again(text: &str, parse: fn(&str) -> Result<String, String>) {
    if let Ok(written) = parse(text) {
        assert_eq!(parse(&written), Ok(written.clone()), "{text:?}");
    }
}

//! A site's URI from any text: one that reads is written and read again as the same.

#![no_main]

use countersign_proto::uri::SiteUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<SiteUri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
});

//! Parses a site's URI from any text. A parsed one is written and parses again to the same.

#![no_main]

use countersign_proto::uri::SiteUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<SiteUri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
});

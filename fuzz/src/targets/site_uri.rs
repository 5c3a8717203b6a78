//! Parses a site's URI from any text. A parsed one is written and parses again to the same.

use countersign_proto::uri::SiteUri;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    if let Ok(uri) = text.parse::<SiteUri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
}

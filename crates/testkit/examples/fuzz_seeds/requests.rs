//! Seeds of what a client of the API sends: an access token, and a signed request.

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_crypto::secret::Secret;
use countersign_crypto::sign::SigningKey;
use countersign_testkit::entropy::SeededEntropy;
use data_encoding::BASE64;

use super::write;

/// A token.
pub(super) fn tokens() {
    let entropy = &mut SeededEntropy::new(0).fork("access tokens");
    let token = AccessTokenSecret::generate(entropy).to_text();
    write("access_token", "token", token.expose());
}

/// A request with its signature, and what it covers.
pub(super) fn signed() {
    let key = SigningKey::from_secret(&Secret::from_bytes([7; 32]));
    let keyid = "07".repeat(32);
    let covered = r#""@method" "@authority" "@target-uri" "content-digest""#;
    let input = format!(
        "({covered});created=1772366400;expires=1772366460;nonce=\"n\";keyid=\"{keyid}\";tag=\"c2l0ZQ\""
    );
    // RFC 9530 has the digest of `{}`.
    let digest = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:";
    let base = [
        "\"@method\": POST",
        "\"@authority\": site.example",
        "\"@target-uri\": https://site.example/api/v1/alarms?a=1",
        &format!("\"content-digest\": {digest}"),
        &format!("\"@signature-params\": {input}"),
    ];
    let signature = BASE64.encode(&key.sign(base.join("\n").as_bytes()).0);
    let lines = [
        &format!("any={input}"),
        &format!("any=:{signature}:"),
        "POST",
        "site.example",
        "/api/v1/alarms?a=1",
        digest,
        "{}",
    ];
    write("signed_request", "request", lines.join("\n"));
}

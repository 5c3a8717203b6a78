//! Seeds of what a client of the API sends: an access token, a request, its fields and its signature; and of
//! the webhook.

use countersign_core::access_tokens::AccessTokenSecret;
use countersign_crypto::secret::Secret;
use countersign_crypto::sign::SigningKey;
use countersign_testkit::entropy::SeededEntropy;
use data_encoding::BASE64;
use serde_json::Value;

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

/// A request for each route: path, query and body.
pub(super) fn rest() {
    let table = countersign_core::operations::table().unwrap();
    for entry in table.entries() {
        let Some(route) = entry.rest().route() else {
            continue;
        };
        let example = entry.example();
        let segments = route.path.split('/').map(|segment| {
            let name = segment
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            let value = name.map(|name| example.get(name).and_then(Value::as_str));
            value.map_or(segment, |value| value.unwrap_or("x"))
        });
        let path: Vec<&str> = segments.collect();
        let body = match route.method.has_body() {
            true => example.to_string(),
            false => String::new(),
        };
        let name = format!("{}-{}", entry.group(), entry.command());
        write(
            "rest_request",
            &name,
            format!("{}\n\n{body}", path.join("/")),
        );
    }
    write(
        "rest_request",
        "query",
        "/persons\nlimit=10&after=a%40b+c\n",
    );
    write("rest_request", "list", "/options/order\nnames=a&names=b\n");
}

/// Values of fields.
pub(super) fn fields() {
    for (name, field) in [
        ("if_match", "\"a-7\", W/\"b,\""),
        ("any", "*"),
        ("key", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("event", "91c2a5d3f0b64e17"),
        ("accept", "text/html, Text/Event-Stream;level=1;q=0.5"),
        ("encoding", "gzip;q=1.000, br;q=0.001, *;q=0"),
        (
            "weights",
            "br;q=nan, br;Q=0.0000;q=1, ;q=, br;q=-1, br;q=1.001",
        ),
        ("known", "W/\"e3b0c442\", \"e3b0c442\" , *"),
        ("not_known", "\"e3b0c442, W/ *, \"\",\"\"e3b0c442\"\""),
        ("form", "b&a=%7B+%22m%22+%3A+%22x%2By%22+%7D&a=2"),
        ("broken_form", "a=%ff%F0%9F&a=%7B%&=+&a==%EF%BF%BD"),
        ("forwarded", "203.0.113.7, [2001:db8::2]:443\n127.0.0.1"),
    ] {
        write("http_fields", name, field);
    }
    let entropy = &mut SeededEntropy::new(0).fork("access tokens");
    let token = AccessTokenSecret::generate(entropy).to_text();
    write(
        "http_fields",
        "bearer",
        format!("Bearer {}", token.expose()),
    );
}

/// Replies of the webhook, and templates of its body.
pub(super) fn webhook() {
    let reply = |name, status: u16, rest: &str| {
        let now = 784_111_777_u32.to_be_bytes();
        let reply = [&status.to_be_bytes()[..], &now, rest.as_bytes()].concat();
        write("webhook_reply", name, reply);
    };
    reply(
        "date",
        429,
        "Sun, 06 Nov 1994 08:50:37 GMT\n{\"error\":\"no such number\"}",
    );
    reply("seconds", 503, "120\n\u{1b}[2J");
    reply("garbage", 200, "-1\n\u{9e}");
    let json = "{\"to\":\"{{to}}\",\"text\":\"{{text}}\"}\0x\"\\";
    write("webhook_template", "json", json);
    write("webhook_template", "form", "To={{to}}&Body={{text}}\0a&b");
}

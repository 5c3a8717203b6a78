use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_crypto::sign::{SigningKey, VerifyingKey};
use data_encoding::BASE64;

use super::*;
use crate::broker::v2::signature::FIELD;

const TAG: &str = "c2l0ZQ";
const NOW: u64 = 1_772_366_400;

fn key() -> SigningKey {
    SigningKey::from_secret(&Secret::from_bytes([7; 32]))
}

fn parts() -> RequestParts<'static> {
    RequestParts {
        method: "POST",
        scheme: "https",
        authority: "Site.example",
        path: "/api/v1/alarms",
        query: Some("a=1"),
        content_digest: Some("sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"),
        if_match: None,
        idempotency_key: None,
    }
}

fn input(components: &str, created: u64, expires: u64) -> String {
    let id = "07".repeat(32);
    format!(
        "({components});created={created};expires={expires};nonce=\"n\";keyid=\"{id}\";tag=\"{TAG}\""
    )
}

/// The fields of a signature over the base that RFC 9421 defines for these lines.
fn signed(input: &str, lines: &[&str]) -> (String, String) {
    let base = format!("{}\n\"@signature-params\": {input}", lines.join("\n"));
    let signature = BASE64.encode(&key().sign(base.as_bytes()).0);
    (format!("any={input}"), format!("any=:{signature}:"))
}

fn read(fields: &(String, String)) -> Result<RequestSignature, RequestSignatureError> {
    RequestSignature::read(&fields.0, &fields.1, TAG)
}

#[test]
fn a_signature_over_the_whole_request_is_verified() {
    let covered = r#""@method" "@authority" "@target-uri" "content-digest""#;
    let digest = format!("\"content-digest\": {}", parts().content_digest.unwrap());
    let lines = [
        "\"@method\": POST",
        "\"@authority\": site.example",
        "\"@target-uri\": https://site.example/api/v1/alarms?a=1",
        &digest,
    ];
    let fields = signed(&input(covered, NOW, NOW + 60), &lines);
    let read = read(&fields).unwrap();
    let verifying = key().verifying();
    assert_eq!(read.verify(&verifying, &parts(), NOW), Ok(()));
    assert_eq!((read.nonce(), read.created()), ("n", NOW));
    // RFC 9530 has the digest of `{}`.
    assert!(read.covers(parts().content_digest, b"{}"));
    assert!(!read.covers(parts().content_digest, b"{ }"));
    let not_verified = Err(RequestSignatureError::NotVerified);
    for changed in [
        RequestParts {
            method: "PUT",
            ..parts()
        },
        RequestParts {
            scheme: "http",
            ..parts()
        },
        RequestParts {
            authority: "other.example",
            ..parts()
        },
        RequestParts {
            path: "/api/v1/alarms/",
            ..parts()
        },
        RequestParts {
            query: None,
            ..parts()
        },
        RequestParts {
            query: Some("a=1&b"),
            ..parts()
        },
        RequestParts {
            content_digest: None,
            ..parts()
        },
        RequestParts {
            content_digest: Some("sha-256=:AAAA:"),
            ..parts()
        },
        RequestParts {
            method: "POST\n",
            ..parts()
        },
    ] {
        assert_eq!(read.verify(&verifying, &changed, NOW), not_verified);
    }
    let other = SigningKey::from_secret(&Secret::from_bytes([8; 32])).verifying();
    assert_eq!(read.verify(&other, &parts(), NOW), not_verified);
}

/// Neither field was covered: what carried the request could remove or add one, and so let it
/// overwrite a newer state, or have another effect than its client chose.
#[test]
fn a_signature_covers_the_fields_that_change_the_effect_of_a_request() {
    let fields = r#""if-match" "idempotency-key""#;
    let covered = format!(r#""@method" "@target-uri" {fields}"#);
    let (method, target) = (
        "\"@method\": POST",
        "\"@target-uri\": https://site.example/api/v1/alarms?a=1",
    );
    let lines = [
        method,
        target,
        "\"if-match\": \"7\"",
        "\"idempotency-key\": once",
    ];
    let conditional = |if_match, idempotency_key| RequestParts {
        if_match,
        idempotency_key,
        ..parts()
    };
    let whole = read(&signed(&input(&covered, NOW, NOW + 60), &lines)).unwrap();
    let bare = input(r#""@method" "@target-uri""#, NOW, NOW + 60);
    let bare = read(&signed(&bare, &[method, target])).unwrap();
    let verified = |signature: &RequestSignature, if_match, key| {
        let parts = conditional(if_match, key);
        signature.verify(&key_of_test(), &parts, NOW)
    };
    assert_eq!(verified(&whole, Some("\"7\""), Some("once")), Ok(()));
    assert_eq!(verified(&bare, None, None), Ok(()));
    let not_verified = Err(RequestSignatureError::NotVerified);
    for (if_match, key) in [
        (None, Some("once")),
        (Some("\"7\""), None),
        (Some("\"8\""), Some("once")),
        (Some("\"7\""), Some("twice")),
    ] {
        assert_eq!(verified(&whole, if_match, key), not_verified);
    }
    let too_little = Err(RequestSignatureError::Fields);
    assert_eq!(verified(&bare, Some("\"7\""), None), too_little);
    assert_eq!(verified(&bare, None, Some("once")), too_little);
}

/// Clients built the base and the fields by hand, each in its own way.
#[test]
fn a_signer_signs_all_that_a_request_has() {
    let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes([9; 32])));
    let signer = RequestSigner::new(&identity, TAG);
    let digest = content_digest(b"{}");
    assert_eq!(Some(digest.as_str()), parts().content_digest);
    let whole = RequestParts {
        if_match: Some("\"7\""),
        idempotency_key: Some("once"),
        ..parts()
    };
    let bare = RequestParts {
        content_digest: None,
        ..parts()
    };
    let key = identity.certificate().signing();
    for request in [&whole, &bare] {
        let fields = signer.sign(request, NOW..NOW + 60, "n").unwrap();
        let read = RequestSignature::read(&fields.signature_input, &fields.signature, TAG).unwrap();
        assert_eq!(read.thumbprint(), identity.certificate().thumbprint());
        assert_eq!(read.verify(&key, request, NOW), Ok(()));
        assert_eq!(
            read.covers(request.content_digest, b"{}"),
            request.content_digest.is_some()
        );
    }
    for nonce in ["", "a\"b", "a\nb", &"n".repeat(129)] {
        let refused = signer.sign(&whole, NOW..NOW + 60, nonce);
        assert_eq!(refused, Err(RequestSignatureError::Fields), "{nonce}");
    }
}

fn key_of_test() -> VerifyingKey {
    key().verifying()
}

#[test]
fn a_signature_is_valid_for_a_short_time() {
    let covered = r#""@method" "@authority" "@request-target""#;
    let lines = [
        "\"@method\": POST",
        "\"@authority\": site.example",
        "\"@request-target\": /api/v1/alarms?a=1",
    ];
    let verified = |created, expires, now| {
        let read = read(&signed(&input(covered, created, expires), &lines)).unwrap();
        read.verify(&key().verifying(), &parts(), now)
    };
    for (created, expires, now) in [
        (NOW, NOW + 300, NOW + 60),
        (NOW + 1, NOW + 61, NOW),
        (NOW, NOW, NOW),
    ] {
        assert_eq!(verified(created, expires, now), Ok(()));
    }
    for (created, expires, now) in [
        (NOW, NOW + 300, NOW + 61),
        (NOW, NOW + 10, NOW + 11),
        (NOW, NOW + 301, NOW),
        (NOW + 2, NOW + 70, NOW),
        (NOW, NOW - 1, NOW),
    ] {
        let refused = Err(RequestSignatureError::Clock);
        assert_eq!(verified(created, expires, now), refused);
    }
}

#[test]
fn a_signature_that_covers_too_little_is_refused() {
    let refused = |covered: &str| {
        let fields = signed(&input(covered, NOW, NOW + 60), &[]);
        assert_eq!(
            read(&fields),
            Err(RequestSignatureError::Fields),
            "{covered}"
        );
    };
    for covered in [
        "",
        r#""@method" "@authority""#,
        r#""@method" "@authority" "@path""#,
        r#""@method" "@path" "@query""#,
        r#""@authority" "@target-uri""#,
        r#""@method" "@method" "@target-uri""#,
        r#""@method";req "@target-uri""#,
        r#"method "@target-uri""#,
    ] {
        refused(covered);
    }
    let fields = signed(
        &input(r#""@method" "@target-uri" "x-other""#, NOW, NOW),
        &[],
    );
    let read = read(&fields).unwrap();
    let verified = read.verify(&key().verifying(), &parts(), NOW);
    assert_eq!(verified, Err(RequestSignatureError::NotVerified));
}

#[test]
fn malformed_fields_are_refused() {
    let whole = input(r#""@method" "@target-uri""#, NOW, NOW + 60);
    let right = signed(&whole, &[]);
    assert!(read(&right).is_ok());
    let refused = |input: &str, signature: &str| {
        let read = RequestSignature::read(input, signature, TAG);
        assert_eq!(read, Err(RequestSignatureError::Fields), "{input}");
    };
    for (part, other) in [
        (TAG, "b3RoZXI"),
        (";nonce=\"n\"", ""),
        (";nonce=\"n\"", ";nonce=\"\""),
        (";created=", ";creatde="),
        (";expires=", ";expires=\"1\";x="),
        (";keyid=\"07", ";keyid=\"0"),
        (";tag=", ";alg=\"rsa-v1_5-sha256\";tag="),
        ("any=", "any"),
    ] {
        refused(&right.0.replacen(part, other, 1), &right.1);
    }
    refused(&right.0, "other=:AAAA:");
    refused(&right.0, "any=:AAAA:");
    refused(&right.0, "any=1");
    refused(&format!("{}, again={whole}", right.0), &right.1);
    refused(&format!("{}{}", right.0, " ".repeat(FIELD)), &right.1);
}

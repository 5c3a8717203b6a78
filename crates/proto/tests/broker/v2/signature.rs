//! HTTP requests signed with the shared secret.

use countersign_crypto::secret::Secret;
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::signature::{
    FIELD, Fields, HttpRequest, MAX_LENGTH, SignatureError, TOLERANCE, UnverifiedSignature,
    VerifiedSignature, sign,
};
use data_encoding::BASE64;

const NOW: u64 = 1_800_000_000;

fn credentials(byte: u8) -> Credentials {
    Credentials {
        application: "billing".to_owned(),
        id: Nonce([byte; 16]),
        secret: Secret::from_bytes([byte; 32]),
        expires: (NOW + 3_600) * 1_000,
    }
}

const REQUEST: HttpRequest<'_> = HttpRequest {
    method: "POST",
    authority: "Ledger.example.org:8443",
    target: "/entries?year=2026",
    content: b"{\"sum\":7}",
};

fn signed() -> Fields {
    sign(&credentials(1), &REQUEST, Nonce([9; 16]), NOW, 30).unwrap()
}

fn verify(
    fields: &Fields,
    request: &HttpRequest<'_>,
    now: u64,
) -> Result<VerifiedSignature, SignatureError> {
    UnverifiedSignature::read(fields)?.verify(&credentials(1), request, now)
}

// [BRK-12]
#[test]
fn a_signed_request_is_verified_and_identified() {
    let fields = signed();
    assert_eq!(
        fields.signature_input,
        "countersign=(\"@method\" \"@authority\" \"@request-target\" \"content-digest\");\
         created=1800000000;expires=1800000030;nonce=\"CQkJCQkJCQkJCQkJCQkJCQ\";\
         keyid=\"AQEBAQEBAQEBAQEBAQEBAQ\";alg=\"hmac-sha256\";tag=\"countersign\""
    );
    let read = UnverifiedSignature::read(&fields).unwrap();
    assert_eq!(read.id(), Nonce([1; 16]));
    let verified = verify(&fields, &REQUEST, NOW).unwrap();
    assert_eq!(verified.nonce, "CQkJCQkJCQkJCQkJCQkJCQ");
    assert_eq!((verified.id, verified.expires), (Nonce([1; 16]), NOW + 30));
}

/// The signature base is written out, so that it is independent of the implementation.
#[test]
fn the_signature_matches_rfc_9421() {
    let fields = signed();
    let (_, parameters) = fields.signature_input.split_once('=').unwrap();
    let base = format!(
        "\"@method\": POST\n\"@authority\": ledger.example.org:8443\n\
         \"@request-target\": /entries?year=2026\n\"content-digest\": {}\n\
         \"@signature-params\": {parameters}",
        fields.content_digest
    );
    let code = credentials(1).mac().authenticate(base.as_bytes());
    assert_eq!(
        fields.signature,
        format!("countersign=:{}:", BASE64.encode(&code))
    );
    // RFC 9530, appendix D, of an empty content.
    let empty = HttpRequest {
        content: b"",
        ..REQUEST
    };
    let fields = sign(&credentials(1), &empty, Nonce([0; 16]), NOW, 30).unwrap();
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    assert_eq!(fields.content_digest, digest);
}

// [BRK-12]
#[test]
fn every_part_of_a_request_is_signed() {
    let fields = signed();
    for other in [
        HttpRequest {
            method: "PUT",
            ..REQUEST
        },
        HttpRequest {
            authority: "ledger.example.com:8443",
            ..REQUEST
        },
        HttpRequest {
            target: "/entries?year=2027",
            ..REQUEST
        },
        HttpRequest {
            content: b"{\"sum\":8}",
            ..REQUEST
        },
        HttpRequest {
            content: b"",
            ..REQUEST
        },
    ] {
        let refused = verify(&fields, &other, NOW);
        assert_eq!(refused, Err(SignatureError::NotVerified), "{other:?}");
    }
    let read = UnverifiedSignature::read(&fields).unwrap();
    let refused = read.verify(&credentials(2), &REQUEST, NOW);
    assert_eq!(refused, Err(SignatureError::NotVerified));
    let mut digest = fields.clone();
    digest.content_digest = digest.content_digest.replace("sha-256", "sha-512");
    assert_eq!(
        verify(&digest, &REQUEST, NOW),
        Err(SignatureError::NotVerified)
    );
    for (from, to) in [
        ("00000030", "00000031"),
        ("CQkJ", "CQkK"),
        ("created=18", "created=17"),
    ] {
        let mut changed = fields.clone();
        changed.signature_input = changed.signature_input.replace(from, to);
        assert_eq!(
            verify(&changed, &REQUEST, NOW),
            Err(SignatureError::NotVerified)
        );
    }
}

/// Regression: requests with `sha-512` or with both digests were refused; RFC 9530 allows both.
// [BRK-12]
#[test]
fn every_supported_digest_must_match_and_one_is_required() {
    let right = [
        "sha-256=:HznET9N29CPiTrfgNSZdme1SSFlL4ihzRR2fVJnSaus=:",
        "sha-512=:RpiWNNTcvaBl7bhB1VcSnXEgR+b/kCw+1ZGG8lmVZGER+rKQp5SjghrsR9TuLkX2MqPA/l/YAMxEgUtaxy1xTw==:",
    ];
    let wrong = right.map(|digest| {
        digest
            .replacen("=:", "=:AAAA", 1)
            .replacen("AAAA", "AAAB", 1)
    });
    let [first, second] = right;
    let [bad_first, bad_second] = &wrong;
    let cases = [
        (first.to_owned(), true),
        (second.to_owned(), true),
        (format!("{first}, {second}"), true),
        (format!("{second},{first};more=1"), true),
        (format!("md5=:AAAA:, {second}"), true),
        (format!("{first}, {bad_second}"), false),
        (format!("{bad_first}, {second}"), false),
        (format!("{first}, sha-512=1"), false),
        (format!("{first}, sha-512=({second})"), false),
        ("md5=:AAAA:".to_owned(), false),
        ("SHA-256=:AAAA:".to_owned(), false),
        (format!("{first}, unknown=:{}:", "A".repeat(FIELD)), false),
    ];
    for (digest, expected) in cases {
        let mut fields = signed();
        let (_, parameters) = fields.signature_input.split_once('=').unwrap();
        let base = format!(
            "\"@method\": POST\n\"@authority\": ledger.example.org:8443\n\
             \"@request-target\": /entries?year=2026\n\"content-digest\": {digest}\n\
             \"@signature-params\": {parameters}"
        );
        let code = credentials(1).mac().authenticate(base.as_bytes());
        fields.signature = format!("countersign=:{}:", BASE64.encode(&code));
        fields.content_digest.clone_from(&digest);
        let verified = verify(&fields, &REQUEST, NOW).map(|_| ());
        let refused = Err(SignatureError::NotVerified);
        assert_eq!(
            verified,
            if expected { Ok(()) } else { refused },
            "{digest}"
        );
    }
}

// [BRK-13]
#[test]
fn a_signature_is_accepted_within_its_lifetime_only() {
    let fields = signed();
    for (now, expected) in [
        (NOW - TOLERANCE, true),
        (NOW - TOLERANCE - 1, false),
        (NOW + 30, true),
        (NOW + 31, false),
    ] {
        assert_eq!(verify(&fields, &REQUEST, now).is_ok(), expected, "{now}");
    }
    for (lasts, expected) in [(MAX_LENGTH, true), (MAX_LENGTH + 1, false)] {
        let fields = sign(&credentials(1), &REQUEST, Nonce([9; 16]), NOW, lasts).unwrap();
        assert_eq!(verify(&fields, &REQUEST, NOW).is_ok(), expected, "{lasts}");
    }
    let fields = sign(&credentials(1), &REQUEST, Nonce([9; 16]), NOW, MAX_LENGTH).unwrap();
    let late = verify(&fields, &REQUEST, NOW + TOLERANCE + 1);
    assert_eq!(late, Err(SignatureError::Clock));
    let over = NOW + 3_601;
    let fields = sign(&credentials(1), &REQUEST, Nonce([9; 16]), over, 30).unwrap();
    assert_eq!(
        verify(&fields, &REQUEST, over),
        Err(SignatureError::Expired)
    );
}

#[test]
fn a_signature_over_other_components_is_rejected() {
    let fields = signed();
    let of = |from: &str, to: &str| {
        let mut other = fields.clone();
        other.signature_input = other.signature_input.replace(from, to);
        assert_ne!(other, fields, "{from}");
        UnverifiedSignature::read(&other).map(|_| ())
    };
    for (from, to) in [
        ("\"content-digest\"", ""),
        ("\"@method\" ", ""),
        ("\"@method\"", "\"@method\";req"),
        ("\"@method\" \"@authority\"", "\"@authority\" \"@method\""),
        ("hmac-sha256", "none"),
        ("tag=\"countersign\"", "tag=\"other\""),
        (";tag=\"countersign\"", ""),
        (";tag=", ";more=1;tag="),
        ("created=1800000000", "created=\"1800000000\""),
        ("created=1800000000", "created=-1"),
        (";created=1800000000", ""),
        ("keyid=\"AQEB", "keyid=\"AQE"),
        ("countersign=(", "other=("),
        ("countersign=(", "countersign=(("),
    ] {
        assert_eq!(of(from, to), Err(SignatureError::Fields), "{from}");
    }
    for signature in [
        "",
        "countersign=1",
        "countersign=()",
        "other=:AAAA:",
        "countersign=:AA",
    ] {
        let other = Fields {
            signature: signature.to_owned(),
            ..fields.clone()
        };
        assert_eq!(
            UnverifiedSignature::read(&other).err(),
            Some(SignatureError::Fields),
            "{signature}"
        );
    }
    // There may be another signature too, and the parameters may be in another order.
    let mut other = fields.clone();
    other.signature_input = format!("proxy=(\"@path\");created=1, {}", other.signature_input);
    other.signature = format!("proxy=:AAAA:, {}", other.signature);
    assert!(verify(&other, &REQUEST, NOW).is_ok());
    let long = Fields {
        signature: format!("{}, a=:{}:", fields.signature, "A".repeat(FIELD)),
        ..fields
    };
    assert_eq!(
        UnverifiedSignature::read(&long).err(),
        Some(SignatureError::Fields)
    );
}

#[test]
fn a_request_that_is_not_a_valid_message_is_not_signed() {
    for request in [
        HttpRequest {
            method: "GET\n\"@authority\": other",
            ..REQUEST
        },
        HttpRequest {
            target: "/a b",
            ..REQUEST
        },
        HttpRequest {
            authority: "",
            ..REQUEST
        },
    ] {
        let refused = sign(&credentials(1), &request, Nonce([9; 16]), NOW, 30);
        assert_eq!(refused, Err(SignatureError::Fields));
    }
}

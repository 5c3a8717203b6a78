//! Recorded requests with Hawk signatures.

use countersign_crypto::rsa::RsaHash;
use countersign_crypto::secret::SecretText;
use countersign_proto::broker::v1::hawk::{HawkError, HawkRequest, Header, digest, sign};
use serde_json::Value;

use super::recorded::{at, file, flows};

fn header<'a>(step: &'a Value, name: &str) -> Option<&'a str> {
    let headers = step["request"]["headers"].as_array().unwrap();
    let found = headers
        .iter()
        .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
    found.map(|pair| pair[1].as_str().unwrap())
}

fn signed(step: &Value) -> HawkRequest<'_> {
    let (host, port) = header(step, "host").unwrap().split_once(':').unwrap();
    HawkRequest {
        method: step["request"]["method"].as_str().unwrap(),
        target: step["request"]["path"].as_str().unwrap(),
        host,
        port: port.parse().unwrap(),
    }
}

// [BRK-27]
#[test]
fn recorded_requests_are_verified_and_signed_again() {
    for (name, flow) in flows() {
        let credentials = &flow["consumerCredentials"];
        let secret = SecretText::from(credentials["key"].as_str().unwrap().to_owned());
        let hash: RsaHash = credentials["algorithm"].as_str().unwrap().parse().unwrap();
        let steps = flow["steps"].as_array().unwrap();
        let step = steps
            .iter()
            .find(|step| step["kind"] == "hawkRequest")
            .unwrap();
        let text = header(step, "authorization").unwrap();
        let read = Header::parse(text).unwrap();
        assert_eq!(read.id, credentials["id"], "{name}");
        let now = at(step) / 1_000;
        assert_eq!(
            read.verify(&secret, hash, &signed(step), now),
            Ok(()),
            "{name}"
        );
        if let ("sha256", Some(digest)) = (hash.name(), digest(&secret)) {
            let verified = read.verify_by_digest(&digest, &signed(step), now);
            assert_eq!(verified, Ok(()), "{name}");
        }
        let again = sign(
            &read.id,
            &secret,
            hash,
            &signed(step),
            (read.ts, &read.nonce),
        );
        assert_eq!(again.unwrap(), text, "{name}");
    }
}

#[test]
fn requests_are_refused_as_recorded() {
    let recorded = file("errors/hawk.json");
    let credentials = &recorded["credentials"];
    let secret = SecretText::from(credentials["key"].as_str().unwrap().to_owned());
    let mut compared = 0;
    for case in recorded["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        // The ticket store knows which tickets were presented.
        if matches!(name, "unknown-id" | "expired" | "replay") {
            continue;
        }
        let said: Value = serde_json::from_str(case["response"]["body"].as_str().unwrap()).unwrap();
        let verified = header(case, "authorization").map_or(Err(HawkError::None), |text| {
            let read = Header::parse(text)?;
            read.verify(&secret, RsaHash::Sha256, &signed(case), at(case) / 1_000)
        });
        match verified {
            Ok(()) => assert_eq!(said["Authed As"], "Application A", "{name}"),
            Err(error) => assert_eq!(said["Auth Error"], error.to_string(), "{name}"),
        }
        compared += 1;
    }
    assert_eq!(compared, 8);
}

/// Regression: requests with `app` (and `dlg`, the delegating application) in the Hawk header were
/// refused although their MAC was correct. The headers are those of the npm package `hawk`.
// [BRK-27]
#[test]
fn app_and_dlg_are_signed_as_hawk_defines() {
    let secret = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
        .to_owned()
        .into();
    let request = HawkRequest {
        method: "POST",
        target: "/entries?year=2026",
        host: "ledger.example",
        port: 8_000,
    };
    let start = r#"Hawk id="a", ts="1800000000", nonce="n""#;
    let verify = |rest: &str| {
        let header = Header::parse(&format!("{start}, {rest}")).unwrap();
        header.verify(&secret, RsaHash::Sha256, &request, 1_800_000_000)
    };
    let app = r#"mac="gUKU7da9CUuH4p+JcSpKyoE2/VSI7hXPqhe/+CJZfJA=", app="billing""#;
    let both =
        r#"mac="KN41HeHnEbdziRquQAkz1d97GvLtYPB4+b3/3hktuI8=", app="billing", dlg="archive""#;
    let all = r#"ext="more", mac="C9CSu6hwp+l7O7ZS8tESjrXV315mvTnUh8S83/wJcsc=", app="billing", dlg="archive""#;
    for rest in [app, both, all] {
        assert_eq!(verify(rest), Ok(()), "{rest}");
        let other = rest.replace("billing", "ledger");
        assert_eq!(verify(&other), Err(HawkError::Mac), "{other}");
    }
    for other in [
        both.replace("archive", "ledger"),
        format!("{app}, dlg=\"archive\""),
    ] {
        assert_eq!(verify(&other), Err(HawkError::Mac), "{other}");
    }
}

#[test]
fn malformed_headers_are_rejected() {
    let id = r#"Hawk id="a", ts="1", nonce="n", mac="AAAA""#;
    assert!(Header::parse(id).is_ok());
    for broken in [
        r#"Hawk id="a", ts="1", nonce="n""#,
        r#"Hawk id="a", ts="1", nonce="n", mac="AAA""#,
        r#"Hawk id="a", ts="-1", nonce="n", mac="AAAA""#,
        r#"Hawk id="a", ts="1", nonce="", mac="AAAA""#,
        r#"Hawk id="a", id="a", ts="1", nonce="n", mac="AAAA""#,
        r#"Hawk id="a" ts="1", nonce="n", mac="AAAA""#,
        r#"Hawk id="a", ts="1", nonce="n", mac="AAAA","#,
        r#"Hawk id="a", ts="1", nonce="n", mac="AAAA", more="x""#,
        "Hawk id=\"a\nb\", ts=\"1\", nonce=\"n\", mac=\"AAAA\"",
        "Hawk",
    ] {
        assert_eq!(Header::parse(broken), Err(HawkError::Format), "{broken}");
    }
    assert_eq!(Header::parse("Bearer x"), Err(HawkError::None));
    let long = format!(
        r#"Hawk id="{}", ts="1", nonce="n", mac="AAAA""#,
        "a".repeat(5_000)
    );
    assert_eq!(Header::parse(&long), Err(HawkError::Format));
}

#[test]
fn every_part_of_a_request_is_signed() {
    let secret = SecretText::from("secret".to_owned());
    let request = HawkRequest {
        method: "GET",
        target: "/a?b=c",
        host: "example.org",
        port: 443,
    };
    let text = sign("id", &secret, RsaHash::Sha256, &request, (100, "n")).unwrap();
    let read = Header::parse(&text).unwrap();
    let verify =
        |request: &HawkRequest<'_>, now| read.verify(&secret, RsaHash::Sha256, request, now);
    assert_eq!(verify(&request, 160), Ok(()));
    assert_eq!(verify(&request, 161), Err(HawkError::Stale));
    for other in [
        HawkRequest {
            method: "POST",
            ..request
        },
        HawkRequest {
            target: "/a?b=d",
            ..request
        },
        HawkRequest {
            host: "example.com",
            ..request
        },
        HawkRequest {
            port: 80,
            ..request
        },
    ] {
        assert_eq!(verify(&other, 100), Err(HawkError::Mac));
    }
    let other = SecretText::from("secreT".to_owned());
    let refused = read.verify(&other, RsaHash::Sha256, &request, 100);
    assert_eq!(refused, Err(HawkError::Mac));
    let sha512 = sign("id", &secret, RsaHash::Sha512, &request, (1, "n"));
    assert_eq!(sha512, Err(HawkError::Algorithm));
}

// The example of Hawk's own page, under "Payload Validation".
#[test]
fn a_payload_is_covered_by_its_hash() {
    let hash = "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=";
    let value = format!(r#"Hawk id="a", ts="1", nonce="b", hash="{hash}", mac="AAAA""#);
    let header = Header::parse(&value).unwrap();
    let payload = b"Thank you for flying Hawk";
    assert!(header.covers("text/plain", payload));
    assert!(header.covers("Text/Plain; charset=utf-8", payload));
    assert!(!header.covers("text/html", payload));
    assert!(!header.covers("text/plain", b"Thank you for flying Dove"));
    let without = Header::parse(r#"Hawk id="a", ts="1", nonce="b", mac="AAAA""#);
    assert!(without.unwrap().covers("", payload));
}

#[test]
fn a_secret_of_at_most_one_block_has_no_digest() {
    assert!(digest(&SecretText::from("x".repeat(64))).is_none());
    assert!(digest(&SecretText::from("x".repeat(65))).is_some());
}

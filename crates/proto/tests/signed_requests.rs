//! Properties of signed requests (RFC 9421): what is read is bounded, and no change of what is signed verifies.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::signed_request::{
    RequestParts, RequestSignature, RequestSignatureError, RequestSigner,
};
use proptest::prelude::*;

const TAG: &str = "c2l0ZQ";
const NOW: u64 = 1_772_366_400;

fn service(byte: u8) -> Identity {
    Identity::from_seed(IdentitySeed(Secret::from_bytes([byte; 32])))
}

/// The parameters of a signature with this nonce.
fn parameters(nonce: &str) -> String {
    let (covered, keyid) = (r#""@method" "@target-uri""#, "07".repeat(32));
    let expires = NOW + 60;
    format!(
        "({covered});created={NOW};expires={expires};nonce=\"{nonce}\";keyid=\"{keyid}\";tag=\"{TAG}\""
    )
}

/// A request with this method and path.
fn request<'a>(method: &'a str, path: &'a str) -> RequestParts<'a> {
    RequestParts {
        method,
        scheme: "https",
        authority: "site.example",
        path,
        query: None,
        content_digest: None,
        if_match: None,
        idempotency_key: None,
    }
}

proptest! {
    #[test]
    fn any_fields_are_read_or_refused_and_verify_with_no_key(
        input in ".{0,200}",
        signature in ".{0,200}",
    ) {
        for input in [input.clone(), format!("any={}{input}", parameters("n"))] {
            if let Ok(read) = RequestSignature::read(&input, &signature, TAG) {
                prop_assert!((1..=128).contains(&read.nonce().len()));
                let key = service(7).certificate().signing();
                let verified = read.verify(&key, &request("GET", "/"), NOW);
                prop_assert_eq!(verified, Err(RequestSignatureError::NotVerified));
            }
        }
    }

    #[test]
    fn a_signature_is_that_of_one_request_one_nonce_and_one_key(
        method in "[A-Z]{1,8}",
        path in "/[a-z0-9/]{0,30}",
        nonce in "[a-zA-Z0-9]{1,128}",
        other in "[A-Z]{1,8}",
    ) {
        let identity = service(7);
        let signer = RequestSigner::new(&identity, TAG);
        let fields = signer.sign(&request(&method, &path), NOW..NOW + 60, &nonce).unwrap();
        let (input, field) = (fields.signature_input, fields.signature);
        let read = RequestSignature::read(&input, &field, TAG).unwrap();
        prop_assert_eq!(read.nonce(), nonce.as_str());
        let verify = |byte, parts: &RequestParts<'_>| {
            read.verify(&service(byte).certificate().signing(), parts, NOW)
        };
        prop_assert_eq!(verify(7, &request(&method, &path)), Ok(()));
        let refused = Err(RequestSignatureError::NotVerified);
        prop_assert_eq!(verify(8, &request(&method, &path)), refused);
        prop_assert_eq!(verify(7, &request(&method, &format!("{path}x"))), refused);
        if other != method {
            prop_assert_eq!(verify(7, &request(&other, &path)), refused);
        }
        let longer = format!("nonce=\"{nonce}x\"");
        let replayed = input.replacen(&format!("nonce=\"{nonce}\""), &longer, 1);
        if let Ok(replayed) = RequestSignature::read(&replayed, &field, TAG) {
            let key = identity.certificate().signing();
            prop_assert_eq!(replayed.verify(&key, &request(&method, &path), NOW), refused);
        }
    }
}

//! The fields of a signed request (RFC 9421) from any characters, one a line: `signature-input`, `signature`, method,
//! authority, path, `content-digest`, content. No signature is verified with another key than that of the seeds,
//! and a digest is that of one content.

use countersign_crypto::secret::Secret;
use countersign_crypto::sign::SigningKey;
use countersign_proto::signed_request::{RequestParts, RequestSignature, RequestSignatureError};

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    let mut lines = text.splitn(7, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (input, signature) = (line(), line());
    let Ok(read) = RequestSignature::read(input, signature, "c2l0ZQ") else {
        return;
    };
    assert!((1..=128).contains(&read.nonce().len()));
    let (method, authority, path) = (line(), line(), line());
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let digest = line();
    let request = RequestParts {
        method,
        scheme: "https",
        authority,
        path,
        query,
        content_digest: (!digest.is_empty()).then_some(digest),
        if_match: None,
        idempotency_key: None,
    };
    let other = SigningKey::from_secret(&Secret::from_bytes([8; 32])).verifying();
    let verified = read.verify(&other, &request, read.created());
    assert_eq!(verified, Err(RequestSignatureError::NotVerified));
    let content = line().as_bytes();
    if read.covers(request.content_digest, content) {
        assert!(!read.covers(request.content_digest, &[content, b"\0"].concat()));
    }
}

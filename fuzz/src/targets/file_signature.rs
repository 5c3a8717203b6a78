//! The text of a signature of a file from any text: one that reads is written and read again as the same, and
//! it verifies no file with another key than that of the seeds.

use std::sync::LazyLock;

use countersign_crypto::file_signature::{FileDigest, FileSignature};
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;

use super::text;

static OTHER: LazyLock<Identity> =
    LazyLock::new(|| Identity::from_seed(IdentitySeed(Secret::from_bytes([8; 32]))));

pub(super) fn run(input: &[u8]) {
    if let Ok(signature) = FileSignature::from_pem(text(input)) {
        assert_eq!(
            FileSignature::from_pem(&signature.to_pem()),
            Ok(signature.clone())
        );
        let mut file = FileDigest::new();
        file.update(b"the file of the seed");
        assert!(signature.verify(OTHER.certificate(), file).is_err());
    }
}

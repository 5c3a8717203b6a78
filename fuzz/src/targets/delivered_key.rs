//! Parses any bytes as a certificate and an encrypted key that a site delivers. A parsed key has
//! the given bytes.

use countersign_crypto::key_file::{DeliveredKey, MAX_DELIVERED};

// The length of the certificate in 2 bytes, the certificate, the key.
pub(super) fn run(input: &[u8]) {
    let Some((length, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (certificate, key) = rest.split_at(length);
    if let Ok(read) = DeliveredKey::from_der(certificate, key) {
        assert!(certificate.len().max(key.len()) <= MAX_DELIVERED);
        assert_eq!(read.certificate().der(), certificate);
        assert_eq!(read.encrypted_key(), key);
        let pem = read.encrypted_key_pem();
        assert_eq!(
            DeliveredKey::from_key_file(read.certificate(), &pem),
            Ok(read)
        );
    }
}

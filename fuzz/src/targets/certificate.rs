//! Parses a certificate from any bytes, as DER and as PEM. A parsed one is written and parses again
//! to the same.

use countersign_crypto::certificate::Certificate;

pub(super) fn run(input: &[u8]) {
    if let Ok(certificate) = Certificate::from_der(input) {
        assert_eq!(certificate.der(), input);
        let pem = certificate.to_pem();
        assert_eq!(Certificate::from_pem(&pem), Ok(certificate));
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(certificate) = Certificate::from_pem(text)
    {
        let again = Certificate::from_der(certificate.der());
        assert_eq!(again, Ok(certificate));
    }
}

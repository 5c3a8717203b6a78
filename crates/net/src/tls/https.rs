//! The site's end of HTTPS: the TLS of devices, with HTTP inside. Its certificate is that of the
//! site key, which clients pin, or one of the operator, which browsers accept.

use std::sync::Arc;

use countersign_crypto::device_key::DeviceAlgorithm;
use countersign_crypto::site_key::SiteKey;
use countersign_crypto::tls_certificate;
use rustls::Error;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroize;

use super::signer::HandshakeSigner;
use super::{Acceptor, TlsSetupError, configuration};

/// The maximum number of certificates in a chain.
const MAX_CHAIN: usize = 8;

/// A certificate and its key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// The certificates are not PEM.
    #[error("the file of the certificate is not PEM: {0}")]
    Certificate(pem::Error),
    /// The file of the certificate has none, or more than a chain has.
    #[error("the file of the certificate has {0} certificates; it must have 1 to {MAX_CHAIN}")]
    Chain(usize),
    /// The key is not PEM, or it is encrypted.
    #[error("the file of the key has no unencrypted private key in PEM: {0}")]
    Key(pem::Error),
    /// The key is of a kind that TLS 1.3 does not use, or it belongs to another certificate.
    #[error("the key cannot be used with the certificate: {0}")]
    Pair(Error),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(#[from] tls_certificate::TlsCertificateError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
}

/// An end of HTTPS, and what a client may pin.
#[derive(Clone)]
pub struct Https {
    /// The site's end of TLS.
    pub acceptor: Acceptor,
    /// SHA-256 of the public key of the certificate (SubjectPublicKeyInfo), as RFC 7469 pins it.
    pub pin: [u8; 32],
}

impl Https {
    /// Proves the key of `site`.
    ///
    /// # Errors
    /// [`BadCertificate::Setup`].
    pub fn of_site(site: Arc<SiteKey>) -> Result<Self, BadCertificate> {
        let certificate = tls_certificate::of_site(site.signing());
        let pin = tls_certificate::pin(&certificate)?;
        let signer = HandshakeSigner::new(DeviceAlgorithm::Ed25519, move |message| {
            site.sign(message).0.to_vec()
        });
        let chain = vec![CertificateDer::from(certificate)];
        Self::new(CertifiedKey::new(chain, Arc::new(signer)), true, pin)
    }

    /// Proves the key of a certificate, both as PEM.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Self, BadCertificate> {
        let chain = CertificateDer::pem_slice_iter(certificate);
        let chain: Result<Vec<_>, _> = chain.collect();
        let chain = chain.map_err(BadCertificate::Certificate)?;
        if chain.len() > MAX_CHAIN {
            return Err(BadCertificate::Chain(chain.len()));
        }
        let pin = match chain.first() {
            Some(own) => tls_certificate::pin(own)?,
            None => return Err(BadCertificate::Chain(0)),
        };
        let mut key = PrivateKeyDer::from_pem_slice(key).map_err(BadCertificate::Key)?;
        let signer = any_supported_type(&key);
        key.zeroize();
        let certified = CertifiedKey::new(chain, signer.map_err(BadCertificate::Pair)?);
        certified.keys_match().map_err(BadCertificate::Pair)?;
        Self::new(certified, false, pin)
    }

    fn new(
        certified: CertifiedKey,
        is_of_site: bool,
        pin: [u8; 32],
    ) -> Result<Self, BadCertificate> {
        let configuration = configuration::of_https(certified).map_err(TlsSetupError)?;
        let acceptor = Acceptor {
            tls: Arc::new(configuration).into(),
            is_of_site,
        };
        Ok(Self { acceptor, pin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500`, twice.
    const CERTIFICATE: &[u8] = include_bytes!("../../testdata/https.pem");
    const KEY: &[u8] = include_bytes!("../../testdata/https-key.pem");
    const OTHER_KEY: &[u8] = include_bytes!("../../testdata/https-other-key.pem");

    #[test]
    fn a_certificate_needs_its_own_key() {
        let https = Https::of_pem(CERTIFICATE, KEY).unwrap();
        assert_ne!(https.pin, [0; 32]);
        let refused = |certificate: &[u8], key: &[u8]| Https::of_pem(certificate, key).err();
        assert!(matches!(
            refused(CERTIFICATE, OTHER_KEY),
            Some(BadCertificate::Pair(_))
        ));
        assert!(matches!(
            refused(CERTIFICATE, CERTIFICATE),
            Some(BadCertificate::Key(_))
        ));
        assert!(matches!(refused(KEY, KEY), Some(BadCertificate::Chain(0))));
        let many = CERTIFICATE.repeat(MAX_CHAIN + 1);
        assert!(matches!(
            refused(&many, KEY),
            Some(BadCertificate::Chain(9))
        ));
        assert!(Https::of_pem(&CERTIFICATE.repeat(MAX_CHAIN), KEY).is_ok());
        let half = CERTIFICATE.split_at(CERTIFICATE.len() / 2).0;
        assert!(matches!(
            refused(half, KEY),
            Some(BadCertificate::Certificate(_))
        ));
    }
}

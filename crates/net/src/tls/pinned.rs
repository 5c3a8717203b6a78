//! The checks of certificates. Each end checks that the peer holds the private key of its certificate;
//! the device also checks that the key is the pinned one.

use countersign_crypto::device_key::{DeviceAlgorithm, DeviceKey};
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::tls_certificate::{self, MAX_TLS_CERTIFICATE};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

/// The scheme that a key of this algorithm signs a handshake with (RFC 8446, section 4.2.3).
pub(super) const fn scheme(algorithm: DeviceAlgorithm) -> SignatureScheme {
    match algorithm {
        DeviceAlgorithm::Ed25519 => SignatureScheme::ED25519,
        DeviceAlgorithm::EcdsaP256 => SignatureScheme::ECDSA_NISTP256_SHA256,
    }
}

/// The key of a certificate.
pub(super) fn key_of(certificate: &CertificateDer<'_>) -> Result<DeviceKey, Error> {
    tls_certificate::key(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// Whether the peer holds the certificate's key: it signed this handshake.
fn proven(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key_of(certificate)?;
    if signed.scheme != scheme(key.algorithm()) {
        return Err(CertificateError::BadSignature.into());
    }
    key.verify(message, signed.signature())
        .map(|()| HandshakeSignatureValid::assertion())
        .map_err(|_| CertificateError::BadSignature.into())
}

/// These connections have no TLS 1.2.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
}

/// The sites that a client accepts. Each must prove that it holds its key.
#[derive(Debug)]
pub(super) enum AcceptedSite {
    /// The site with this key.
    Pinned(VerifyingKey),
    /// A site with any Ed25519 key.
    Any,
}

impl ServerCertVerifier for AcceptedSite {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = key_of(certificate).ok().and_then(|key| key.ed25519());
        let accepted = match self {
            Self::Pinned(site) => key == Some(*site),
            Self::Any => key.is_some(),
        };
        match accepted {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proven(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![scheme(DeviceAlgorithm::Ed25519)]
    }
}

/// Accepts every device that proves to hold its key, and clients without one. Whether the key is
/// registered is asked after the handshake: the handshake must not tell it to an unauthenticated client.
#[derive(Debug, Default)]
pub(super) struct AnyDevice {
    issuers: Vec<DistinguishedName>,
}

impl AnyDevice {
    /// Names the issuer of the certificates that devices make for themselves. A browser offers its
    /// user only certificates of the named issuers, and so offers none here. Other clients present
    /// theirs all the same.
    pub(super) fn named() -> Self {
        let issuers = tls_certificate::device_issuer().map(DistinguishedName::from);
        let issuers = issuers.into_iter().collect();
        Self { issuers }
    }
}

impl ClientCertVerifier for AnyDevice {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // A connection holds its certificates as long as it lives. The key is read and checked with
        // the signature, which always follows.
        match others.is_empty() && certificate.len() <= MAX_TLS_CERTIFICATE {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proven(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        [DeviceAlgorithm::Ed25519, DeviceAlgorithm::EcdsaP256]
            .map(scheme)
            .to_vec()
    }
}

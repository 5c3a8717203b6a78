//! The baseline of logins and packets: rustls over AWS-LC in memory, with TLS 1.3 and X25519MLKEM768.
//! Both sides have an Ed25519 certificate that the other one has pinned. There are no tickets, so
//! every handshake is a full one.

use std::io::{Read, Write};
use std::sync::Arc;

use countersign_crypto::identity::Identity;
use countersign_crypto::kdf::derive;
use countersign_crypto::secret::Secret;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct, DistinguishedName,
    Error, ServerConfig, ServerConnection, SideData, SignatureScheme, SupportedCipherSuite,
};

use crate::Result;
use crate::ends::UNEXPECTED_COURSE;

/// The cipher suite that rustls prefers.
pub(crate) const AES_256: SupportedCipherSuite = aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384;
/// The cheapest cipher suite of rustls: SHA-256 runs in hardware, SHA-384 does not.
pub(crate) const AES_128: SupportedCipherSuite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

/// The configurations of both ends, made once.
pub(crate) struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
}

/// Both ends of a connection.
pub(crate) struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    wire: Vec<u8>,
}

impl Ends {
    /// Two new identities that have pinned each other.
    pub(crate) fn new(suite: SupportedCipherSuite) -> Result<Self> {
        let entropy = &mut countersign_crypto::entropy::SystemEntropy;
        let (client, server) = (Identity::generate(entropy), Identity::generate(entropy));
        let base = aws_lc_rs::default_provider();
        let algorithms = base.signature_verification_algorithms;
        let provider = Arc::new(CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
            cipher_suites: vec![suite],
            ..base
        });
        let pin = |identity: &Identity| {
            Arc::new(Pinned {
                certificate: certificate(identity),
                algorithms,
            })
        };
        let mut client_config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(pin(&server))
            .with_client_auth_cert(vec![certificate(&client)], private_key(&client))?;
        client_config.resumption = Resumption::disabled();
        let mut server_config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(pin(&client))
            .with_single_cert(vec![certificate(&server)], private_key(&server))?;
        server_config.send_tls13_tickets = 0;
        Ok(Self {
            client: Arc::new(client_config),
            server: Arc::new(server_config),
            name: "site".try_into()?,
        })
    }

    /// A full handshake, from the first byte until both ends may send.
    pub(crate) fn shake_hands(&self) -> Result<Pair> {
        let mut pair = Pair {
            client: ClientConnection::new(self.client.clone(), self.name.clone())?,
            server: ServerConnection::new(self.server.clone())?,
            wire: Vec::with_capacity(8 * 1024),
        };
        for _ in 0..4 {
            pair.up()?;
            if !pair.client.is_handshaking() && !pair.server.is_handshaking() {
                return Ok(pair);
            }
            pair.down()?;
        }
        Err(UNEXPECTED_COURSE.into())
    }
}

impl Pair {
    /// Removes the limits of the ends' buffers.
    pub(crate) fn without_buffer_limit(mut self) -> Self {
        self.client.set_buffer_limit(None);
        self.server.set_buffer_limit(None);
        self
    }

    /// Sends `text` from the client to the server and back, through records. Overwrites `got`.
    pub(crate) fn there_and_back(&mut self, text: &[u8], got: &mut [u8]) -> Result<()> {
        self.client.writer().write_all(text)?;
        carry(&mut self.client, &mut self.server, &mut self.wire, got)?;
        self.server.writer().write_all(text)?;
        carry(&mut self.server, &mut self.client, &mut self.wire, got)
    }

    fn up(&mut self) -> Result<()> {
        carry(&mut self.client, &mut self.server, &mut self.wire, &mut [])
    }

    fn down(&mut self) -> Result<()> {
        carry(&mut self.server, &mut self.client, &mut self.wire, &mut [])
    }
}

/// Passes all output of one end to the other, and fills `got` with the plaintext.
fn carry<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    wire: &mut Vec<u8>,
    mut got: &mut [u8],
) -> Result<()> {
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire)?;
    }
    let mut wire = &wire[..];
    while !wire.is_empty() {
        to.read_tls(&mut wire)?;
        let mut left = to.process_new_packets()?.plaintext_bytes_to_read();
        while left > 0 {
            let read = to.reader().read(got)?;
            got = got.get_mut(read..).unwrap_or_default();
            left = left
                .checked_sub(read)
                .filter(|_| read > 0)
                .ok_or(UNEXPECTED_COURSE)?;
        }
    }
    if got.is_empty() {
        Ok(())
    } else {
        Err(UNEXPECTED_COURSE.into())
    }
}

fn certificate(identity: &Identity) -> CertificateDer<'static> {
    CertificateDer::from(identity.certificate().der().to_vec())
}

/// The identity's Ed25519 key in PKCS#8 (RFC 8410, section 7).
fn private_key(identity: &Identity) -> PrivateKeyDer<'static> {
    const HEADER: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let key: Secret<32> = derive(identity.seed().0.expose(), "identity signing", &[]);
    let der = [&HEADER[..], &key.expose()[..]].concat();
    PrivatePkcs8KeyDer::from(der).into()
}

/// Accepts one certificate and verifies its owner's signature.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn accept(&self, certificate: &CertificateDer<'_>) -> std::result::Result<(), Error> {
        if *certificate == self.certificate {
            Ok(())
        } else {
            Err(Error::General("not the pinned certificate".to_owned()))
        }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn too_old() -> std::result::Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not on offer".to_owned()))
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        self.accept(certificate)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Self::too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, Error> {
        self.accept(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        Self::too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

//! What the two ends offer and accept.

use std::sync::Arc;
use std::time::Duration;

use countersign_crypto::device_key::{DeviceAlgorithm, DeviceIdentity};
use countersign_crypto::sign::VerifyingKey;
use countersign_crypto::site_key::SiteKey;
use countersign_crypto::tls_certificate;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, ServerConfig};

use super::pinned::{AcceptedSite, AnyDevice};
use super::signer::HandshakeSigner;

/// The name of HTTP/2 in the extension that names the protocol inside (RFC 9113, section 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";

pub(super) fn of_site(site: Arc<SiteKey>) -> Result<ServerConfig, Error> {
    let certificate = tls_certificate::of_site(site.signing());
    let signer = HandshakeSigner::new(DeviceAlgorithm::Ed25519, move |message| {
        site.sign(message).0.to_vec()
    });
    of_server(AnyDevice::default(), certified(certificate, signer))
}

fn of_server(devices: AnyDevice, shown: SingleCertAndKey) -> Result<ServerConfig, Error> {
    let mut configuration = ServerConfig::builder_with_details(provider(), Arc::new(NoClock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(devices))
        .with_cert_resolver(Arc::new(shown));
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.send_tls13_tickets = 0;
    Ok(configuration)
}

/// HTTP inside: HTTP/2, or else HTTP/1.1. A client may present the certificate of a device.
pub(super) fn of_https(certified: CertifiedKey) -> Result<ServerConfig, Error> {
    let mut configuration = of_server(AnyDevice::named(), certified.into())?;
    configuration.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

pub(super) fn of_device(
    site: VerifyingKey,
    identity: Option<Arc<DeviceIdentity>>,
) -> Result<ClientConfig, Error> {
    let shown = identity.map(|identity| {
        let certificate = tls_certificate::of_device(&identity);
        let algorithm = identity.public().algorithm();
        let signer = HandshakeSigner::new(algorithm, move |message| identity.sign(message));
        certified(certificate, signer)
    });
    of_client(AcceptedSite::Pinned(site), shown)
}

/// A site that connects to the peer with this key and proves its own.
pub(super) fn of_peer(pinned: VerifyingKey, own: Arc<SiteKey>) -> Result<ClientConfig, Error> {
    let certificate = tls_certificate::of_site(own.signing());
    let signer = HandshakeSigner::new(DeviceAlgorithm::Ed25519, move |message| {
        own.sign(message).0.to_vec()
    });
    let shown = certified(certificate, signer);
    of_client(AcceptedSite::Pinned(pinned), Some(shown))
}

/// Accepts a site with any key, and presents none.
pub(super) fn of_any_site() -> Result<ClientConfig, Error> {
    of_client(AcceptedSite::Any, None)
}

fn of_client(site: AcceptedSite, shown: Option<SingleCertAndKey>) -> Result<ClientConfig, Error> {
    let configuration = ClientConfig::builder_with_details(provider(), Arc::new(NoClock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(site));
    let mut configuration = match shown {
        None => configuration.with_no_client_auth(),
        Some(shown) => configuration.with_client_cert_resolver(Arc::new(shown)),
    };
    configuration.resumption = Resumption::disabled();
    // A name tells an onlooker where the device connects, and tells the site nothing.
    configuration.enable_sni = false;
    Ok(configuration)
}

fn certified(certificate: Vec<u8>, signer: HandshakeSigner) -> SingleCertAndKey {
    let chain = vec![CertificateDer::from(certificate)];
    CertifiedKey::new(chain, Arc::new(signer)).into()
}

/// The groups in the order of preference: a connection that is recorded today stays closed to a
/// quantum computer, and other tools without ML-KEM connect all the same.
fn provider() -> Arc<CryptoProvider> {
    let groups = vec![
        kx_group::X25519MLKEM768,
        kx_group::X25519,
        kx_group::SECP256R1,
    ];
    Arc::new(CryptoProvider {
        kx_groups: groups,
        ..default_provider()
    })
}

/// Time plays no part: no date is checked, and nothing is resumed.
#[derive(Debug)]
struct NoClock;

impl TimeProvider for NoClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::ZERO))
    }
}

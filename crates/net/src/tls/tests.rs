//! Handshakes in memory, and with `openssl` as the other end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use countersign_crypto::device_key::{DeviceAlgorithm, DeviceKey};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::SiteSeed;
use countersign_crypto::tls_certificate;
use countersign_proto::enrolment::client::{AwaitingReply, ReplyStep};
use countersign_proto::enrolment::server::{AwaitingRequest, RequestStep};
use countersign_proto::enrolment::{EnrolmentReply, EnrolmentTicket, TicketKind, Token};
use countersign_proto::site_identity::SiteId;
use rustls::NamedGroup;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use super::signer::HandshakeSigner;
use super::*;

type Accepted<S> = io::Result<TlsStream<S>>;
type Connected<S> = Result<TlsStream<S>, ConnectError>;

fn site(byte: u8) -> Arc<SiteKey> {
    Arc::new(SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32]))))
}

fn acceptor() -> Acceptor {
    Acceptor::new(site(1)).unwrap()
}

fn connector(pinned: u8, identity: Option<&Arc<DeviceIdentity>>) -> Connector {
    Connector::new(site(pinned).public().signing, identity.cloned()).unwrap()
}

fn device() -> Arc<DeviceIdentity> {
    Arc::new(DeviceIdentity::generate(&mut SystemEntropy))
}

/// Both ends of a handshake in memory. An end that fails is dropped, so that the other one ends too.
async fn handshake(
    acceptor: &Acceptor,
    connector: &Connector,
) -> (Accepted<DuplexStream>, Connected<DuplexStream>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connecting = async {
        let mut stream = connector.connect(far).await?;
        // The client is done before the site has looked at its certificate: one byte shows it.
        stream.read_u8().await?;
        Ok(stream)
    };
    let accepting = async {
        let mut stream = acceptor.accept(near).await?;
        stream.write_u8(1).await?;
        stream.flush().await?;
        Ok(stream)
    };
    tokio::join!(accepting, connecting)
}

fn run(folder: &Path, line: &str) -> String {
    let run = Command::new("openssl")
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "{line}: {run:?}");
    String::from_utf8(run.stdout).unwrap()
}

/// A key and its self-signed certificate, `key.pem` and `certificate.pem`, that `openssl` made.
fn made_by_openssl(algorithm: &str) -> (TempDir, Arc<DeviceIdentity>) {
    let folder = tempfile::tempdir().unwrap();
    let key = run(folder.path(), &format!("genpkey -algorithm {algorithm}"));
    std::fs::write(folder.path().join("key.pem"), &key).unwrap();
    let certificate = "req -x509 -new -key key.pem -subj /CN=phone -days 1 -out certificate.pem";
    run(folder.path(), certificate);
    (folder, Arc::new(DeviceIdentity::from_pem(&key).unwrap()))
}

const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";

/// `openssl s_client`, connected to `listener`.
async fn s_client(listener: &TcpListener, folder: &Path, more: &str) -> (TcpStream, Child) {
    let address = listener.local_addr().unwrap();
    let child = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address.to_string()])
        .args(more.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (stream, child)
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

// DEV-6, DEV-23
#[tokio::test]
async fn a_device_that_pins_the_sites_key_connects_without_a_key_of_its_own() {
    let (accepted, connected) = handshake(&acceptor(), &connector(1, None)).await;
    let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
    assert_eq!(accepted.peer_key().unwrap(), None);
    let site = DeviceKey::from_ed25519(&site(1).public().signing).unwrap();
    assert_eq!(connected.peer_key().unwrap(), Some(site));
}

// DEV-22
#[tokio::test]
async fn the_site_learns_the_key_that_a_device_holds() {
    let (_folder, p256) = made_by_openssl(P256);
    assert_eq!(p256.public().algorithm(), DeviceAlgorithm::EcdsaP256);
    for identity in [device(), p256] {
        let connector = connector(1, Some(&identity));
        let (accepted, connected) = handshake(&acceptor(), &connector).await;
        let key = accepted.unwrap().peer_key().unwrap();
        assert_eq!(key.as_ref(), Some(identity.public()));
        connected.unwrap();
    }
}

// DEV-6
#[tokio::test]
async fn a_site_with_another_key_than_the_pinned_one_is_refused() {
    let identity = device();
    let (accepted, connected) = handshake(&acceptor(), &connector(2, Some(&identity))).await;
    assert!(matches!(connected, Err(ConnectError::WrongSite)));
    assert!(accepted.is_err());
}

/// The certificate is public; the handshake must be signed by its key.
// DEV-6
#[tokio::test]
async fn a_site_that_shows_the_certificate_and_lacks_its_key_is_refused() {
    let certificate = tls_certificate::of_site(site(1).signing());
    let attacker = HandshakeSigner::new(DeviceAlgorithm::Ed25519, |message| {
        site(2).sign(message).0.to_vec()
    });
    let mut forged = configuration::of_site(site(1)).unwrap();
    forged.cert_resolver = Arc::new(shown(certificate, attacker));
    let forged = Acceptor {
        tls: Arc::new(forged).into(),
        is_of_site: true,
    };
    let (accepted, connected) = handshake(&forged, &connector(1, None)).await;
    assert!(matches!(connected, Err(ConnectError::WrongSite)));
    assert!(accepted.is_err());
}

// DEV-22
#[tokio::test]
async fn a_device_that_shows_a_certificate_and_lacks_its_key_is_refused() {
    let (owner, thief) = (device(), device());
    let certificate = tls_certificate::of_device(&owner);
    let signer = HandshakeSigner::new(DeviceAlgorithm::Ed25519, move |message| thief.sign(message));
    let pinned = site(1).public().signing;
    let mut forged = configuration::of_device(pinned, Some(owner)).unwrap();
    forged.client_auth_cert_resolver = Arc::new(shown(certificate, signer));
    let forged = Connector(Arc::new(forged).into());
    let (accepted, connected) = handshake(&acceptor(), &forged).await;
    assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(matches!(connected, Err(ConnectError::Io(_))));
}

/// A signature by the wrong scheme: P-256 signs, and says that it was Ed25519.
// DEV-22
#[tokio::test]
async fn a_signature_under_the_name_of_another_scheme_is_refused() {
    let (_folder, p256) = made_by_openssl(P256);
    let certificate = tls_certificate::of_device(&p256);
    let signer = HandshakeSigner::new(DeviceAlgorithm::Ed25519, {
        let p256 = p256.clone();
        move |message| p256.sign(message)
    });
    let pinned = site(1).public().signing;
    let mut forged = configuration::of_device(pinned, Some(p256)).unwrap();
    forged.client_auth_cert_resolver = Arc::new(shown(certificate, signer));
    let forged = Connector(Arc::new(forged).into());
    let (accepted, _) = handshake(&acceptor(), &forged).await;
    assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

fn shown(certificate: Vec<u8>, signer: HandshakeSigner) -> SingleCertAndKey {
    CertifiedKey::new(vec![CertificateDer::from(certificate)], Arc::new(signer)).into()
}

// DEV-7
#[tokio::test]
async fn both_ends_agree_on_x25519_with_ml_kem_768() {
    let (accepted, connected) = handshake(&acceptor(), &connector(1, None)).await;
    let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
    assert_eq!(accepted.group(), Some(NamedGroup::X25519MLKEM768));
    assert_eq!(connected.group(), Some(NamedGroup::X25519MLKEM768));
}

/// The proof of an enrolment is bound to its connection by this value.
#[tokio::test]
async fn the_exporter_is_the_same_at_both_ends_and_another_on_each_connection() {
    let connect = async || {
        let (accepted, connected) = handshake(&acceptor(), &connector(1, None)).await;
        let exporters = (
            accepted.unwrap().enrolment_exporter().unwrap(),
            connected.unwrap().enrolment_exporter().unwrap(),
        );
        assert_eq!(exporters.0, exporters.1);
        exporters.0
    };
    assert_ne!(connect().await, connect().await);
}

/// The whole dialog; and the same request on another connection, as an attacker would relay it.
// DEV-12
#[tokio::test]
async fn a_device_enrols_over_tls_and_its_request_is_of_no_use_on_another_connection() {
    let public = site(1).public();
    let token = Token::generate(&mut SystemEntropy);
    let ticket = EnrolmentTicket::new(TicketKind::Device, "a", 1, token, public.signing).unwrap();
    let identity = device();
    let (accepted, connected) = handshake(&acceptor(), &connector(1, None)).await;
    let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
    let site = SiteId([3; 32]);
    let reply = EnrolmentReply::new("1", "a", 1, site).unwrap();

    let enrolling = async {
        let (id, name) = ("ada".parse().unwrap(), "phone".parse().unwrap());
        let exporter = connected.enrolment_exporter().unwrap();
        let (mut waiting, line) =
            AwaitingReply::start(&ticket, id, name, &identity, &exporter, site).unwrap();
        connected.write_all(line.expose()).await.unwrap();
        loop {
            let mut bytes = [0; 64];
            let read = connected.read(&mut bytes).await.unwrap();
            match waiting.receive(&bytes[..read]).unwrap() {
                ReplyStep::More(more) => waiting = more,
                ReplyStep::Enrolled(reply) => return reply,
            }
        }
    };
    let serving = async {
        let mut waiting = AwaitingRequest::new();
        let request = loop {
            let mut bytes = vec![0; waiting.room().min(64)];
            let read = accepted.read(&mut bytes).await.unwrap();
            match waiting.receive(&bytes[..read]).unwrap() {
                RequestStep::More(more) => waiting = more,
                RequestStep::Request(request) => break request,
                RequestStep::Registration(_) | RequestStep::KeyEvents(..) => {
                    panic!("the line enrols a device")
                }
            }
        };
        let exporter = accepted.enrolment_exporter().unwrap();
        let proven = request.verify(&exporter).unwrap();
        assert_eq!(proven.key(), identity.public());
        accepted.write_all(&reply.to_line()).await.unwrap();
        accepted.shutdown().await.unwrap();
        request
    };
    let (enrolled, request) = tokio::join!(enrolling, serving);
    assert_eq!(enrolled, reply);

    let (other, _) = handshake(&acceptor(), &connector(1, None)).await;
    let exporter = other.unwrap().enrolment_exporter().unwrap();
    assert!(request.verify(&exporter).is_err());
}

// DEV-24
#[tokio::test]
async fn no_session_can_be_resumed() {
    let mut resuming = configuration::of_device(site(1).public().signing, None).unwrap();
    resuming.resumption = rustls::client::Resumption::in_memory_sessions(8);
    resuming.enable_early_data = true;
    let connector = Connector(Arc::new(resuming).into());
    for _ in 0..2 {
        let (accepted, connected) = handshake(&acceptor(), &connector).await;
        accepted.unwrap();
        let kind = connected.unwrap().handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn bytes_pass_and_the_end_is_told() {
    let (accepted, connected) = handshake(&acceptor(), &connector(1, None)).await;
    let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
    let sent = vec![7; 100_000];
    let sending = async {
        connected.write_all(&sent).await.unwrap();
        connected.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(accepted.read_to_end(&mut received), sending);
    assert_eq!((read.unwrap(), received), (100_000, sent.clone()));
    // Without the peer's word that no more follows, an end is an error: it may be an attacker's cut.
    drop(accepted);
    assert!(connected.read_u8().await.is_err());
}

// DEV-22
#[tokio::test]
async fn openssl_connects_with_the_certificates_that_it_made() {
    for algorithm in ["ed25519", P256] {
        let (folder, identity) = made_by_openssl(algorithm);
        let listener = listener().await;
        let arguments = "-tls1_3 -cert certificate.pem -key key.pem";
        let (stream, child) = s_client(&listener, folder.path(), arguments).await;
        let mut accepted = acceptor().accept(stream).await.unwrap();
        let key = accepted.peer_key().unwrap();
        assert_eq!(key.as_ref(), Some(identity.public()), "{algorithm}");
        accepted.write_all(b"welcome\n").await.unwrap();
        accepted.shutdown().await.unwrap();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = output.await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "welcome\n");
    }
}

// DEV-22
#[tokio::test]
async fn a_certificate_of_an_rsa_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(
        folder.path(),
        "req -x509 -nodes -newkey rsa:2048 -keyout key.pem -subj /CN=a -out certificate.pem",
    );
    let listener = listener().await;
    let arguments = "-tls1_3 -cert certificate.pem -key key.pem";
    let (stream, mut child) = s_client(&listener, folder.path(), arguments).await;
    let accepted = acceptor().accept(stream).await;
    // OpenSSL has no scheme in common with the site and presents no certificate, or gives up.
    assert!(accepted.is_err() || accepted.unwrap().peer_key().unwrap().is_none());
    child.wait().unwrap();
}

// DEV-5
#[tokio::test]
async fn tls_1_2_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listener = listener().await;
    let (stream, child) = s_client(&listener, folder.path(), "-tls1_2").await;
    let refused = acceptor().accept(stream).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    let output = tokio::task::spawn_blocking(|| child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("protocol version"), "{said}");
}

// DEV-5
#[tokio::test]
async fn a_site_that_offers_tls_1_2_alone_is_refused() {
    let (folder, _) = made_by_openssl(P256);
    let mut server = Command::new("openssl")
        .args("s_server -tls1_2 -accept 127.0.0.1:0 -cert certificate.pem -key key.pem".split(' '))
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(server.stdout.take().unwrap());
    let mut lines = said.lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
    let stream = TcpStream::connect(address.unwrap()).await.unwrap();
    let refused = connector(1, None).connect(stream).await;
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(matches!(refused, Err(ConnectError::Io(_))));
}

/// Tools that do not know ML-KEM connect with what they know.
// DEV-7
#[tokio::test]
async fn a_client_without_ml_kem_agrees_on_x25519_or_p_256() {
    let folder = tempfile::tempdir().unwrap();
    for (groups, expected) in [
        ("X25519", NamedGroup::X25519),
        ("P-256", NamedGroup::secp256r1),
    ] {
        let listener = listener().await;
        let arguments = format!("-tls1_3 -groups {groups}");
        let (stream, mut child) = s_client(&listener, folder.path(), &arguments).await;
        let mut accepted = acceptor().accept(stream).await.unwrap();
        assert_eq!(accepted.group(), Some(expected));
        accepted.shutdown().await.unwrap();
        drop(accepted);
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"{\"token\":\"A\"}\n",
        &[0; 64],
    ] {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(bytes).await.unwrap();
        let refused = acceptor().accept(near).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}

/// A device whose clock is wrong makes a certificate that is over, or not valid yet.
// DEV-22
#[tokio::test]
async fn certificates_of_1970_and_of_2100_are_accepted() {
    for clock in ["@1970-01-02 00:00:00", "@2100-01-01 00:00:00"] {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("faketime")
            .args(["-f", clock, "openssl"])
            .args("req -x509 -newkey ed25519 -nodes -keyout key.pem".split(' '))
            .args("-subj /CN=phone -days 1 -out certificate.pem".split(' '))
            .current_dir(&folder)
            .output();
        let made = made
            .unwrap_or_else(|error| panic!("`scripts/install test` installs faketime: {error}"));
        assert!(made.status.success(), "{made:?}");
        let key = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
        let identity = DeviceIdentity::from_pem(&key).unwrap();
        let listener = listener().await;
        let arguments = "-tls1_3 -cert certificate.pem -key key.pem";
        let (stream, mut child) = s_client(&listener, folder.path(), arguments).await;
        let mut accepted = acceptor().accept(stream).await.unwrap();
        let shown = accepted.peer_key().unwrap();
        assert_eq!(shown.as_ref(), Some(identity.public()), "{clock}");
        accepted.shutdown().await.unwrap();
        drop(accepted);
        child.wait().unwrap();
    }
}

/// One certificate is enough. Further ones would be work for the site, and nothing reads them.
// DEV-22
#[tokio::test]
async fn a_chain_of_certificates_is_refused() {
    let (folder, _) = made_by_openssl(P256);
    run(
        folder.path(),
        "req -x509 -newkey ed25519 -nodes -keyout ca.key -subj /CN=ca -days 1 -out ca.pem",
    );
    let listener = listener().await;
    let arguments = "-tls1_3 -cert certificate.pem -key key.pem -cert_chain ca.pem";
    let (stream, child) = s_client(&listener, folder.path(), arguments).await;
    let refused = acceptor().accept(stream).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    let output = tokio::task::spawn_blocking(|| child.wait_with_output());
    assert!(output.await.unwrap().unwrap().stdout.is_empty());
}

/// A client that offers a key share of a group that the site does not know is asked for another one.
// DEV-7
#[tokio::test]
async fn a_client_that_is_asked_for_another_key_share_connects() {
    let folder = tempfile::tempdir().unwrap();
    let listener = listener().await;
    // OpenSSL sends a key share of the first group alone.
    let arguments = "-tls1_3 -groups P-521:X25519";
    let (stream, mut child) = s_client(&listener, folder.path(), arguments).await;
    let mut accepted = acceptor().accept(stream).await.unwrap();
    assert_eq!(accepted.group(), Some(NamedGroup::X25519));
    accepted.shutdown().await.unwrap();
    drop(accepted);
    child.wait().unwrap();
}

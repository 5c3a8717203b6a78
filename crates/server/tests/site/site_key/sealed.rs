//! A sealed site: it replies "sealed" to any input, and an unsealed site never does.

use std::io::ErrorKind;

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_proto::session::client::{ClientLoginAttempt, ClientSettings};
use countersign_testkit::harness::{PASSPHRASE, ServedSite, time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::operations::site;

/// ERROR 3.
const SEALED: [u8; 3] = [0x00, 0x01, 3];

/// How HTTP, TLS, and STUN without and with a length before it begin.
const OTHER_PROTOCOLS: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\n\r\n",
    &[0x16, 3, 1, 2, 0],
    &[0, 1, 0, 0],
    &[0, 20, 0, 1],
];

/// The reply of the site to these bytes followed by the end of the stream.
async fn answer(served: &ServedSite, said: &[u8]) -> Vec<u8> {
    let address = served.server.session_address().unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(said).await.unwrap();
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// [SES-4]: a sealed site replies "sealed" to any first bytes but those of another protocol [SES-92];
/// after it was unsealed it does not.
#[tokio::test]
async fn a_sealed_site_replies_sealed_to_any_client_and_an_unsealed_one_never() {
    let served = site().serve().await.restart().await;
    let first_bytes = flights(&served);
    let address = served.server.session_address().unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    time::settle().await;
    let unasked = silent.try_read(&mut [0]).unwrap_err();
    assert_eq!(unasked.kind(), ErrorKind::WouldBlock);
    for said in &first_bytes {
        assert_eq!(answer(&served, said).await, SEALED, "{} bytes", said.len());
    }
    for said in OTHER_PROTOCOLS {
        let answered = answer(&served, said).await;
        assert!(answered.is_empty(), "{}", said.escape_ascii());
    }
    served.unseal().await;
    for said in &first_bytes {
        let answered = answer(&served, said).await;
        assert!(!answered.starts_with(&SEALED), "{} bytes", said.len());
    }
    served.stop().await;
}

/// One byte, a command, random bytes that begin no other protocol, malformed input, and complete first
/// flights.
fn flights(served: &ServedSite) -> Vec<Vec<u8>> {
    let entropy = &mut SystemEntropy;
    let settings = || ClientSettings::new(*served.uri.site_key());
    let (mut person, mut service) = (Vec::new(), Vec::new());
    let (name, phrase) = ("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    ClientLoginAttempt::person(settings(), name, phrase, entropy, &mut person).unwrap();
    ClientLoginAttempt::service(settings(), served.robot.clone(), entropy, &mut service).unwrap();
    let mut random = fresh::<64>(entropy).to_vec();
    random[0] |= 0x80;
    vec![
        vec![0x70],
        vec![0x70, 0x00],
        random,
        vec![0xff; 64],
        person,
        service,
    ]
}

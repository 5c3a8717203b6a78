//! A site whose key has not been opened: what it says, and that it says so in no other case.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::caller::Caller;
use countersign_core::site::Site;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::identity::Identity;
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_proto::session::client::{LoginAttempt, Settings};
use countersign_proto::uri::SiteUri;
use countersign_server::{Server, clock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::founded::{Founded, PASSPHRASE, parts};

/// ERROR 3.
const SEALED: [u8; 3] = [0x00, 0x01, 3];

/// What the site answers to these bytes, and whether it closes the connection then.
async fn answer(site: &Site, said: &[u8]) -> (Vec<u8>, bool) {
    let address = site.endpoints().session.unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(said).await.unwrap();
    let mut answer = Vec::new();
    let closes = timeout(Duration::from_millis(300), socket.read_to_end(&mut answer));
    let closed = closes.await.is_ok();
    (answer, closed)
}

/// [SES-4]: whatever the first bytes are, as long as the key is not opened, and no more from then on.
#[tokio::test]
async fn a_sealed_site_answers_anything_with_sealed_and_an_open_one_nothing() {
    let Founded {
        site,
        server,
        slot,
        robot,
        folder,
        uri,
        ..
    } = Founded::new().await;
    server.stop().await;
    drop(site);
    let site = Site::open(parts(folder.path()).await).await.unwrap();
    let server = Server::builder(site.clone())
        .session("127.0.0.1:0".parse().unwrap())
        .start()
        .await
        .unwrap();

    let first_bytes = flights(&uri, robot);
    let (silent, closed) = answer(&site, &[]).await;
    assert!(silent.is_empty() && !closed, "nobody has said anything");
    for said in &first_bytes {
        assert_eq!(
            answer(&site, said).await,
            (SEALED.to_vec(), true),
            "{} bytes",
            said.len()
        );
    }
    let secret = SlotSecret::File(&slot);
    site.unseal(&Caller::admin_socket(), secret, clock::now())
        .await
        .unwrap();
    for said in &first_bytes {
        let (answered, _) = answer(&site, said).await;
        assert!(!answered.starts_with(&SEALED), "{} bytes", said.len());
    }
    server.stop().await;
}

/// One byte, a command, noise, what is malformed, and whole first flights.
fn flights(uri: &SiteUri, robot: Arc<Identity>) -> Vec<Vec<u8>> {
    let entropy = &mut SystemEntropy;
    let settings = || Settings::new(*uri.site_key());
    let (mut person, mut service) = (Vec::new(), Vec::new());
    let (name, phrase) = ("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
    LoginAttempt::person(settings(), name, phrase, entropy, &mut person).unwrap();
    LoginAttempt::service(settings(), robot, entropy, &mut service).unwrap();
    vec![
        vec![0x70],
        vec![0x70, 0x00],
        fresh::<64>(entropy).to_vec(),
        vec![0xff; 64],
        person,
        service,
    ]
}

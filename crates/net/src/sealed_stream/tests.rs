use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use tokio::io::DuplexStream;

use super::*;

fn site() -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes([1; 32])))
}

/// Both ends of a channel over pipes that hold `buffer` bytes.
async fn pair(buffer: usize) -> [SealedStream<DuplexStream>; 2] {
    let (near, mut far) = tokio::io::duplex(buffer);
    let opening = SealedStream::connect(near, &mut SystemEntropy);
    let answering = async {
        let key = client_key(&mut far).await.unwrap();
        let (channel, answer) = key.answer(site().signing(), &mut SystemEntropy).unwrap();
        SealedStream::answer(far, channel, &answer).await.unwrap()
    };
    let (opened, answered) = tokio::join!(opening, answering);
    let (opened, proved) = opened.unwrap();
    assert_eq!(proved, site().public().signing);
    [opened, answered]
}

// DEV-60
#[tokio::test]
async fn text_passes_in_both_directions_however_the_bytes_are_cut() {
    for buffer in [1, 7, 64 * 1024] {
        let [mut client, mut site] = pair(buffer).await;
        assert_eq!(client.enrolment_exporter(), site.enrolment_exporter());
        let text: Vec<u8> = (0..10_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        let sending = async {
            client.write_all(&text).await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let answering = async {
            let mut heard = Vec::new();
            site.read_to_end(&mut heard).await.unwrap();
            site.write_all(b"heard").await.unwrap();
            site.shutdown().await.unwrap();
            heard
        };
        let (heard, sent) = tokio::join!(sending, answering);
        assert_eq!(heard, b"heard");
        assert_eq!(sent, text);
    }
}

// DEV-60
#[tokio::test]
async fn each_channel_has_an_exporter_of_its_own() {
    let [one, _] = pair(64 * 1024).await;
    let [two, _] = pair(64 * 1024).await;
    assert_ne!(one.enrolment_exporter(), two.enrolment_exporter());
}

// DEV-62
#[tokio::test]
async fn nothing_is_read_after_a_record_that_was_changed() {
    let [mut client, site] = pair(64 * 1024).await;
    client.write_all(b"a line\n").await.unwrap();
    let last = client.leaving.len() - 1;
    client.leaving[last] ^= 1;
    client.flush().await.unwrap();
    client.write_all(b"another\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut site = site;
    for _ in 0..2 {
        let failed = site.read_u8().await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn an_end_before_the_key_is_complete_is_an_error() {
    let (mut near, mut far) = tokio::io::duplex(64 * 1024);
    near.write_all(&[0; 100]).await.unwrap();
    drop(near);
    let failed = client_key(&mut far).await.unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
}

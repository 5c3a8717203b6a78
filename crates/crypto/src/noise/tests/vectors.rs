//! The published vectors of both ciphers: `vectors/noise/ikpsk2.json`.

use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::agreement::{AgreementKey, AgreementPublic};
use crate::entropy::Entropy;
use crate::noise::{Initiator, RecordCipher, Responder};
use crate::record::Sealer;
use crate::secret::Secret;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    protocol_name: String,
    init_prologue: String,
    init_psks: Vec<String>,
    init_static: String,
    init_ephemeral: String,
    init_remote_static: String,
    resp_static: String,
    resp_ephemeral: String,
    handshake_hash: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}

/// Returns a published ephemeral key.
struct Given([u8; 32]);

impl Entropy for Given {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn bytes32(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

fn key(hex: &str) -> AgreementKey {
    AgreementKey::from_secret(Secret::from_bytes(bytes32(hex)))
}

#[test]
fn published_handshakes_are_reproduced() {
    let file: File = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../vectors/noise/ikpsk2.json"
    )))
    .unwrap();
    assert_eq!(file.vectors.len(), 2);
    for vector in file.vectors {
        let name = &vector.protocol_name;
        let cipher = match name.as_str() {
            "Noise_IKpsk2_25519_AESGCM_SHA256" => RecordCipher::Aes256Gcm,
            "Noise_IKpsk2_25519_ChaChaPoly_SHA256" => RecordCipher::ChaCha20Poly1305,
            other => panic!("{other}"),
        };
        let (service, site) = (key(&vector.init_static), key(&vector.resp_static));
        let psk = Secret::from_bytes(bytes32(&vector.init_psks[0]));
        let prologue = bytes(&vector.init_prologue);
        let [first, second, packets @ ..] = &vector.messages[..] else {
            panic!("{name}: too few messages");
        };

        let (initiator, message) = Initiator::start(
            &service,
            &AgreementPublic(bytes32(&vector.init_remote_static)),
            &prologue,
            cipher,
            &bytes(&first.payload),
            None,
            &mut Given(bytes32(&vector.init_ephemeral)),
        )
        .unwrap();
        assert_eq!(message, bytes(&first.ciphertext), "{name}: message 1");
        let (responder, payload, peer) =
            Responder::read(&site, &prologue, cipher, &message, None).unwrap();
        assert_eq!(payload, bytes(&first.payload), "{name}: payload 1");
        assert_eq!(&peer, service.public(), "{name}");

        let (message, keys) = responder
            .finish(
                &psk,
                &bytes(&second.payload),
                &mut Given(bytes32(&vector.resp_ephemeral)),
            )
            .unwrap();
        assert_eq!(message, bytes(&second.ciphertext), "{name}: message 2");
        let (payload, ours) = initiator.finish(&psk, &message).unwrap();
        assert_eq!(payload, bytes(&second.payload), "{name}: payload 2");
        assert_eq!(keys.transcript, bytes32(&vector.handshake_hash), "{name}");
        assert_eq!(ours.transcript, keys.transcript, "{name}");

        // The nonces of records are big-endian as in Noise's AESGCM; the little-endian ones of
        // ChaChaPoly are the same only for packet 0.
        let same = match cipher {
            RecordCipher::ChaCha20Poly1305 => 2,
            _ => packets.len(),
        };
        let mut to_server = Sealer::new(cipher, &keys.client_to_server);
        let mut to_client = Sealer::new(cipher, &keys.server_to_client);
        for (n, packet) in packets.iter().take(same).enumerate() {
            let sealer = if n % 2 == 0 {
                &mut to_server
            } else {
                &mut to_client
            };
            let mut sealed = bytes(&packet.payload);
            let tag = sealer.seal_in_place(&[], &mut sealed).unwrap();
            sealed.extend_from_slice(&tag);
            assert_eq!(sealed, bytes(&packet.ciphertext), "{name}: packet {n}");
        }
    }
}

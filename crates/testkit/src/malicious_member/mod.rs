//! A client or site that is authenticated and sends packets with contents that violate the
//! protocol.
//!
//! It is a second implementation of `docs/protocol/session.md` (Login of a service; Delivered key;
//! Packets) that shares no code with the state machines, so that tests against it also compare the
//! state machines with the page. It supports the options without ML-KEM.

use countersign_crypto::agreement::AgreementKey;
use countersign_crypto::hash::{Sha256, sha256};
use countersign_crypto::kdf::derive;
use countersign_crypto::noise::{HandshakeKeys, Initiator, Responder};
use countersign_crypto::record::{RecordCipher, Sealer, TAG_LENGTH};
use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::session::{EncryptionOption, command as c};
use countersign_proto::site_identity::MAX_EVENTS_WITH_ANSWER;

use crate::entropy::SeededEntropy;
use crate::pair::{Client, Server};
use crate::site::Site;
use crate::wire::commands;

mod delivered;

/// One end of a session. It seals any bytes as the session's next packet.
pub struct MaliciousMember {
    option: EncryptionOption,
    sealer: Sealer,
}

impl MaliciousMember {
    /// The site's service, logged in to `server` under the first option that the site offers.
    pub fn service(site: &Site, server: &mut Server<'_>) -> Self {
        let option = option_of(site);
        if option == EncryptionOption::DeliveredKey {
            return Self::service_with_delivered_key(site, server);
        }
        Self::service_with(site.robot.agreement(), site, server)
    }

    /// A client that logs in with this key and names the certificate of the site's service as its
    /// own.
    pub fn service_with(key: &AgreementKey, site: &Site, server: &mut Server<'_>) -> Self {
        let option = option_of(site);
        let mut transcript = Transcript::default();
        let mut flight = Vec::new();
        put(
            &mut flight,
            c::OPTION_CHOICE,
            Value::Bytes(&choice_of(site)),
        );
        transcript.client.update(&flight);

        let thumbprint = site.robot.certificate().thumbprint().0;
        let mut hidden = Vec::new();
        put(&mut hidden, c::CERTIFICATE_ID, Value::Bytes(&thumbprint));
        let (initiator, message) = Initiator::start(
            key,
            &site.settings.key.public().agreement,
            &transcript.digest("machine prologue"),
            cipher_of(option),
            &hidden,
            None,
            &mut SeededEntropy::new(0).fork("malicious_member"),
        )
        .unwrap();
        let mut handshake = Vec::new();
        put(&mut handshake, c::HANDSHAKE, Value::Bytes(&message));
        transcript.client.update(&handshake);
        server.receive(0, &[flight, handshake].concat());

        let answer = server.take_outbox();
        let psk = derive(&[], "machine psk", &transcript.digest("machine psk"));
        transcript.server.update(&answer);
        let (_, keys) = initiator.finish(&psk, &bytes_of(&answer)).unwrap();
        Self::sealing(option, &keys, "packets from client", &transcript)
    }

    /// The site; `client` is a service that is about to log in to it.
    pub fn site(site: &Site, client: &mut Client) -> Self {
        let option = option_of(site);
        if option == EncryptionOption::DeliveredKey {
            return Self::site_with_delivered_key(site, client);
        }
        let mut transcript = Transcript::default();
        let flight = commands(&client.take_outbox());
        let [choice, events, handshake] = &flight[..] else {
            panic!("a service sends OPTION-CHOICE, KEY-EVENTS-REQUEST and HANDSHAKE")
        };
        transcript.client.update(choice);
        transcript.client.update(events);
        let prologue = transcript.digest("machine prologue");
        transcript.client.update(handshake);
        let (responder, _, _) = Responder::read(
            site.settings.key.agreement(),
            &prologue,
            cipher_of(option),
            &bytes_of(handshake),
            None,
        )
        .unwrap();
        let key_events = key_events(site);
        transcript.server.update(&key_events);
        client.receive(&key_events);
        let psk = derive(&[], "machine psk", &transcript.digest("machine psk"));
        let mut hidden = Vec::new();
        let limit = Value::U32(site.settings.max_packet);
        put(&mut hidden, c::MAX_PACKET, limit);
        let entropy = &mut SeededEntropy::new(0).fork("malicious_member");
        let (message, keys) = responder.finish(&psk, &hidden, entropy).unwrap();
        let mut answer = Vec::new();
        put(&mut answer, c::SESSION_KEY, Value::Bytes(&message));
        transcript.server.update(&answer);
        client.receive(&answer);
        Self::sealing(option, &keys, "packets from server", &transcript)
    }

    fn sealing(
        option: EncryptionOption,
        keys: &HandshakeKeys,
        label: &str,
        transcript: &Transcript,
    ) -> Self {
        let both = [
            keys.client_to_server.expose(),
            keys.server_to_client.expose(),
        ];
        let key = derive(
            &both.map(|key| &key[..]).concat(),
            label,
            &transcript.digest("packets"),
        );
        let sealer = Sealer::new(cipher_of(option), &key);
        Self { option, sealer }
    }

    /// Seals these bytes as the next packet.
    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        if self.option == EncryptionOption::DeliveredKey {
            return self.seal_with_digest(plaintext);
        }
        let length = u32::try_from(plaintext.len()).unwrap();
        let overhead = u32::try_from(4 + TAG_LENGTH).unwrap();
        let mut packet = c::WRAPPED.0.to_be_bytes().to_vec();
        packet.extend((length + overhead).to_be_bytes());
        packet.extend(length.to_be_bytes());
        let mut sealed = plaintext.to_vec();
        let tag = self.sealer.seal_in_place(&packet, &mut sealed).unwrap();
        [packet, sealed, tag.to_vec()].concat()
    }
}

/// KEY-EVENTS with all events of the site.
fn key_events(site: &Site) -> Vec<u8> {
    let mut wire = Vec::new();
    let page = site.settings.key_events.page(0, MAX_EVENTS_WITH_ANSWER);
    put(&mut wire, c::KEY_EVENTS, Value::Bytes(&page));
    wire
}

/// The value of OPTION-CHOICE for the first option on offer.
fn choice_of(site: &Site) -> Vec<u8> {
    let list = site.settings.options.id().0;
    [&list[..], &option_of(site).id().to_be_bytes()].concat()
}

fn option_of(site: &Site) -> EncryptionOption {
    let option = site.settings.options.ranked()[0];
    assert!(!option.hybrid(), "the malicious member supports no ML-KEM");
    option
}

fn cipher_of(option: EncryptionOption) -> RecordCipher {
    match option {
        EncryptionOption::HybridAes256Gcm
        | EncryptionOption::X25519Aes256Gcm
        | EncryptionOption::DeliveredKey => RecordCipher::Aes256Gcm,
        EncryptionOption::X25519Aes128Gcm => RecordCipher::Aes128Gcm,
        EncryptionOption::HybridChaCha20Poly1305 | EncryptionOption::X25519ChaCha20Poly1305 => {
            RecordCipher::ChaCha20Poly1305
        }
    }
}

/// Appends a command.
pub fn put(out: &mut Vec<u8>, command: Command, value: Value<'_>) {
    risp::put(out, command, value).unwrap();
}

/// The value of the first command.
fn bytes_of(wire: &[u8]) -> Vec<u8> {
    let max_length = MaxLength(u64::from(u32::MAX));
    let first = Reader::new(wire, &max_length).next();
    let Some(Ok((_, Value::Bytes(bytes)))) = first else {
        panic!("expected a command with a string: {first:?}")
    };
    bytes.to_vec()
}

/// Hashes of all that each end sent in the clear.
#[derive(Default)]
struct Transcript {
    client: Sha256,
    server: Sha256,
}

impl Transcript {
    /// `T(label)` of `docs/protocol/session.md`.
    fn digest(&self, label: &str) -> [u8; 32] {
        let client = self.client.clone().finish();
        let server = self.server.clone().finish();
        sha256(&[b"countersign/1 ", label.as_bytes(), &[0], &client, &server].concat())
    }
}

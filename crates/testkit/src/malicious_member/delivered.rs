//! The malicious member with the option `delivered-key` (`docs/protocol/session.md`, Delivered
//! key).

use countersign_crypto::entropy::fresh;
use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::record::{RecordCipher, Sealer, TAG_LENGTH};
use countersign_crypto::sealing;
use countersign_crypto::secret::Secret;
use countersign_proto::risp::Value;
use countersign_proto::session::{EncryptionOption, command as c};

use super::{MaliciousMember, Transcript, bytes_of, choice_of, key_events, put};
use crate::entropy::SeededEntropy;
use crate::pair::{Client, Server};
use crate::site::Site;
use crate::wire::commands;

impl MaliciousMember {
    /// The site's service, logged in to `server`.
    pub(super) fn service_with_delivered_key(site: &Site, server: &mut Server<'_>) -> Self {
        let mut transcript = Transcript::default();
        let mut flight = Vec::new();
        let thumbprint = site.robot.certificate().thumbprint().0;
        put(
            &mut flight,
            c::OPTION_CHOICE,
            Value::Bytes(&choice_of(site)),
        );
        put(&mut flight, c::NONCE, Value::Bytes(&[7; 32]));
        put(
            &mut flight,
            c::MAX_PACKET,
            Value::U32(site.settings.max_packet),
        );
        put(&mut flight, c::CERTIFICATE_ID, Value::Bytes(&thumbprint));
        transcript.client.update(&flight);
        let info = info(&transcript);
        server.receive(0, &flight);

        let answer = server.take_outbox();
        transcript.server.update(&answer);
        let secrets = sealing::open(site.robot.agreement(), &info, &bytes_of(&answer)).unwrap();
        let (key, code) = secrets.expose().split_at(32);
        let proof = proof(code, &transcript);
        transcript.client.update(&proof);
        server.receive(0, &proof);
        Self::with_key(key, "packets from client", &transcript)
    }

    /// The site; `client` is a service that is about to log in to it.
    pub(super) fn site_with_delivered_key(site: &Site, client: &mut Client) -> Self {
        let mut transcript = Transcript::default();
        let flight = client.take_outbox();
        assert_eq!(
            commands(&flight).len(),
            5,
            "choice, key events, nonce, limit, thumbprint"
        );
        transcript.client.update(&flight);
        let entropy = &mut SeededEntropy::new(0).fork("malicious_member");
        let secrets: [u8; 48] = fresh(entropy);
        let to = site.robot.agreement().public();
        let sealed = sealing::seal(to, &info(&transcript), &secrets, entropy).unwrap();
        let mut answer = key_events(site);
        put(&mut answer, c::SESSION_KEY, Value::Bytes(&sealed));
        put(
            &mut answer,
            c::MAX_PACKET,
            Value::U32(site.settings.max_packet),
        );
        transcript.server.update(&answer);
        let signature = site.settings.key.sign(&transcript.digest("site proof"));
        let mut signed = Vec::new();
        put(&mut signed, c::SITE_PROOF, Value::Bytes(&signature.0));
        transcript.server.update(&signed);
        client.receive(&[answer, signed].concat());

        let (key, code) = secrets.split_at(32);
        let proof = proof(code, &transcript);
        assert_eq!(client.take_outbox(), proof, "the proof of the session code");
        transcript.client.update(&proof);
        Self::with_key(key, "packets from server", &transcript)
    }

    fn with_key(key: &[u8], label: &str, transcript: &Transcript) -> Self {
        let key = derive(key, label, &transcript.digest("packets"));
        Self {
            option: EncryptionOption::DeliveredKey,
            sealer: Sealer::new(RecordCipher::Aes256Gcm, &key),
        }
    }

    /// Seals the next packet in the original form, with its SHA-256 digest.
    pub(super) fn seal_with_digest(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.seal_with(plaintext, sha256(plaintext))
    }

    /// Seals the next packet in the original form, with this digest.
    pub fn seal_with(&mut self, plaintext: &[u8], digest: [u8; 32]) -> Vec<u8> {
        let length = u32::try_from(plaintext.len()).unwrap();
        let sealed = length + u32::try_from(TAG_LENGTH).unwrap();
        let mut header = Vec::new();
        put(&mut header, c::DATA_LENGTH, Value::U32(length));
        header.extend(c::DATA.0.to_be_bytes());
        header.extend(sealed.to_be_bytes());
        let mut data = plaintext.to_vec();
        let data_tag = self.sealer.seal_in_place(&header, &mut data).unwrap();
        let [high, low] = c::VERIFICATION_SHA256.0.to_be_bytes();
        let second = [high, low, 48];
        let mut digest = digest;
        let digest_tag = self.sealer.seal_in_place(&second, &mut digest).unwrap();
        [&header[..], &data, &data_tag, &second, &digest, &digest_tag].concat()
    }
}

/// The `info` of HPKE with which the session key is sealed.
fn info(transcript: &Transcript) -> Vec<u8> {
    let transcript = transcript.digest("delivered key");
    [&b"countersign/1 delivered-key\0"[..], &transcript].concat()
}

/// The command SESSION-PROOF.
fn proof(code: &[u8], transcript: &Transcript) -> Vec<u8> {
    let proof: Secret<32> = derive(code, "session code", &transcript.digest("session code"));
    let mut wire = Vec::new();
    put(&mut wire, c::SESSION_PROOF, Value::Bytes(proof.expose()));
    wire
}

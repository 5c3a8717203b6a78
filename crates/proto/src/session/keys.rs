//! Key derivation from a login's secrets and its transcript: contexts, the Noise psk, and the
//! session's keys.

use countersign_crypto::kdf::derive;
use countersign_crypto::noise::HandshakeKeys;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::option::EncryptionOption;
use super::transcript::Transcript;

/// The result of a login: one key for each direction, and the agreed limits.
pub(crate) struct Established {
    pub(crate) option: EncryptionOption,
    pub(crate) client_to_server: Secret<32>,
    pub(crate) server_to_client: Secret<32>,
    /// The chain key. The next keys are derived from it and from a fresh key exchange.
    pub(crate) chain: Secret<32>,
    /// The secret that authenticates a client that resumes the session.
    pub(crate) resumption: ResumptionSecret,
    pub(crate) max_packet: u32,
}

/// The secret with which a client resumes its session after a lost connection. It is constant for
/// the lifetime of the session: new keys and resumptions do not change it.
#[derive(Clone)]
pub struct ResumptionSecret(pub(crate) Secret<32>);

impl std::fmt::Debug for ResumptionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumptionSecret(..)")
    }
}

impl Established {
    /// Derives the keys from a login's secret and its complete transcript.
    pub(crate) fn new(
        option: EncryptionOption,
        secret: &[u8],
        transcript: &[u8; 32],
        max_packet: u32,
    ) -> Self {
        Self {
            option,
            client_to_server: derive(secret, "packets from client", transcript),
            server_to_client: derive(secret, "packets from server", transcript),
            chain: derive(secret, "chain", transcript),
            resumption: ResumptionSecret(derive(secret, "resumption", transcript)),
            max_packet,
        }
    }
}

/// The OPAQUE context of both ends: the plaintext transcript, and the packet limit that follows it.
pub(crate) fn login_context(transcript_digest: &[u8; 32], max_packet: u32) -> Vec<u8> {
    [
        b"countersign/1 login\0",
        &transcript_digest[..],
        &max_packet.to_be_bytes(),
    ]
    .concat()
}

/// The psk of Noise message 2: the ML-KEM secret or nothing, bound to the plaintext transcript.
pub(crate) fn noise_psk(shared: Option<&Secret<32>>, transcript: &Transcript) -> Secret<32> {
    let shared = shared.map_or(&[][..], |shared| &shared.expose()[..]);
    derive(shared, "machine psk", &transcript.digest("machine psk"))
}

/// The keys of a session after a complete Noise handshake. The login's secret is both Noise keys,
/// the client's direction first.
pub(crate) fn noise_established(
    option: EncryptionOption,
    keys: &HandshakeKeys,
    transcript: &Transcript,
    max_packet: u32,
) -> Established {
    let both = [
        keys.client_to_server.expose(),
        keys.server_to_client.expose(),
    ];
    let secret = SecretBytes::from(both.map(|key| &key[..]).concat());
    Established::new(
        option,
        secret.expose(),
        &transcript.digest("packets"),
        max_packet,
    )
}

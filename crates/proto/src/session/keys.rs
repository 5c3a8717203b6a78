//! What a login's secrets and its transcript give: contexts, the machine psk, and the session's keys.

use countersign_crypto::kdf::derive;
use countersign_crypto::noise::HandshakeKeys;
use countersign_crypto::secret::{Secret, SecretBytes};

use super::option::EncryptionOption;
use super::transcript::Transcript;

/// What a login established: one key a direction, and the limits that both ends keep.
pub(crate) struct Established {
    pub(crate) option: EncryptionOption,
    pub(crate) client_to_server: Secret<32>,
    pub(crate) server_to_client: Secret<32>,
    /// What the session's next keys are derived from, besides what is exchanged for them.
    pub(crate) chain: Secret<32>,
    /// What a client proves that it is the one whose connection was lost.
    pub(crate) resumption: ResumptionSecret,
    pub(crate) max_packet: u32,
}

/// What both ends of a session know besides its keys, so that a client whose connection was lost can
/// resume. One for all of a session: new keys and resuming leave it as it is.
#[derive(Clone)]
pub struct ResumptionSecret(pub(crate) Secret<32>);

impl std::fmt::Debug for ResumptionSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumptionSecret(..)")
    }
}

impl Established {
    /// The keys that a login's secret and its whole transcript give.
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

/// What both ends give OPAQUE as context: all that was said in the clear, and the limit that follows.
pub(crate) fn login_context(said: &[u8; 32], max_packet: u32) -> Vec<u8> {
    [
        b"countersign/1 login\0",
        &said[..],
        &max_packet.to_be_bytes(),
    ]
    .concat()
}

/// The psk of message 2: the ML-KEM secret, or nothing, bound to all that was said in the clear.
pub(crate) fn noise_psk(shared: Option<&Secret<32>>, said: &Transcript) -> Secret<32> {
    let shared = shared.map_or(&[][..], |shared| &shared.expose()[..]);
    derive(shared, "machine psk", &said.digest("machine psk"))
}

/// The session that a finished handshake gives: both of its keys, client's direction first, are the
/// login's secret.
pub(crate) fn noise_established(
    option: EncryptionOption,
    keys: &HandshakeKeys,
    said: &Transcript,
    max_packet: u32,
) -> Established {
    let both = [
        keys.client_to_server.expose(),
        keys.server_to_client.expose(),
    ];
    let secret = SecretBytes::from(both.map(|key| &key[..]).concat());
    Established::new(option, secret.expose(), &said.digest("packets"), max_packet)
}

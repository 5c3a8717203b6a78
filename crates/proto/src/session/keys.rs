//! What a login's secrets and its transcript give: contexts, the machine psk, and the session's keys.

use countersign_crypto::kdf::derive;
use countersign_crypto::machine::{HandshakeKeys, RecordCipher};
use countersign_crypto::secret::Secret;

use super::option::EncryptionOption;
use super::transcript::Transcript;

/// What a login established: one key a direction, and the limits that both ends keep.
pub(crate) struct Established {
    pub(crate) cipher: RecordCipher,
    pub(crate) client_to_server: Secret<32>,
    pub(crate) server_to_client: Secret<32>,
    pub(crate) max_packet: u32,
}

impl Established {
    /// The keys that a login's secret and its whole transcript give.
    pub(crate) fn new(
        cipher: RecordCipher,
        secret: &[u8],
        transcript: &[u8; 32],
        max_packet: u32,
    ) -> Self {
        Self {
            cipher,
            client_to_server: derive(secret, "packets from client", transcript),
            server_to_client: derive(secret, "packets from server", transcript),
            max_packet,
        }
    }

    /// The keys that a handshake's two directions and its whole transcript give.
    pub(crate) fn from_directions(
        cipher: RecordCipher,
        client_to_server: &Secret<32>,
        server_to_client: &Secret<32>,
        transcript: &[u8; 32],
        max_packet: u32,
    ) -> Self {
        Self {
            cipher,
            client_to_server: derive(client_to_server.expose(), "packets", transcript),
            server_to_client: derive(server_to_client.expose(), "packets", transcript),
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
pub(crate) fn machine_psk(shared: Option<&Secret<32>>, said: &Transcript) -> Secret<32> {
    let shared = shared.map_or(&[][..], |shared| &shared.expose()[..]);
    derive(shared, "machine psk", &said.digest("machine psk"))
}

/// The session that a finished handshake gives.
pub(crate) fn machine_established(
    option: EncryptionOption,
    keys: &HandshakeKeys,
    said: &Transcript,
    max_packet: u32,
) -> Established {
    Established::from_directions(
        option.cipher(),
        &keys.client_to_server,
        &keys.server_to_client,
        &said.digest("packets"),
        max_packet,
    )
}

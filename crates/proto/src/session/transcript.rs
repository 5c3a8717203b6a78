//! The transcript: all plaintext commands of both directions. Every proof and key derivation covers
//! it, so that an attacker between the ends cannot change, reorder or drop a command.
//!
//! Each direction has a running SHA-256 over its encoded commands. They are separate because the
//! relative timing of the directions must not matter.

use countersign_crypto::hash::{Sha256, sha256};

#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript {
    client: Sha256,
    server: Sha256,
}

impl Transcript {
    pub(crate) fn client_sent(&mut self, wire: &[u8]) {
        self.client.update(wire);
    }

    pub(crate) fn server_sent(&mut self, wire: &[u8]) {
        self.server.update(wire);
    }

    /// The digest of both directions so far, with a label for its purpose.
    pub(crate) fn digest(&self, label: &str) -> [u8; 32] {
        let (client, server) = (self.client.clone().finish(), self.server.clone().finish());
        sha256(
            &[
                b"countersign/1 ",
                label.as_bytes(),
                &[0],
                &client[..],
                &server[..],
            ]
            .concat(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Transcript;

    #[test]
    fn the_digest_depends_on_the_direction_of_commands_and_not_on_timing() {
        let (mut a, mut b, mut c) = (
            Transcript::default(),
            Transcript::default(),
            Transcript::default(),
        );
        a.client_sent(b"x");
        a.server_sent(b"y");
        b.server_sent(b"y");
        b.client_sent(b"x");
        c.client_sent(b"y");
        c.server_sent(b"x");
        assert_eq!(a.digest("l"), b.digest("l"));
        assert_ne!(a.digest("l"), c.digest("l"));
        assert_ne!(a.digest("l"), a.digest("m"));
    }
}

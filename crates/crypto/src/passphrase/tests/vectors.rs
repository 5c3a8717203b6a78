//! The vectors of RFC 9807, appendix C, in `vectors/opaque`.

use std::collections::VecDeque;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::entropy::{Entropy, SystemEntropy};
use crate::passphrase::ksf::OpaqueKsf;
use crate::passphrase::{
    ClientLogin, ClientRegistration, Identifiers, LoginSuite, PassphraseRecord, ServerLogin,
    ServerSetup,
};
use crate::secret::Passphrase;

#[derive(Deserialize)]
struct File<T> {
    vectors: Vec<T>,
}

/// Inputs and outputs of a real exchange.
#[derive(Deserialize)]
struct Real {
    #[serde(flatten)]
    server: Server,
    password: Hex,
    envelope_nonce: Hex,
    client_nonce: Hex,
    client_keyshare_seed: Hex,
    blind_registration: Hex,
    blind_login: Hex,
    registration_request: Hex,
    registration_response: Hex,
    registration_upload: Hex,
    ke3: Hex,
    export_key: Hex,
    session_key: Hex,
}

/// Inputs of the response for an unknown name.
#[derive(Deserialize)]
struct Fake {
    #[serde(flatten)]
    server: Server,
    client_public_key: Hex,
    masking_key: Hex,
}

/// Inputs of both kinds.
#[derive(Deserialize)]
struct Server {
    context: Hex,
    client_identity: Option<Hex>,
    server_identity: Option<Hex>,
    oprf_seed: Hex,
    credential_identifier: Hex,
    masking_nonce: Hex,
    server_private_key: Hex,
    server_nonce: Hex,
    server_keyshare_seed: Hex,
    ke1: Hex,
    ke2: Hex,
}

impl Server {
    fn setup(&self, decoy_public: &[u8]) -> ServerSetup {
        let parts = [
            &[1],
            &self.oprf_seed.0[..],
            &self.server_private_key.0,
            decoy_public,
        ];
        ServerSetup::from_bytes(&parts.concat()).unwrap()
    }

    fn identifiers(&self) -> Identifiers<'_> {
        Identifiers {
            client: self
                .client_identity
                .as_ref()
                .map(|identity| &identity.0[..]),
            server: self
                .server_identity
                .as_ref()
                .map(|identity| &identity.0[..]),
        }
    }

    /// Checks that KE2 is the published one. `masking_key` is generated even if there is a record.
    fn log_in(
        &self,
        setup: &ServerSetup,
        record: Option<&PassphraseRecord>,
        masking_key: &[u8],
    ) -> ServerLogin {
        let (login, ke2) = ServerLogin::start(
            LoginSuite::Classical,
            setup,
            record,
            &self.credential_identifier.0,
            &self.ke1.0,
            &self.context.0,
            self.identifiers(),
            &mut given([
                masking_key,
                &self.masking_nonce.0,
                &self.server_keyshare_seed.0,
                &self.server_nonce.0,
            ]),
        )
        .unwrap();
        assert_eq!(ke2, self.ke2.0);
        login
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

/// Returns the published bytes in the order of their use.
struct Given(VecDeque<u8>);

fn given<const N: usize>(parts: [&[u8]; N]) -> Given {
    Given(parts.concat().into())
}

impl Entropy for Given {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.pop_front().unwrap();
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking());
    }
}

/// A scalar is generated from 64 bytes by reduction, which does not change a reduced scalar.
fn scalar(blind: &Hex) -> Vec<u8> {
    [&blind.0[..], &[0; 32]].concat()
}

fn vectors<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let file: File<T> = serde_json::from_str(text).unwrap();
    file.vectors
}

#[test]
fn published_registrations_and_logins_are_reproduced() {
    let vectors: Vec<Real> = vectors(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../vectors/opaque/rfc9807_real.json"
    )));
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let server = &vector.server;
        let any_key = &vector.registration_upload.0[..32];
        let setup = server.setup(any_key);
        let phrase = String::from_utf8(vector.password.0.clone()).unwrap();
        let phrase = Passphrase::from(phrase);

        let blind = scalar(&vector.blind_registration);
        let (mut client, request) =
            ClientRegistration::start(&phrase, &mut given([&blind])).unwrap();
        assert_eq!(request, vector.registration_request.0);
        let response = setup
            .registration_response(&server.credential_identifier.0, &request)
            .unwrap();
        assert_eq!(response, vector.registration_response.0);
        client.opaque_ksf = OpaqueKsf::IDENTITY;
        let (record, export_key) = client
            .finish(
                &phrase,
                &response,
                server.identifiers(),
                &mut given([&vector.envelope_nonce.0]),
            )
            .unwrap();
        assert_eq!(record.as_bytes(), vector.registration_upload.0);
        assert_eq!(export_key.expose(), &vector.export_key.0[..]);

        let blind = scalar(&vector.blind_login);
        let drawn = [
            &blind[..],
            &vector.client_keyshare_seed.0,
            &vector.client_nonce.0,
        ];
        let (mut client, ke1) =
            ClientLogin::start(LoginSuite::Classical, &phrase, &mut given(drawn)).unwrap();
        assert_eq!(ke1, server.ke1.0);
        let login = server.log_in(&setup, Some(&record), &[0; 64]);
        client.opaque_ksf = OpaqueKsf::IDENTITY;
        let done = client
            .finish(
                &phrase,
                &server.ke2.0,
                &server.context.0,
                server.identifiers(),
                &mut SystemEntropy,
            )
            .unwrap();
        assert_eq!(done.ke3, vector.ke3.0);
        assert_eq!(done.export_key, export_key);
        assert_eq!(done.session_key.expose(), &vector.session_key.0[..]);
        assert_eq!(login.finish(&done.ke3), Ok(done.session_key));
    }
}

#[test]
fn the_published_response_for_an_unknown_name_is_reproduced() {
    let vectors: Vec<Fake> = vectors(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../vectors/opaque/rfc9807_fake.json"
    )));
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let setup = vector.server.setup(&vector.client_public_key.0);
        vector.server.log_in(&setup, None, &vector.masking_key.0);
    }
}

//! The server's side of a person's login, from the first byte to the proof. The baseline is bare
//! opaque-ke: reading the stored record and the messages, `ServerLogin::start` and `finish`.
//!
//! The client's work, mostly the key stretching function, is done in advance and not measured.

use std::hint::black_box;
use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers, PassphraseRecord};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::session::server::{AccountTag, PersonCredential};
use countersign_proto::session::{EncryptionOption, client, server};
use opaque_ke::rand::rngs::OsRng;
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, CredentialFinalization,
    CredentialRequest, ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
};

use crate::Result;
use crate::ends::{Ends, UNEXPECTED_COURSE};
use crate::measure::{in_turns, micros, timed};
use crate::report::{Row, Target, Unit};

const ROUNDS: usize = 11;
/// The number of logins that are started in a round, and of those that are finished, each at the
/// cost of the key stretching function.
const STARTED: usize = 40;
const FINISHED: usize = 3;

const PASSPHRASE: &str = "correct horse battery staple";
const CREDENTIAL: &[u8] = b"maria's credential";

/// The suites of Countersign without the key stretching function, which no server runs.
struct Classical;
struct Hybrid;

impl CipherSuite for Classical {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = opaque_ke::ksf::Identity;
}

impl CipherSuite for Hybrid {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange =
        opaque_ke::TripleDhKem<opaque_ke::Ristretto255, sha2::Sha512, opaque_ke::ml_kem::MlKem768>;
    type Ksf = opaque_ke::ksf::Identity;
}

pub(crate) fn run() -> Result<Vec<Row>> {
    let (hybrid, classical) = (
        Site::new(EncryptionOption::HybridAes256Gcm)?,
        Site::new(EncryptionOption::X25519Aes256Gcm)?,
    );
    Ok(vec![
        compare("hybrid", &hybrid, &mut bare_hybrid()?)?,
        compare("classical", &classical, &mut bare_classical()?)?,
    ])
}

fn compare(suite: &str, site: &Site, bare: &mut dyn FnMut() -> Result<f64>) -> Result<Row> {
    let figures = in_turns(ROUNDS, [&mut || site.round(), bare])?;
    Ok(Row {
        what: format!("login of a person, server side, {suite}"),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::Microseconds,
        baseline_is: "bare opaque-ke, start and finish",
        ratio: figures.ratio(0, 1),
        target: Some(Target::AtMost(1.15)),
    })
}

/// A site with one person.
struct Site {
    ends: Ends,
    credential: PersonCredential,
}

impl Site {
    fn new(option: EncryptionOption) -> Result<Self> {
        let entropy = &mut SystemEntropy;
        let ends = Ends::new(option)?;
        let phrase = passphrase();
        let (registration, request) = ClientRegistration::start(&phrase, entropy)?;
        let response = ends
            .server
            .setup
            .registration_response(CREDENTIAL, &request)?;
        let server = ends.server.key_events.id().0;
        let identifiers = Identifiers {
            client: None,
            server: Some(&server),
        };
        let (record, export_key) = registration.finish(&phrase, &response, identifiers, entropy)?;
        let sealed = sealed_identity::seal(&Identity::generate(entropy), &export_key, entropy)?;
        let credential = PersonCredential {
            account: AccountTag([1; 16]),
            setup: ends.server.setup.clone(),
            credential_id: CREDENTIAL.to_vec(),
            record: PassphraseRecord::from_bytes(record.as_bytes())?,
            sealed_identity: sealed,
        };
        Ok(Self { ends, credential })
    }

    /// Microseconds of server work per login.
    fn round(&self) -> Result<f64> {
        let entropy = &mut SystemEntropy;
        let (mut clients, mut flights) = (Vec::new(), Vec::new());
        for _ in 0..STARTED {
            let mut flight = Vec::new();
            clients.push(client::ClientLoginAttempt::person(
                self.ends.client.clone(),
                "maria".parse()?,
                passphrase(),
                entropy,
                &mut flight,
            )?);
            flights.push(flight);
        }
        let (starting, started) = timed(|| {
            let mut started = Vec::with_capacity(STARTED);
            for flight in &mut flights {
                let mut out = Vec::new();
                let login = server::ServerLoginAttempt::new(self.ends.server.clone());
                let (server::ServerStep::LookUp(server::LookUp::Person(find)), _) =
                    login.receive(flight, &mut out)?
                else {
                    return Err(UNEXPECTED_COURSE.into());
                };
                let login = find.answer(Some(&self.credential), &mut SystemEntropy, &mut out)?;
                started.push((login, out));
            }
            Ok(started)
        })?;
        let mut proofs = Vec::new();
        for (client, (server, mut answer)) in clients.into_iter().zip(started).take(FINISHED) {
            let mut proof = Vec::new();
            let (client::ClientStep::Stretch(stretch), _) =
                client.receive(&mut answer, entropy, &mut proof)?
            else {
                return Err(UNEXPECTED_COURSE.into());
            };
            stretch.run(entropy, &mut proof)?;
            proofs.push((server, proof));
        }
        let (finishing, ()) = timed(|| {
            for (login, mut proof) in proofs {
                let (server::ServerStep::Authenticated(authenticated), _) =
                    login.receive(&mut proof, &mut Vec::new())?
                else {
                    return Err(UNEXPECTED_COURSE.into());
                };
                black_box(authenticated);
            }
            Ok(())
        })?;
        Ok(micros(starting) / STARTED as f64 + micros(finishing) / FINISHED as f64)
    }
}

fn passphrase() -> Passphrase {
    PASSPHRASE.to_owned().into()
}

/// The context of both ends for OPAQUE, with the length of that of Countersign.
fn parameters() -> ServerLoginParameters<'static, 'static> {
    ServerLoginParameters {
        context: Some(&[1; 56]),
        identifiers: opaque_ke::Identifiers {
            client: None,
            server: Some(&[7; 64]),
        },
    }
}

macro_rules! bare {
    ($name:ident, $suite:ident) => {
        /// A round of the baseline: microseconds of server work per login.
        fn $name() -> Result<impl FnMut() -> Result<f64>> {
            let setup = ServerSetup::<$suite>::new(&mut OsRng);
            let started =
                opaque_ke::ClientRegistration::<$suite>::start(&mut OsRng, PASSPHRASE.as_bytes())?;
            let response =
                ServerRegistration::<$suite>::start(&setup, started.message, CREDENTIAL)?.message;
            let registered = started.state.finish(
                &mut OsRng,
                PASSPHRASE.as_bytes(),
                response,
                opaque_ke::ClientRegistrationFinishParameters::new(parameters().identifiers, None),
            )?;
            let record = ServerRegistration::<$suite>::finish(registered.message).serialize();
            let setup = Arc::new(setup);
            Ok(move || {
                let (mut clients, mut requests) = (Vec::new(), Vec::new());
                for _ in 0..STARTED {
                    let started = ClientLogin::<$suite>::start(&mut OsRng, PASSPHRASE.as_bytes())?;
                    requests.push(started.message.serialize());
                    clients.push(started.state);
                }
                let (starting, started) = timed(|| {
                    let mut done = Vec::with_capacity(STARTED);
                    for request in &requests {
                        let started = ServerLogin::<$suite>::start(
                            &mut OsRng,
                            &setup,
                            Some(ServerRegistration::deserialize(&record)?),
                            CredentialRequest::deserialize(request)?,
                            CREDENTIAL,
                            parameters(),
                        )?;
                        done.push((Box::new(started.state), started.message.serialize()));
                    }
                    Ok(done)
                })?;
                let mut proofs = Vec::new();
                for (client, (server, response)) in clients.into_iter().zip(started).take(FINISHED)
                {
                    let finished = client.finish(
                        &mut OsRng,
                        PASSPHRASE.as_bytes(),
                        opaque_ke::CredentialResponse::deserialize(&response)?,
                        ClientLoginFinishParameters::new(
                            parameters().context,
                            parameters().identifiers,
                            None,
                        ),
                    )?;
                    proofs.push((server, finished.message.serialize()));
                }
                let (finishing, ()) = timed(|| {
                    for (server, proof) in proofs {
                        let proof = CredentialFinalization::deserialize(&proof)?;
                        black_box(server.finish(proof, parameters())?.session_key);
                    }
                    Ok(())
                })?;
                Ok(micros(starting) / STARTED as f64 + micros(finishing) / FINISHED as f64)
            })
        }
    };
}

bare!(bare_classical, Classical);
bare!(bare_hybrid, Hybrid);

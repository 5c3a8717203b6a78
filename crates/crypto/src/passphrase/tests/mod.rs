//! Registration and login with both suites.

mod vectors;

use super::*;
use crate::entropy::SystemEntropy;
use crate::secret::{Passphrase, Secret};

const SUITES: [LoginSuite; 2] = [LoginSuite::Classical, LoginSuite::Hybrid];

const SITE: Identifiers<'static> = Identifiers {
    client: None,
    server: Some(b"the site's key"),
};

fn passphrase(text: &str) -> Passphrase {
    text.to_owned().into()
}

fn register(setup: &ServerSetup, text: &str) -> (PassphraseRecord, ExportKey) {
    let (client, request) =
        ClientRegistration::start(&passphrase(text), &mut SystemEntropy).unwrap();
    let response = setup.registration_response(b"maria", &request).unwrap();
    client
        .with_ksf(Ksf::Trivial)
        .finish(&passphrase(text), &response, SITE, &mut SystemEntropy)
        .unwrap()
}

/// The parameters of a login on both sides; a difference makes it fail.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    suite: LoginSuite,
    record: Option<&'a PassphraseRecord>,
    text: &'a str,
    ksf: Ksf,
    contexts: [&'a [u8]; 2],
    servers: [&'a [u8]; 2],
    credential_id: &'a [u8],
}

impl<'a> Attempt<'a> {
    fn of(record: &'a PassphraseRecord, suite: LoginSuite) -> Self {
        Self {
            suite,
            record: Some(record),
            text: "correct horse",
            ksf: Ksf::Trivial,
            contexts: [b"context"; 2],
            servers: [b"the site's key"; 2],
            credential_id: b"maria",
        }
    }

    fn start(&self, setup: &ServerSetup) -> (ClientLogin, ServerLogin, Vec<u8>) {
        let entropy = &mut SystemEntropy;
        let phrase = passphrase(self.text);
        let (client, ke1) = ClientLogin::start(self.suite, &phrase, entropy).unwrap();
        let (server, ke2) = ServerLogin::start(
            self.suite,
            setup,
            self.record,
            self.credential_id,
            &ke1,
            self.contexts[1],
            Identifiers {
                client: None,
                server: Some(self.servers[1]),
            },
            entropy,
        )
        .unwrap();
        (client.with_ksf(self.ksf), server, ke2)
    }

    fn finish(
        &self,
        client: ClientLogin,
        ke2: &[u8],
    ) -> Result<ClientLoginResult, PassphraseError> {
        client.finish(
            &passphrase(self.text),
            ke2,
            self.contexts[0],
            Identifiers {
                client: None,
                server: Some(self.servers[0]),
            },
            &mut SystemEntropy,
        )
    }

    /// Runs a login. Returns both session keys and the client's export key.
    fn run(
        &self,
        setup: &ServerSetup,
    ) -> Result<(Secret<64>, Secret<64>, ExportKey), PassphraseError> {
        let (client, server, ke2) = self.start(setup);
        let done = self.finish(client, &ke2)?;
        Ok((done.session_key, server.finish(&done.ke3)?, done.export_key))
    }
}

#[test]
fn one_record_works_with_both_suites_and_gives_the_same_export_key() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, export_key) = register(&setup, "correct horse");
    let stored = ServerSetup::from_bytes(setup.to_bytes().expose()).unwrap();
    assert_eq!(stored.id(), setup.id());
    let record = PassphraseRecord::from_bytes(record.as_bytes()).unwrap();
    let mut session_keys = Vec::new();
    for suite in SUITES {
        let (client, server, export) = Attempt::of(&record, suite).run(&stored).unwrap();
        assert_eq!((&client, export), (&server, export_key.clone()));
        session_keys.push(client);
    }
    assert_ne!(session_keys[0], session_keys[1]);
}

#[test]
fn every_difference_from_the_registration_gives_the_same_error() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    for suite in SUITES {
        let good = Attempt::of(&record, suite);
        assert!(good.run(&setup).is_ok());
        let (wrong_phrase, unknown) = (
            Attempt {
                text: "incorrect horse",
                ..good
            },
            Attempt {
                record: None,
                ..good
            },
        );
        let other_context = Attempt {
            contexts: [b"context", b"another"],
            ..good
        };
        let other_site = Attempt {
            servers: [b"the site's key", b"another's key"],
            ..good
        };
        let other_account = Attempt {
            credential_id: b"mario",
            ..good
        };
        let other_stretching = Attempt {
            ksf: Ksf::Recommended,
            ..good
        };
        for attempt in [
            wrong_phrase,
            unknown,
            other_context,
            other_site,
            other_account,
            other_stretching,
        ] {
            assert_eq!(
                attempt.run(&setup).map(|_| ()),
                Err(PassphraseError::Refused)
            );
        }
        let other_setup = ServerSetup::generate(&mut SystemEntropy);
        let elsewhere = good.run(&other_setup).map(|_| ());
        assert_eq!(elsewhere, Err(PassphraseError::Refused));
    }
}

#[test]
fn a_message_with_a_changed_byte_is_rejected() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    for suite in SUITES {
        let attempt = Attempt::of(&record, suite);
        let length = attempt.start(&setup).2.len();
        for at in (0..length).step_by(5) {
            let (client, _, mut ke2) = attempt.start(&setup);
            ke2[at] ^= 1;
            assert!(attempt.finish(client, &ke2).is_err(), "KE2, byte {at}");
        }
        for at in 0..64 {
            let (client, server, ke2) = attempt.start(&setup);
            let mut ke3 = attempt.finish(client, &ke2).unwrap().ke3;
            ke3[at] ^= 1;
            assert_eq!(server.finish(&ke3), Err(PassphraseError::Refused));
        }
    }
}

#[test]
fn the_response_for_an_unknown_name_has_the_same_length_and_differs_each_time() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    for suite in SUITES {
        let known = Attempt::of(&record, suite);
        let unknown = Attempt {
            record: None,
            ..known
        };
        for attempt in [known, unknown] {
            let [one, two] = [(); 2].map(|()| attempt.start(&setup).2);
            assert_eq!(one.len(), suite.ke2_length());
            assert_ne!(one, two);
        }
    }
}

#[test]
fn a_message_of_wrong_length_is_malformed() {
    const MALFORMED: PassphraseError = PassphraseError::Malformed;
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    let phrase = passphrase("correct horse");
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();

    let (client, request) = ClientRegistration::start(&phrase, &mut SystemEntropy).unwrap();
    let response = setup.registration_response(b"maria", &request).unwrap();
    let result = setup.registration_response(b"maria", &longer(&request));
    assert_eq!(result, Err(MALFORMED));
    let finished = client.finish(&phrase, &longer(&response), SITE, &mut SystemEntropy);
    assert_eq!(finished.map(|_| ()), Err(MALFORMED));

    assert!(PassphraseRecord::from_bytes(&longer(record.as_bytes())).is_err());
    assert!(PassphraseRecord::from_bytes(&record.as_bytes()[1..]).is_err());
    assert!(ServerSetup::from_bytes(&longer(setup.to_bytes().expose())).is_err());
    assert!(ServerSetup::from_bytes(&setup.to_bytes().expose()[1..]).is_err());

    for suite in SUITES {
        let attempt = Attempt::of(&record, suite);
        let (_, ke1) = ClientLogin::start(suite, &phrase, &mut SystemEntropy).unwrap();
        for wrong in [&ke1[1..], &longer(&ke1)] {
            let result = ServerLogin::start(
                suite,
                &setup,
                None,
                b"maria",
                wrong,
                b"",
                SITE,
                &mut SystemEntropy,
            );
            assert_eq!(result.map(|_| ()), Err(MALFORMED));
        }
        let (client, server, ke2) = attempt.start(&setup);
        let finished = attempt.finish(client, &longer(&ke2));
        assert_eq!(finished.map(|_| ()), Err(MALFORMED));
        assert_eq!(server.finish(&[0; 65]), Err(MALFORMED));
    }
}

#[test]
fn an_invalid_point_is_malformed_and_a_damaged_record_is_reported() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let zero = setup.registration_response(b"maria", &[0; 32]);
    assert_eq!(zero, Err(PassphraseError::Malformed));

    let damaged = [0xff; 192];
    assert!(PassphraseRecord::from_bytes(&damaged).is_err());
    let damaged = PassphraseRecord::from_stored(&damaged).unwrap();
    for suite in SUITES {
        let phrase = passphrase("correct horse");
        let (_, ke1) = ClientLogin::start(suite, &phrase, &mut SystemEntropy).unwrap();
        let result = ServerLogin::start(
            suite,
            &setup,
            Some(&damaged),
            b"maria",
            &ke1,
            b"",
            SITE,
            &mut SystemEntropy,
        );
        assert_eq!(result.map(|_| ()), Err(PassphraseError::Damaged));
    }
}

#[test]
fn a_ksf_is_identified_by_its_version() {
    for ksf in [Ksf::Recommended, Ksf::Trivial] {
        let version = ksf.version();
        assert_eq!(Ksf::from_version(version), Some(ksf));
    }
    assert_eq!(Ksf::from_version(0), None);
    assert_eq!(Ksf::default(), Ksf::Recommended);
}

#[test]
fn no_type_prints_a_secret() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, export_key) = register(&setup, "correct horse");
    assert_eq!(format!("{setup:?}"), format!("ServerSetup({})", setup.id()));
    let shown = format!("{record:?} {export_key:?}");
    assert_eq!(shown, "PassphraseRecord(..) ExportKey(..)");
}

//! A pass phrase is registered once and logs in under either suite.

use super::*;
use crate::entropy::SystemEntropy;
use crate::secret::{Passphrase, Secret};

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
        .finish(&passphrase(text), &response, SITE, &mut SystemEntropy)
        .unwrap()
}

struct Login<'a> {
    suite: LoginSuite,
    record: Option<&'a PassphraseRecord>,
    text: &'a str,
    contexts: [&'a [u8]; 2],
}

/// Both ends' session keys, and the client's export key.
fn log_in(
    setup: &ServerSetup,
    login: &Login<'_>,
) -> Result<(Secret<64>, Secret<64>, ExportKey), PassphraseError> {
    let entropy = &mut SystemEntropy;
    let phrase = passphrase(login.text);
    let (client, ke1) = ClientLogin::start(login.suite, &phrase, entropy)?;
    let [ours, theirs] = login.contexts;
    let (server, ke2) = ServerLogin::start(
        login.suite,
        setup,
        login.record,
        b"maria",
        &ke1,
        theirs,
        SITE,
        entropy,
    )?;
    let done = client.finish(&phrase, &ke2, ours, SITE, entropy)?;
    Ok((done.session_key, server.finish(&done.ke3)?, done.export_key))
}

#[test]
fn one_record_logs_in_under_both_suites_and_gives_the_same_export_key() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, export_key) = register(&setup, "correct horse");
    let setup = ServerSetup::from_bytes(setup.to_bytes().expose()).unwrap();
    let record = PassphraseRecord::from_bytes(record.as_bytes()).unwrap();
    for suite in [LoginSuite::Classical, LoginSuite::Hybrid] {
        let login = Login {
            suite,
            record: Some(&record),
            text: "correct horse",
            contexts: [b"c"; 2],
        };
        let (client, server, export) = log_in(&setup, &login).unwrap();
        assert_eq!((client, export), (server, export_key.clone()));
    }
}

#[test]
fn a_wrong_pass_phrase_another_context_and_an_unknown_name_are_refused_alike() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    let good = Login {
        suite: LoginSuite::Hybrid,
        record: Some(&record),
        text: "correct horse",
        contexts: [b"c"; 2],
    };
    let refused = [
        Login {
            text: "incorrect horse",
            ..good
        },
        Login {
            contexts: [b"c", b"d"],
            ..good
        },
        Login {
            record: None,
            ..good
        },
    ];
    for login in refused {
        assert_eq!(
            log_in(&setup, &login).map(|_| ()),
            Err(PassphraseError::Refused)
        );
    }
}

#[test]
fn an_answer_for_an_unknown_name_is_as_long_as_one_for_a_known_name() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    let (record, _) = register(&setup, "correct horse");
    for (suite, length) in [
        (LoginSuite::Classical, 320),
        (LoginSuite::Hybrid, 320 + 1_088),
    ] {
        let (_, ke1) =
            ClientLogin::start(suite, &passphrase("anything"), &mut SystemEntropy).unwrap();
        for record in [Some(&record), None] {
            let (_, ke2) = ServerLogin::start(
                suite,
                &setup,
                record,
                b"maria",
                &ke1,
                b"",
                SITE,
                &mut SystemEntropy,
            )
            .unwrap();
            assert_eq!(ke2.len(), length);
        }
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    let setup = ServerSetup::generate(&mut SystemEntropy);
    assert_eq!(
        setup.registration_response(b"maria", &[0; 32]),
        Err(PassphraseError::Malformed)
    );
    assert!(PassphraseRecord::from_bytes(&[0; 191]).is_err());
    assert!(ServerSetup::from_bytes(&[1; 40]).is_err());
    let (_, ke1) =
        ClientLogin::start(LoginSuite::Classical, &passphrase("x"), &mut SystemEntropy).unwrap();
    let hybrid = ServerLogin::start(
        LoginSuite::Hybrid,
        &setup,
        None,
        b"",
        &ke1,
        b"",
        SITE,
        &mut SystemEntropy,
    );
    assert_eq!(hybrid.map(|_| ()), Err(PassphraseError::Malformed));
}

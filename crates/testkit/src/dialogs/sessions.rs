//! The recorded sessions: a login of each kind of account with each option, sessions with every
//! kind of message, and resumptions.

use countersign_crypto::hash::sha256;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::EncryptionOption;

use super::form::{Account, Greeting, Hex, Inputs, Party, SessionFile, SessionMessage};
use super::play::{Turns, record};
use crate::site::{PASSPHRASE, Site, key_event};

const PAGE: &str = "docs/protocol/session.md";
/// 1 January 2027, in milliseconds since 1970 UTC.
const EXPIRES: u64 = 1_798_761_600_000;

/// A kind of login.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Person,
    Service,
}

/// All sessions, with the names of their files.
#[must_use]
pub fn all() -> Vec<(String, SessionFile)> {
    let mut files = Vec::new();
    for (kind, name) in [(Kind::Person, "person"), (Kind::Service, "service")] {
        for option in EncryptionOption::ALL {
            let file = login(kind, option);
            files.push((format!("login-{name}-{}", option.name()), file));
        }
    }
    for option in [
        EncryptionOption::HybridAes256Gcm,
        EncryptionOption::X25519Aes256Gcm,
        EncryptionOption::DeliveredKey,
    ] {
        files.push((format!("session-{}", option.name()), session(option)));
    }
    for option in [
        EncryptionOption::HybridChaCha20Poly1305,
        EncryptionOption::X25519Aes128Gcm,
    ] {
        files.push((format!("resume-{}", option.name()), resume(option)));
    }
    files
}

fn login(kind: Kind, option: EncryptionOption) -> SessionFile {
    let (who, section) = match (kind, option) {
        (_, EncryptionOption::DeliveredKey) => ("delivered key", "delivered-key"),
        (Kind::Person, _) => ("person", "login-of-a-person"),
        (Kind::Service, _) => ("service", "login-of-a-service"),
    };
    let kind_name = if kind == Kind::Person {
        "a person"
    } else {
        "a service"
    };
    let purpose = format!(
        "The login of {kind_name} with the option {} ({who}), one operation, and the end.",
        option.name()
    );
    let turns = vec![
        (Party::Client, vec![operation(1, "self", "show", "{}")]),
        (Party::Server, vec![result(1, 0, "{}", "done")]),
        (Party::Client, vec![SessionMessage::Goodbye(1)]),
    ];
    let plan = [(option.name(), turns)];
    record(
        &purpose,
        &page(section),
        inputs(kind, option, 65_536),
        &plan,
    )
}

fn session(option: EncryptionOption) -> SessionFile {
    let purpose = format!(
        "A session that begins with the option {}, in packets of at most 512 bytes: operations, results, an event, \
         messages that are cut, content in both directions, new keys that the client offers, for another option \
         where there is one, and new keys that the site offers.",
        option.name()
    );
    let other = match option {
        EncryptionOption::HybridAes256Gcm => EncryptionOption::HybridChaCha20Poly1305,
        EncryptionOption::X25519Aes256Gcm => EncryptionOption::X25519Aes128Gcm,
        option => option,
    };
    let plan = [(option.name(), turns(other.name()))];
    record(
        &purpose,
        &page("messages"),
        inputs(Kind::Service, option, 512),
        &plan,
    )
}

fn turns(other: &str) -> Turns {
    let long = format!("{{\"text\":\"{}\"}}", "long ".repeat(150));
    let content = |seed: u8, length: usize| -> Vec<u8> {
        let blocks = (0..length.div_ceil(32)).map(|at| sha256(&[seed, u8::try_from(at).unwrap()]));
        blocks.flatten().take(length).collect()
    };
    let piece = |id, bytes: Vec<u8>| SessionMessage::Content {
        id,
        bytes: Hex(bytes),
    };
    let with_content = |message| match message {
        SessionMessage::Operation {
            id,
            group,
            command,
            params,
            ..
        } => SessionMessage::Operation {
            id,
            group,
            command,
            params,
            content: true,
        },
        SessionMessage::Result {
            id,
            code,
            data,
            output,
            ..
        } => SessionMessage::Result {
            id,
            code,
            data,
            output,
            content: true,
        },
        other => other,
    };
    let (client, server) = (Party::Client, Party::Server);
    let event = SessionMessage::Event {
        group: "session".to_owned(),
        event: "expiring".to_owned(),
        data: "{}".to_owned(),
    };
    vec![
        // Two concurrent operations, and their results in the other order.
        (
            client,
            vec![
                operation(1, "site", "status", "{}"),
                operation(2, "person", "show", r#"{"name":"maria@example.org"}"#),
            ],
        ),
        (
            server,
            vec![
                result(2, 5, r#"{"code":"not_found"}"#, ""),
                result(1, 0, r#"{"state":"open"}"#, "The site is open.\n"),
                event,
            ],
        ),
        // Messages in several packets.
        (client, vec![operation(3, "test", "echo", &long)]),
        (server, vec![result(3, 0, &long, "as it came")]),
        // Content in both directions.
        (
            client,
            vec![
                with_content(operation(4, "test", "store", "{}")),
                piece(4, content(1, 300)),
                SessionMessage::ContentEnd { id: 4 },
            ],
        ),
        (
            server,
            vec![
                with_content(result(4, 0, r#"{"bytes":300}"#, "")),
                piece(4, content(2, 200)),
                SessionMessage::ContentEnd { id: 4 },
            ],
        ),
        // New keys, and packets under them in both directions.
        (client, vec![SessionMessage::OfferKeys(other.to_owned())]),
        (server, vec![SessionMessage::AcceptKeys]),
        (client, vec![operation(5, "site", "status", "{}")]),
        (server, vec![result(5, 0, "{}", "")]),
        (server, vec![SessionMessage::OfferKeys(other.to_owned())]),
        (client, vec![SessionMessage::AcceptKeys]),
        (client, vec![operation(6, "site", "status", "{}")]),
        (server, vec![result(6, 0, "{}", "")]),
        (client, vec![SessionMessage::Goodbye(1)]),
    ]
}

fn resume(option: EncryptionOption) -> SessionFile {
    let purpose = format!(
        "A service logs in with the option {}, its connection is lost, and it resumes the session, twice.",
        option.name()
    );
    let turns = |id| -> Turns {
        vec![
            (Party::Client, vec![operation(id, "self", "show", "{}")]),
            (Party::Server, vec![result(id, 0, "{}", "")]),
        ]
    };
    let plan = [1, 2, 3].map(|id| (option.name(), turns(id)));
    record(
        &purpose,
        &page("resumption"),
        inputs(Kind::Service, option, 65_536),
        &plan,
    )
}

fn page(section: &str) -> String {
    format!("{PAGE}#{section}")
}

fn operation(id: u64, group: &str, command: &str, params: &str) -> SessionMessage {
    SessionMessage::Operation {
        id,
        group: group.to_owned(),
        command: command.to_owned(),
        params: params.to_owned(),
        content: false,
    }
}

fn result(id: u64, code: u16, data: &str, output: &str) -> SessionMessage {
    SessionMessage::Result {
        id,
        code,
        data: data.to_owned(),
        output: output.to_owned(),
        content: false,
    }
}

fn inputs(kind: Kind, option: EncryptionOption, max_packet: u32) -> Inputs {
    let site = Site::new();
    let site_seed = [11; 32];
    let key = SiteKey::from_seed(SiteSeed(Secret::from_bytes(site_seed)));
    assert_eq!(key.public(), site.settings.key.public());
    let options = EncryptionOption::ALL.map(|option| option.name().to_owned());
    let name = match kind {
        Kind::Person => "maria@example.org",
        Kind::Service => "robot@example.org",
    };
    Inputs {
        site_seed: site_seed.into(),
        site_public_key: key.public().to_bytes().into(),
        key_events: vec![key_event().to_bytes().into()],
        site_id: site.settings.key_events.id().0.into(),
        options: options.to_vec(),
        max_packet,
        account: match (kind, option) {
            (Kind::Service, _) => service(),
            (Kind::Person, EncryptionOption::DeliveredKey) => delivered(&site),
            (Kind::Person, _) => person(&site),
        },
        welcome: Greeting {
            session: Hex((1..=16).collect()),
            expires: EXPIRES,
            idle_limit: 90_000,
            account: name.to_owned(),
        },
    }
}

fn service() -> Account {
    let seed = [12; 32];
    let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes(seed)));
    Account::Service {
        identity_seed: seed.into(),
        certificate: identity.certificate().der().into(),
    }
}

fn person(site: &Site) -> Account {
    let known = site.person("maria@example.org").unwrap();
    let setup = known.setup.to_bytes();
    let (_, setup) = setup.expose().split_first().unwrap();
    let (oprf_seed, rest) = setup.split_at(64);
    let (private_key, stand_in) = rest.split_at(32);
    Account::Person {
        name: "maria".to_owned(),
        pass_phrase: PASSPHRASE.to_owned(),
        identity_seed: site.maria.seed().0.expose().into(),
        oprf_seed: oprf_seed.into(),
        server_private_key: private_key.into(),
        stand_in_public_key: stand_in.into(),
        credential_id: known.credential_id.into(),
        record: known.record.as_bytes().into(),
        sealed_identity: known.sealed_identity.into(),
    }
}

fn delivered(site: &Site) -> Account {
    let known = site.delivered("maria@example.org").unwrap().key;
    Account::DeliveredPerson {
        name: "maria".to_owned(),
        pass_phrase: PASSPHRASE.to_owned(),
        identity_seed: site.maria.seed().0.expose().into(),
        certificate: known.certificate().der().into(),
        encrypted_key: known.encrypted_key().into(),
    }
}

//! The commands of a flight may arrive in any order, with or without MAX-PACKET.
//!
//! The source of the protocol asks for loose ordering and for a MAX-PACKET that may be left out;
//! the site once answered the option `delivered-key` when MAX-PACKET came last and kept a client
//! that left it out waiting for its whole time, and told a client that asked for packets of 100
//! bytes that 256 hold.

use countersign_crypto::agreement::AgreementKey;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::hash::{Sha256, sha256};
use countersign_crypto::kdf::derive;
use countersign_crypto::noise::{Initiator, RecordCipher};
use countersign_crypto::passphrase::{ClientLogin, Identifiers, LoginSuite};
use countersign_crypto::record::{Opener, Sealer};
use countersign_crypto::sealing;
use countersign_crypto::secret::{Secret, SecretBytes};
use countersign_proto::risp::{self, Command, Value};
use countersign_proto::session::{EncryptionOption, OptionList, SessionRefusal, command as c};

use crate::loose::{Loose, under};
use crate::pair::{PASSPHRASE, Site, Who, passphrase};

const CLASSICAL: EncryptionOption = EncryptionOption::X25519Aes256Gcm;
const DELIVERED: EncryptionOption = EncryptionOption::DeliveredKey;
/// The site's packet limit, and the client's request.
const SITES: u32 = 65_536;
const ASKED: u32 = 1_000;

/// Every permutation of these commands.
fn orders(of: &[Command]) -> Vec<Vec<Command>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let rest: Vec<Command> = [&of[..at], &of[at + 1..]].concat();
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

/// Every permutation of a flight's required commands, with and without MAX-PACKET.
fn every_flight(must: &[Command]) -> Vec<Vec<Command>> {
    let with_limit = [must, &[c::MAX_PACKET]].concat();
    [orders(must), orders(&with_limit)].concat()
}

/// How many commands of the flight are used, and whether MAX-PACKET is among them.
fn ends_at(flight: &[Command]) -> (usize, bool) {
    let last = flight
        .iter()
        .rposition(|command| *command != c::MAX_PACKET)
        .unwrap();
    (last, flight[..last].contains(&c::MAX_PACKET))
}

fn site(option: EncryptionOption) -> Site {
    Site::with(OptionList::new([option]), SITES)
}

fn choice(site: &Site, option: EncryptionOption) -> Vec<u8> {
    [
        &site.settings.options.id().0[..],
        &option.id().to_be_bytes(),
    ]
    .concat()
}

/// [SES-60] and [SES-61] With `delivered-key`, for a person and a service. The packet limit holds
/// wherever it was in the flight.
#[test]
fn a_delivered_key_flight_is_accepted_in_every_order() {
    let site = site(DELIVERED);
    let choice = choice(&site, DELIVERED);
    let thumbprint = site.robot.certificate().thumbprint().0;
    let agreement = site.robot.agreement();
    for who in [c::USERNAME, c::CERTIFICATE_ID] {
        for flight in every_flight(&[c::OPTION_CHOICE, c::NONCE, who]) {
            let mut loose = Loose::new(&site);
            let (last, limited) = ends_at(&flight);
            for (at, command) in flight.iter().enumerate() {
                let value = match *command {
                    c::OPTION_CHOICE => Value::Bytes(&choice),
                    c::NONCE => Value::Bytes(&[7; 32]),
                    c::USERNAME => Value::Bytes(b"maria"),
                    c::CERTIFICATE_ID => Value::Bytes(&thumbprint),
                    _ => Value::U32(ASKED),
                };
                let answered = !loose.say(*command, value).unwrap().is_empty();
                assert_eq!(answered, at == last, "{flight:?}: {command:?}");
            }
            let info = under("delivered key", &loose.before_answer, &Sha256::default());
            let (answer, _) = loose.read_answer();
            assert!(answer.proved);
            let holds = if limited { ASKED } else { SITES };
            assert_eq!(answer.max_packet, Some(holds), "{flight:?}");
            if who == c::USERNAME {
                continue;
            }
            // The rest of a service's dialog.
            let info = [&b"countersign/1 delivered-key\0"[..], &info].concat();
            let secrets = sealing::open(agreement, &info, &answer.session_key).unwrap();
            let code = &secrets.expose()[32..];
            let proof: Secret<32> = derive(code, "session code", &loose.under("session code"));
            loose
                .say(c::SESSION_PROOF, Value::Bytes(proof.expose()))
                .unwrap();
            let longest = loose.max_packet();
            let asked = flight.contains(&c::MAX_PACKET);
            assert_eq!(longest <= ASKED as usize, asked, "{flight:?}: {longest}");
        }
    }
}

/// [SES-60]: the login of a person.
#[test]
fn a_persons_flight_is_accepted_in_every_order() {
    let site = site(CLASSICAL);
    let choice = choice(&site, CLASSICAL);
    let phrase = passphrase(PASSPHRASE);
    let (_, start) =
        ClientLogin::start(LoginSuite::Classical, &phrase, &mut SystemEntropy).unwrap();
    for flight in every_flight(&[c::OPTION_CHOICE, c::USERNAME, c::LOGIN_START]) {
        let mut loose = Loose::new(&site);
        let (last, limited) = ends_at(&flight);
        for (at, command) in flight.iter().enumerate() {
            let value = match *command {
                c::OPTION_CHOICE => Value::Bytes(&choice),
                c::USERNAME => Value::Bytes(b"maria"),
                c::LOGIN_START => Value::Bytes(&start),
                _ => Value::U32(ASKED),
            };
            let answered = !loose.say(*command, value).unwrap().is_empty();
            assert_eq!(answered, at == last, "{flight:?}: {command:?}");
        }
        let (answer, _) = loose.read_answer();
        assert!(answer.proved);
        let holds = if limited { ASKED } else { SITES };
        assert_eq!(answer.max_packet, Some(holds), "{flight:?}");
    }
}

/// [SES-61] A complete login, with the name last but one and MAX-PACKET last.
#[test]
fn a_packet_limit_at_the_end_of_a_persons_flight_is_respected() {
    let site = site(CLASSICAL);
    let phrase = passphrase(PASSPHRASE);
    let (opaque, start) =
        ClientLogin::start(LoginSuite::Classical, &phrase, &mut SystemEntropy).unwrap();
    let mut loose = Loose::new(&site);
    let context = loose.under("login context");
    loose.say(c::LOGIN_START, Value::Bytes(&start)).unwrap();
    let choice = choice(&site, CLASSICAL);
    loose.say(c::OPTION_CHOICE, Value::Bytes(&choice)).unwrap();
    loose.say(c::USERNAME, Value::Bytes(b"maria")).unwrap();
    loose.say(c::MAX_PACKET, Value::U32(ASKED)).unwrap();
    let (answer, _) = loose.read_answer();
    let context = [b"countersign/1 login\0", &context[..], &SITES.to_be_bytes()].concat();
    let identifiers = Identifiers {
        client: None,
        server: Some(&site.settings.key_events.id().0),
    };
    let done = opaque
        .finish(
            &phrase,
            &answer.session_key,
            &context,
            identifiers,
            &mut SystemEntropy,
        )
        .unwrap();
    let welcome = loose
        .say(c::SESSION_PROOF, Value::Bytes(&done.ke3))
        .unwrap();
    let said = loose.under("packets");
    opens(&welcome, done.session_key.expose(), &said);
    assert!(loose.max_packet() <= ASKED as usize);
}

/// [SES-60]: the login of a service, whose flight is in two layers.
#[test]
fn a_services_flight_is_accepted_in_every_order() {
    let site = site(CLASSICAL);
    let choice = choice(&site, CLASSICAL);
    let thumbprint = site.robot.certificate().thumbprint().0;
    for hidden in every_flight(&[c::CERTIFICATE_ID]) {
        for flight in orders(&[c::OPTION_CHOICE, c::HANDSHAKE]) {
            let mut payload = Vec::new();
            for command in &hidden {
                let value = match *command {
                    c::CERTIFICATE_ID => Value::Bytes(&thumbprint),
                    _ => Value::U32(ASKED),
                };
                risp::put(&mut payload, *command, value).unwrap();
            }
            let mut loose = Loose::new(&site);
            let mut initiator = None;
            for (at, command) in flight.iter().enumerate() {
                let (started, message) = handshake(&loose, &payload);
                let value = match *command {
                    c::OPTION_CHOICE => Value::Bytes(&choice),
                    _ => {
                        initiator = Some(started);
                        Value::Bytes(&message)
                    }
                };
                let answered = !loose.say(*command, value).unwrap().is_empty();
                assert_eq!(answered, at == 1, "{flight:?}");
            }
            let (answer, _) = loose.read_answer();
            let psk = derive(&[], "machine psk", &answer.psk_covers);
            let (told, _) = initiator
                .unwrap()
                .finish(&psk, &answer.session_key)
                .unwrap();
            let holds = if hidden.len() > 1 { ASKED } else { SITES };
            assert_eq!(told[2..6], holds.to_be_bytes(), "{hidden:?}");
        }
    }
}

/// [SES-60] and [SES-62] Resumption. Packets follow its flight at once, so MAX-PACKET comes before
/// the end of the flight or not at all. A client that sends it afterwards does not have to wait.
#[test]
fn a_resumption_flight_is_accepted_in_every_order() {
    let site = site(CLASSICAL);
    let choice = choice(&site, CLASSICAL);
    for flight in every_flight(&[c::OPTION_CHOICE, c::RESUME]) {
        let secret = session_to_return_to(&site, &choice);
        let own = AgreementKey::from_secret(Secret::generate(&mut SystemEntropy));
        let mut loose = Loose::new(&site);
        let (last, limited) = ends_at(&flight);
        for (at, command) in flight[..=last].iter().enumerate() {
            let resume = resume(secret.expose(), &own, &loose.under("resume"));
            let value = match *command {
                c::OPTION_CHOICE => Value::Bytes(&choice),
                c::RESUME => Value::Bytes(&resume),
                _ => Value::U32(ASKED),
            };
            let answered = !loose.say(*command, value).unwrap().is_empty();
            assert_eq!(answered, at == last, "{flight:?}: {command:?}");
        }
        let (answer, packet) = loose.read_answer();
        assert!(answer.proved);
        let holds = if limited { ASKED } else { SITES };
        assert_eq!(answer.max_packet, Some(holds), "{flight:?}");
        let theirs = countersign_crypto::agreement::AgreementPublic(
            answer.session_key[..].try_into().unwrap(),
        );
        let shared = own.agree(&theirs).unwrap();
        let both = SecretBytes::from([&secret.expose()[..], shared.expose()].concat());
        opens(&packet, both.expose(), &loose.under("packets"));
        if last + 1 < flight.len() {
            let mut late = Vec::new();
            risp::put(&mut late, c::MAX_PACKET, Value::U32(ASKED)).unwrap();
            let session = loose.session.as_mut().unwrap();
            let refused = session.receive(0, &mut late, &mut Vec::new());
            assert!(matches!(refused, Err(SessionRefusal::BadPacket(_))));
        }
    }
}

/// A service's complete login; returns the resumption secret.
fn session_to_return_to(site: &Site, choice: &[u8]) -> Secret<32> {
    let mut loose = Loose::new(site);
    loose.say(c::OPTION_CHOICE, Value::Bytes(choice)).unwrap();
    let mut hidden = Vec::new();
    let thumbprint = site.robot.certificate().thumbprint().0;
    risp::put(&mut hidden, c::CERTIFICATE_ID, Value::Bytes(&thumbprint)).unwrap();
    let (initiator, message) = handshake(&loose, &hidden);
    loose.say(c::HANDSHAKE, Value::Bytes(&message)).unwrap();
    let (answer, _) = loose.read_answer();
    let psk = derive(&[], "machine psk", &answer.psk_covers);
    let (_, keys) = initiator.finish(&psk, &answer.session_key).unwrap();
    let both = [
        keys.client_to_server.expose(),
        keys.server_to_client.expose(),
    ];
    let both = SecretBytes::from(both.map(|key| &key[..]).concat());
    let said = loose.under("packets");
    let key = derive(both.expose(), "packets from client", &said);
    let header = [&[0xa0, 0x03][..], &22u32.to_be_bytes(), &2u32.to_be_bytes()].concat();
    let mut nop = [0x70, 0x00];
    let tag = Sealer::new(RecordCipher::Aes256Gcm, &key)
        .seal_in_place(&header, &mut nop)
        .unwrap();
    loose.give([&header[..], &nop, &tag].concat()).unwrap();
    derive(both.expose(), "resumption", &said)
}

fn handshake(loose: &Loose<'_>, hidden: &[u8]) -> (Initiator, Vec<u8>) {
    Initiator::start(
        loose.site.robot.agreement(),
        &loose.site.settings.key.public().agreement,
        &loose.under("machine prologue"),
        RecordCipher::Aes256Gcm,
        hidden,
        None,
        &mut SystemEntropy,
    )
    .unwrap()
}

/// The value of RESUME, for the first attempt.
fn resume(secret: &[u8; 32], own: &AgreementKey, said: &[u8; 32]) -> Vec<u8> {
    let (session, attempt, share) = ([1; 16], 1u64.to_be_bytes(), own.public().0);
    let what = sha256(&[&said[..], &session, &attempt, &share].concat());
    let proof: Secret<32> = derive(secret, "resume", &what);
    [&session[..], &attempt, proof.expose(), &share].concat()
}

/// The site's first packet decrypts with the key derived from these.
fn opens(packet: &[u8], secret: &[u8], said: &[u8; 32]) {
    let key = derive(secret, "packets from server", said);
    let (header, sealed) = packet.split_at(10);
    let mut sealed = sealed.to_vec();
    let mut opener = Opener::new(RecordCipher::Aes256Gcm, &key);
    opener.open_in_place(header, &mut sealed).unwrap();
}

/// [SES-10] The agreed packet limit never exceeds the client's request.
#[test]
fn a_packet_limit_below_the_minimum_is_rejected() {
    for (option, late) in [(CLASSICAL, false), (DELIVERED, false), (DELIVERED, true)] {
        let site = site(option);
        let choice = choice(&site, option);
        for bytes in [0, 1, 255, 256] {
            let mut loose = Loose::new(&site);
            if late {
                loose.say(c::OPTION_CHOICE, Value::Bytes(&choice)).unwrap();
                loose.say(c::NONCE, Value::Bytes(&[7; 32])).unwrap();
                loose.say(c::USERNAME, Value::Bytes(b"maria")).unwrap();
            }
            let refused = loose.say(c::MAX_PACKET, Value::U32(bytes)).err();
            let expected = SessionRefusal::BadLogin("MAX-PACKET below 256");
            assert_eq!(refused, (bytes < 256).then_some(expected), "{bytes}");
        }
    }
    let site = site(CLASSICAL);
    let mut settings = site.client();
    settings.max_packet = 255;
    let refused = Who::Service(&site.robot).start(settings, &mut Vec::new());
    assert!(refused.is_err(), "this client does not even ask");
}

/// [SES-63] Commands of a flight with a stale choice, before or after the choice, are not part of
/// the next flight.
#[test]
fn a_flight_with_a_stale_choice_is_ignored() {
    let site = site(DELIVERED);
    let stale = [&[0; 8][..], &DELIVERED.id().to_be_bytes()].concat();
    let good = choice(&site, DELIVERED);
    for order in orders(&[c::OPTION_CHOICE, c::NONCE, c::USERNAME, c::MAX_PACKET]) {
        let mut loose = Loose::new(&site);
        for command in &order {
            let value = match *command {
                c::OPTION_CHOICE => Value::Bytes(&stale),
                c::NONCE => Value::Bytes(&[6; 32]),
                c::USERNAME => Value::Bytes(b"mario"),
                _ => Value::U32(ASKED),
            };
            let told = !loose.say(*command, value).unwrap().is_empty();
            assert_eq!(told, *command == c::OPTION_CHOICE);
        }
        let mut answered = |command, value| !loose.say(command, value).unwrap().is_empty();
        assert!(!answered(c::OPTION_CHOICE, Value::Bytes(&good)));
        assert!(!answered(c::NONCE, Value::Bytes(&[7; 32])));
        assert!(answered(c::USERNAME, Value::Bytes(b"maria")));
        assert_eq!(loose.server.unwrap().invalid_commands(), 0);
    }
}

/// [SES-2] Commands of another option count as unexpected, before and after the choice.
#[test]
fn commands_of_another_option_count_as_unexpected() {
    let nonce = (c::NONCE, Value::Bytes(&[7; 32]));
    let start = (c::LOGIN_START, Value::Bytes(&[1, 2, 3]));
    for (option, (command, value)) in [(CLASSICAL, nonce), (DELIVERED, start)] {
        let site = site(option);
        let choice = choice(&site, option);
        let choice = (c::OPTION_CHOICE, Value::Bytes(&choice));
        for said in [[choice, (command, value)], [(command, value), choice]] {
            let mut loose = Loose::new(&site);
            for (command, value) in said {
                loose.say(command, value).unwrap();
            }
            assert_eq!(loose.server.unwrap().invalid_commands(), 1);
        }
    }
}

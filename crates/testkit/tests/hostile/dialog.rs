//! Whole dialogs between the state machines with one fault.

use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::client::{self, LoggedIn};
use countersign_proto::session::server::{self, ServerSession};
use countersign_proto::session::{
    EncryptionOption, OptionList, SessionId, SessionRefusal, Welcome,
};
use countersign_testkit::entropy::SeededEntropy;
use countersign_testkit::site::{PASSPHRASE, ROBOT, Site};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fault::{Fault, PacketEdit, bytes, edit_command};
use crate::file::{File, Stage};

/// The kind of dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dialog {
    /// A person's login until the key stretching function would run. The site is authenticated by
    /// then.
    Person,
    /// A service's login, and a session.
    Service,
    /// A service's resumption of its session.
    Return,
}

/// How a dialog ended.
enum End {
    Session(Box<LoggedIn>, Box<ServerSession>),
    /// The site of a person's login is authenticated; the client's proof is not sent.
    SiteProof,
    Refused(Stage, String),
}

pub(crate) fn site(option: EncryptionOption) -> Site {
    // A second option, so that a fault can change the choice to another option on offer.
    let other = match option {
        EncryptionOption::X25519ChaCha20Poly1305 => EncryptionOption::X25519Aes256Gcm,
        _ => EncryptionOption::X25519ChaCha20Poly1305,
    };
    Site::offering(OptionList::new([option, other]), 65_536)
}

pub(crate) fn run(file: &File) -> (Stage, String) {
    let (option, site) = (file.option(), site(file.option()));
    let mut entropy = SeededEntropy::new(7).fork("hostile");
    let before = match file.dialog {
        Dialog::Return => {
            match run_dialog(
                &site,
                option,
                Dialog::Service,
                None,
                &Fault::None,
                &mut entropy,
            ) {
                End::Session(client, _) => Some(client),
                _ => panic!("the session to resume"),
            }
        }
        _ => None,
    };
    let end = run_dialog(
        &site,
        option,
        file.dialog,
        before.as_deref(),
        &file.fault,
        &mut entropy,
    );
    match end {
        End::Refused(stage, text) => (stage, text),
        End::SiteProof => (Stage::Accepted, String::new()),
        End::Session(client, server) => {
            let foreign = || {
                let fault = &Fault::None;
                match run_dialog(
                    &site,
                    option,
                    Dialog::Service,
                    None,
                    fault,
                    &mut SeededEntropy::new(8),
                ) {
                    End::Session(client, server) => (*client, *server),
                    _ => panic!("another session"),
                }
            };
            send_packets(*client, *server, &file.fault, foreign)
        }
    }
}

fn flight_with(fault: &Fault, number: usize, flight: Vec<u8>) -> Vec<u8> {
    match fault {
        Fault::Raw(text) if number == 0 => bytes(text),
        Fault::Command {
            flight: at,
            command,
            edit,
        } if *at == number => edit_command(&flight, command, edit),
        Fault::Before {
            flight: at,
            bytes: text,
        } if *at == number => [bytes(text), flight].concat(),
        _ => flight,
    }
}

fn run_dialog(
    site: &Site,
    option: EncryptionOption,
    dialog: Dialog,
    before: Option<&LoggedIn>,
    fault: &Fault,
    entropy: &mut SeededEntropy,
) -> End {
    let mut settings = site.client();
    settings.accepted = vec![option];
    let mut to_server = Vec::new();
    let mut client = match (dialog, before) {
        (Dialog::Person, _) => client::ClientLoginAttempt::person(
            settings,
            "maria".parse().unwrap(),
            PASSPHRASE.to_owned().into(),
            entropy,
            &mut to_server,
        ),
        (Dialog::Return, Some(before)) => client::ClientLoginAttempt::resume(
            settings,
            before.resumption.clone(),
            entropy,
            &mut to_server,
        ),
        _ => client::ClientLoginAttempt::service(
            settings,
            site.robot.clone(),
            entropy,
            &mut to_server,
        ),
    }
    .unwrap();
    let mut server = server::ServerLoginAttempt::new(site.settings.clone());
    let mut session: Option<ServerSession> = None;
    let mut number = 0;
    loop {
        let mut input = flight_with(fault, number, std::mem::take(&mut to_server));
        let mut to_client = Vec::new();
        if let Some(session) = &mut session {
            if let Err(refusal) = session.receive(0, &mut input, &mut Vec::new()) {
                return refused(&refusal);
            }
        } else {
            match serve(site, server, input, &mut to_client, entropy) {
                Err(refusal) => return refused(&refusal),
                Ok(Served::Login(login)) => server = *login,
                Ok(Served::Session(opened)) => {
                    session = Some(*opened);
                    server = server::ServerLoginAttempt::new(site.settings.clone());
                }
                Ok(Served::Refused) => {
                    return End::Refused(Stage::Proof, "refused inside".to_owned());
                }
            }
        }
        if to_client.is_empty() {
            return End::Refused(Stage::Waits, String::new());
        }
        let mut input = flight_with(fault, number + 1, to_client);
        let (step, used) = match client.receive(&mut input, entropy, &mut to_server) {
            Ok(step) => step,
            Err(error) => return End::Refused(Stage::of_login(&error), error.to_string()),
        };
        client = match step {
            client::ClientStep::NeedMore(client) => client,
            client::ClientStep::LoggedIn(done) => {
                assert_eq!(used, input.len());
                return match session {
                    Some(session) => End::Session(Box::new(done), Box::new(session)),
                    None => panic!("a client without a server"),
                };
            }
            client::ClientStep::Reconnect(_) => {
                return End::Refused(Stage::Answer, "the client connects again".to_owned());
            }
            client::ClientStep::Stretch(_) => {
                return forged_proof(site, server, fault, entropy);
            }
        };
        number += 2;
    }
}

/// Sends the forged proof of a fault to the server. Without such a fault the dialog ends here.
fn forged_proof(
    site: &Site,
    server: server::ServerLoginAttempt,
    fault: &Fault,
    entropy: &mut SeededEntropy,
) -> End {
    let Fault::Before {
        flight: 2,
        bytes: proof,
    } = fault
    else {
        return End::SiteProof;
    };
    match serve(site, server, bytes(proof), &mut Vec::new(), entropy) {
        Err(refusal) => refused(&refusal),
        Ok(Served::Login(_)) => End::Refused(Stage::Waits, String::new()),
        Ok(_) => panic!("the server accepted a forged proof"),
    }
}

fn refused(refusal: &SessionRefusal) -> End {
    End::Refused(Stage::of(refusal), refusal.to_string())
}

enum Served {
    Login(Box<server::ServerLoginAttempt>),
    Session(Box<ServerSession>),
    Refused,
}

fn serve(
    site: &Site,
    mut login: server::ServerLoginAttempt,
    mut input: Vec<u8>,
    out: &mut Vec<u8>,
    entropy: &mut SeededEntropy,
) -> Result<Served, SessionRefusal> {
    let welcome = Welcome {
        session: SessionId([1; 16]),
        account: "robot@example.org".to_owned(),
        expires: u64::MAX,
        idle_limit: 0,
    };
    loop {
        let (step, used) = login.receive(&mut input, out)?;
        input.drain(..used);
        login = match step {
            server::ServerStep::NeedMore(login) => return Ok(Served::Login(Box::new(login))),
            server::ServerStep::Refused => return Ok(Served::Refused),
            server::ServerStep::LookUp(server::LookUp::Person(find)) => {
                let known = site.person(&find.name().to_string());
                find.answer(known.as_ref(), entropy, out)?
            }
            server::ServerStep::LookUp(server::LookUp::Service(find)) => {
                let known = site.service(find.thumbprint());
                find.answer(known.as_ref(), entropy, out)?
            }
            server::ServerStep::LookUp(server::LookUp::Delivered(find)) => {
                site.deliver(*find, entropy, out)?
            }
            server::ServerStep::LookUp(server::LookUp::Session(find)) => {
                let known = site.resumable();
                let known = known.filter(|_| find.session() == SessionId([1; 16]));
                let secret = known.as_ref().map(|(_, secret)| secret);
                let claim = |attempt| site.claim(attempt).then_some(ROBOT);
                let authenticated = find.answer(secret, claim, entropy, out)?;
                return Ok(Served::Session(Box::new(
                    authenticated.welcome(&welcome, out)?,
                )));
            }
            server::ServerStep::Authenticated(authenticated) => {
                site.session_opened(authenticated.account(), authenticated.resumption().clone());
                let mut session = authenticated.welcome(&welcome, out)?;
                session.receive(0, &mut input, &mut Vec::new())?;
                return Ok(Served::Session(Box::new(session)));
            }
        };
    }
}

/// Sends two packets in one direction and changes the first.
fn send_packets(
    mut client: LoggedIn,
    mut server: ServerSession,
    fault: &Fault,
    foreign: impl Fn() -> (LoggedIn, ServerSession),
) -> (Stage, String) {
    let (to_client, edit) = match fault {
        Fault::Packet { to_client, edit } => (*to_client, Some(edit)),
        _ => (false, None),
    };
    let packet = |client: &mut LoggedIn, server: &mut ServerSession, to_client: bool| {
        let (mut wire, null) = (Vec::new(), RawValue::NULL.to_owned());
        if to_client {
            let outcome = Outcome {
                id: 1,
                code: Code::SUCCESS,
                data: null,
                output: String::new(),
            };
            server.send_outcome(&outcome).unwrap();
            server.flush(&mut wire).unwrap();
        } else {
            let operation = Operation::new(1, "test", "echo", null);
            client.session.send_operation(&operation).unwrap();
            client.session.flush(&mut wire).unwrap();
        }
        wire
    };
    let (first, second) = (
        packet(&mut client, &mut server, to_client),
        packet(&mut client, &mut server, to_client),
    );
    let mut back = false;
    let mut wire = match edit {
        None => [first, second].concat(),
        Some(PacketEdit::Flip(byte, bits)) => {
            let mut changed = first;
            changed[*byte] ^= bits;
            [changed, second].concat()
        }
        Some(PacketEdit::Repeat) => [&first[..], &first, &second].concat(),
        Some(PacketEdit::Drop) => second,
        Some(PacketEdit::Swap) => [second, first].concat(),
        Some(PacketEdit::Cut(left)) => first[..*left].to_vec(),
        Some(PacketEdit::Replace(text)) => bytes(text),
        Some(PacketEdit::Reflect) => {
            back = true;
            first
        }
        Some(PacketEdit::Foreign) => {
            let (mut client, mut server) = foreign();
            packet(&mut client, &mut server, to_client)
        }
    };
    let length = wire.len();
    let (received, messages) = if to_client == back {
        let mut got = Vec::new();
        (server.receive(0, &mut wire, &mut got), got.len())
    } else {
        let mut got = Vec::new();
        (client.session.receive(&mut wire, &mut got), got.len())
    };
    match received {
        Err(refusal) => (Stage::of(&refusal), refusal.to_string()),
        Ok(bytes) if bytes == length && messages == 2 => (Stage::Accepted, String::new()),
        Ok(_) => (Stage::Waits, String::new()),
    }
}

//! The site of a recorded session.

use std::sync::Arc;

use countersign_crypto::certificate::Certificate;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::noise::StaticKeyCache;
use countersign_crypto::passphrase::{PassphraseRecord, ServerSetup};
use countersign_crypto::secret::Secret;
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::server::{
    self, AccountTag, Authenticated, DeliveredCredential, FromClient, LookUp, PersonCredential,
    ServiceCredential,
};
use countersign_proto::session::{Inbox, OptionList, ResumptionSecret, SessionId, Welcome};

use super::{End, json, key_events, options, site_key};
use crate::dialogs::form::{Account, Inputs, SessionMessage};
use crate::dialogs::tape::{self, Tape};
use crate::entropy::SeededEntropy;

const ACCOUNT: AccountTag = AccountTag([1; 16]);

enum ServerState {
    Login(Box<server::ServerLoginAttempt>),
    Live(Box<server::ServerSession>),
    Moving,
}

/// The site of a recorded session.
pub(crate) struct ServerEnd<'a> {
    inputs: &'a Inputs,
    state: ServerState,
    tape: Tape,
    inbox: Inbox,
    outbox: Vec<u8>,
    received: Vec<SessionMessage>,
    offered: Option<server::ServerKeyOffer>,
    resumption: Option<ResumptionSecret>,
}

impl<'a> ServerEnd<'a> {
    /// A new connection, with the secret of the session that can be resumed, if there is one.
    #[must_use]
    pub(crate) fn new(
        inputs: &'a Inputs,
        resumption: Option<ResumptionSecret>,
        tape: Tape,
    ) -> Self {
        let settings = server::ServerSettings {
            key: Arc::new(site_key(inputs)),
            key_events: Arc::new(key_events(inputs)),
            setup: Arc::new(ServerSetup::generate(&mut SeededEntropy::new(0))),
            decoy: Secret::from_bytes([0; 32]),
            zone: "example.org".parse().unwrap(),
            options: OptionList::new(options(&inputs.options)),
            max_packet: inputs.max_packet,
            static_keys: Arc::new(StaticKeyCache::default()),
        };
        Self {
            inputs,
            state: ServerState::Login(Box::new(server::ServerLoginAttempt::new(Arc::new(
                settings,
            )))),
            tape,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            received: Vec::new(),
            offered: None,
            resumption,
        }
    }

    /// The secret to resume the session.
    #[must_use]
    pub(crate) fn resumption(&self) -> Option<ResumptionSecret> {
        self.resumption.clone()
    }

    /// Whether there is a session.
    #[must_use]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, ServerState::Live(_))
    }

    fn log_in(&mut self, login: server::ServerLoginAttempt) -> bool {
        let (step, used) = login
            .receive(self.inbox.unread(), &mut self.outbox)
            .unwrap();
        self.inbox.consume(used);
        let (tape, out) = (&mut self.tape, &mut self.outbox);
        tape.purpose("answer", draws(&step));
        let login = match (step, &self.inputs.account) {
            (server::ServerStep::NeedMore(login), _) => {
                self.state = ServerState::Login(Box::new(login));
                return false;
            }
            (server::ServerStep::Authenticated(authenticated), _) => {
                self.welcome(*authenticated);
                return true;
            }
            (server::ServerStep::LookUp(LookUp::Session(find)), _) => {
                let claim = |_| Some(ACCOUNT);
                let resumed = find.answer(self.resumption.as_ref(), claim, tape, out);
                self.welcome(resumed.unwrap());
                return true;
            }
            (server::ServerStep::LookUp(LookUp::Person(find)), account) => {
                find.answer(Some(&person(account)), tape, out)
            }
            (
                server::ServerStep::LookUp(LookUp::Service(find)),
                Account::Service { certificate, .. },
            ) => find.answer(Some(&service(&certificate.0)), tape, out),
            (
                server::ServerStep::LookUp(LookUp::Delivered(find)),
                Account::Service { certificate, .. },
            ) => find.answer_service(Some(&service(&certificate.0)), tape, out),
            (
                server::ServerStep::LookUp(LookUp::Delivered(find)),
                Account::DeliveredPerson {
                    certificate,
                    encrypted_key,
                    ..
                },
            ) => {
                let key = DeliveredKey::from_der(&certificate.0, &encrypted_key.0).unwrap();
                let known = DeliveredCredential {
                    account: ACCOUNT,
                    key,
                };
                find.answer_person(Some(&known), tape, out)
            }
            _ => panic!("refused, or another kind of account"),
        };
        self.state = ServerState::Login(Box::new(login.unwrap()));
        true
    }

    fn welcome(&mut self, authenticated: Authenticated) {
        assert_eq!(authenticated.account(), ACCOUNT);
        self.resumption = Some(authenticated.resumption().clone());
        let welcome = Welcome {
            session: SessionId(self.inputs.welcome.session.array()),
            account: self.inputs.welcome.account.clone(),
            expires: self.inputs.welcome.expires,
            idle_limit: self.inputs.welcome.idle_limit,
        };
        let session = authenticated.welcome(&welcome, &mut self.outbox).unwrap();
        self.state = ServerState::Live(Box::new(session));
    }

    fn listen(&mut self, mut session: Box<server::ServerSession>) {
        let mut got = Vec::new();
        let used = session.receive(0, self.inbox.unread(), &mut got).unwrap();
        self.inbox.consume(used);
        self.state = ServerState::Live(session);
        for message in got {
            let message = match message {
                FromClient::Operation(operation) => operation_message(operation, false),
                FromClient::OperationWithContent(operation) => operation_message(operation, true),
                FromClient::Content { id, bytes } => SessionMessage::Content {
                    id,
                    bytes: bytes.into(),
                },
                FromClient::ContentEnd { id } => SessionMessage::ContentEnd { id },
                FromClient::KeyOffer(offer) => {
                    self.offered = Some(offer);
                    SessionMessage::OfferKeys(String::new())
                }
                FromClient::KeysRenewed(true) => SessionMessage::AcceptKeys,
                FromClient::Goodbye(reason) => SessionMessage::Goodbye(reason as u8),
                other => panic!("not in these dialogs: {other:?}"),
            };
            self.received.push(message);
        }
    }
}

/// The names of the draws for the reply.
fn draws(step: &server::ServerStep) -> &'static [&'static str] {
    match step {
        server::ServerStep::LookUp(LookUp::Person(_)) => tape::KE2,
        server::ServerStep::LookUp(LookUp::Service(_)) => tape::NOISE,
        server::ServerStep::LookUp(LookUp::Delivered(_)) => tape::DELIVERED,
        server::ServerStep::LookUp(LookUp::Session(_)) => tape::SHARE,
        _ => &[],
    }
}

fn operation_message(operation: Operation, content: bool) -> SessionMessage {
    SessionMessage::Operation {
        id: operation.id,
        group: operation.group,
        command: operation.command,
        params: operation.params.get().to_owned(),
        content,
    }
}

fn service(certificate: &[u8]) -> ServiceCredential {
    ServiceCredential {
        account: ACCOUNT,
        agreement: Certificate::from_der(certificate).unwrap().agreement(),
    }
}

fn person(account: &Account) -> PersonCredential {
    let Account::Person {
        oprf_seed,
        server_private_key,
        stand_in_public_key,
        credential_id,
        record,
        sealed_identity,
        ..
    } = account
    else {
        panic!("not a person with OPAQUE")
    };
    let setup = [
        &[1][..],
        &oprf_seed.0,
        &server_private_key.0,
        &stand_in_public_key.0,
    ];
    PersonCredential {
        account: ACCOUNT,
        setup: Arc::new(ServerSetup::from_bytes(&setup.concat()).unwrap()),
        credential_id: credential_id.0.clone(),
        record: PassphraseRecord::from_bytes(&record.0).unwrap(),
        sealed_identity: sealed_identity.array(),
    }
}

impl End for ServerEnd<'_> {
    fn receive(&mut self, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            match std::mem::replace(&mut self.state, ServerState::Moving) {
                ServerState::Login(login) => {
                    if !self.log_in(*login) {
                        return;
                    }
                }
                ServerState::Live(session) => return self.listen(session),
                ServerState::Moving => panic!("the server failed before"),
            }
        }
    }

    fn send_message(&mut self, message: &SessionMessage) {
        let ServerState::Live(session) = &mut self.state else {
            panic!("no session yet")
        };
        self.tape.purpose("new keys", tape::SHARE);
        match message {
            SessionMessage::Result {
                id,
                code,
                data,
                output,
                content,
            } => {
                let outcome = Outcome {
                    id: *id,
                    code: Code(*code),
                    data: json(data),
                    output: output.clone(),
                };
                match content {
                    true => session.send_outcome_with_content(&outcome),
                    false => session.send_outcome(&outcome),
                }
                .unwrap();
            }
            SessionMessage::Event { group, event, data } => {
                let event = Event {
                    group: group.clone(),
                    event: event.clone(),
                    data: json(data),
                };
                session.send_event(&event).unwrap();
            }
            SessionMessage::Content { id, bytes } => session.send_content(*id, bytes.0.clone()),
            SessionMessage::ContentEnd { id } => session.end_content(*id),
            SessionMessage::OfferKeys(option) => {
                assert_eq!(session.option().name(), option);
                assert!(session.offer_keys(&mut self.tape).unwrap());
            }
            SessionMessage::AcceptKeys => {
                let offer = self.offered.take().unwrap();
                let options = OptionList::new(options(&self.inputs.options));
                let expires = self.inputs.welcome.expires;
                let answered = session.answer_keys(&offer, &options, expires, &mut self.tape);
                assert!(answered.unwrap());
            }
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn take_output(&mut self) -> Vec<u8> {
        if let ServerState::Live(session) = &mut self.state {
            session.flush(&mut self.outbox).unwrap();
        }
        std::mem::take(&mut self.outbox)
    }

    fn received(&mut self) -> Vec<SessionMessage> {
        std::mem::take(&mut self.received)
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }
}

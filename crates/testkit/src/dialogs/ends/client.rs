//! The client of a recorded session.

use std::sync::Arc;

use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::session::client::{self, FromSite, LoggedIn, Resumption};
use countersign_proto::session::{EncryptionOption, Goodbye, Inbox, OptionList};

use super::{End, json, options, site_key};
use crate::dialogs::form::{Account, Inputs, SessionMessage};
use crate::dialogs::tape::{self, Tape};

enum ClientState {
    Login(Box<client::ClientLoginAttempt>),
    Live(Box<LoggedIn>),
    Moving,
}

/// The client of a recorded session.
pub(crate) struct ClientEnd {
    state: ClientState,
    tape: Tape,
    inbox: Inbox,
    outbox: Vec<u8>,
    received: Vec<SessionMessage>,
    offered: Option<client::ClientKeyOffer>,
}

impl ClientEnd {
    /// A client that logs in, or resumes a session, with this option.
    #[must_use]
    pub(crate) fn new(
        inputs: &Inputs,
        option: &str,
        resumption: Option<Resumption>,
        mut tape: Tape,
    ) -> Self {
        let mut settings = client::ClientSettings::new(site_key(inputs).public());
        settings.options = OptionList::new(options(&inputs.options));
        settings.accepted = options(&inputs.options);
        let first: EncryptionOption = option.parse().unwrap();
        settings.accepted.sort_by_key(|option| *option != first);
        settings.own_order = true;
        settings.max_packet = inputs.max_packet;
        let draws = match (&resumption, &inputs.account) {
            (Some(_), _) => tape::SHARE,
            _ if first == EncryptionOption::DeliveredKey => tape::NONCE,
            (None, Account::Service { .. }) => tape::NOISE,
            (None, _) => tape::KE1,
        };
        tape.purpose("first flight", draws);
        let mut outbox = Vec::new();
        let login = match (resumption, &inputs.account) {
            (Some(resumption), _) => {
                client::ClientLoginAttempt::resume(settings, resumption, &mut tape, &mut outbox)
            }
            (None, Account::Service { identity_seed, .. }) => {
                let seed = IdentitySeed(Secret::from_bytes(identity_seed.array()));
                let identity = Arc::new(Identity::from_seed(seed));
                client::ClientLoginAttempt::service(settings, identity, &mut tape, &mut outbox)
            }
            (
                None,
                Account::Person {
                    name, pass_phrase, ..
                }
                | Account::DeliveredPerson {
                    name, pass_phrase, ..
                },
            ) => client::ClientLoginAttempt::person(
                settings,
                name.parse().unwrap(),
                pass_phrase.clone().into(),
                &mut tape,
                &mut outbox,
            ),
        };
        Self {
            state: ClientState::Login(Box::new(login.unwrap())),
            tape,
            inbox: Inbox::default(),
            outbox,
            received: Vec::new(),
            offered: None,
        }
    }

    /// The login's result.
    #[must_use]
    pub(crate) fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.state {
            ClientState::Live(live) => Some(live),
            _ => None,
        }
    }

    fn log_in(&mut self, login: client::ClientLoginAttempt) -> bool {
        self.tape.purpose("proof", &[]);
        let received = login.receive(self.inbox.unread(), &mut self.tape, &mut self.outbox);
        let (step, used) = received.unwrap();
        self.inbox.consume(used);
        let (state, again) = match step {
            client::ClientStep::NeedMore(login) => (ClientState::Login(Box::new(login)), false),
            client::ClientStep::Stretch(stretch) => {
                let login = stretch.run(&mut self.tape, &mut self.outbox).unwrap();
                (ClientState::Login(Box::new(login)), true)
            }
            client::ClientStep::Reconnect(step) => panic!("not in these dialogs: {step:?}"),
            client::ClientStep::LoggedIn(live) => (ClientState::Live(Box::new(live)), true),
        };
        self.state = state;
        again
    }

    fn listen(&mut self, mut live: Box<LoggedIn>) {
        let mut got = Vec::new();
        let used = live.session.receive(self.inbox.unread(), &mut got).unwrap();
        self.inbox.consume(used);
        self.state = ClientState::Live(live);
        for message in got {
            let message = match message {
                FromSite::Outcome(outcome) => result(&outcome, false),
                FromSite::OutcomeWithContent(outcome) => result(&outcome, true),
                FromSite::Event(event) => SessionMessage::Event {
                    group: event.group,
                    event: event.event,
                    data: event.data.get().to_owned(),
                },
                FromSite::Content { id, bytes } => SessionMessage::Content {
                    id,
                    bytes: bytes.into(),
                },
                FromSite::ContentEnd { id } => SessionMessage::ContentEnd { id },
                FromSite::KeyOffer(offer) => {
                    self.offered = Some(offer);
                    SessionMessage::OfferKeys(String::new())
                }
                FromSite::KeysRenewed(true) => SessionMessage::AcceptKeys,
                FromSite::Goodbye(reason) => SessionMessage::Goodbye(reason as u8),
                other => panic!("not in these dialogs: {other:?}"),
            };
            self.received.push(message);
        }
    }
}

fn result(outcome: &Outcome, content: bool) -> SessionMessage {
    SessionMessage::Result {
        id: outcome.id,
        code: outcome.code.0,
        data: outcome.data.get().to_owned(),
        output: outcome.output.clone(),
        content,
    }
}

impl End for ClientEnd {
    fn receive(&mut self, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            match std::mem::replace(&mut self.state, ClientState::Moving) {
                ClientState::Login(login) => {
                    if !self.log_in(*login) {
                        return;
                    }
                }
                ClientState::Live(live) => return self.listen(live),
                ClientState::Moving => panic!("the client failed before"),
            }
        }
    }

    fn send_message(&mut self, message: &SessionMessage) {
        let ClientState::Live(live) = &mut self.state else {
            panic!("no session yet")
        };
        let session = &mut live.session;
        self.tape.purpose("new keys", tape::SHARE);
        match message {
            SessionMessage::Operation {
                id,
                group,
                command,
                params,
                content,
            } => {
                let operation = Operation::new(*id, group, command, json(params));
                match content {
                    true => session.send_operation_with_content(&operation),
                    false => session.send_operation(&operation),
                }
                .unwrap();
            }
            SessionMessage::Content { id, bytes } => session.send_content(*id, bytes.0.clone()),
            SessionMessage::ContentEnd { id } => session.end_content(*id),
            SessionMessage::OfferKeys(option) => {
                let offered = session.offer_keys(option.parse().unwrap(), &mut self.tape);
                assert!(offered.unwrap());
            }
            SessionMessage::AcceptKeys => {
                let offer = self.offered.take().unwrap();
                assert!(session.answer_keys(&offer, &mut self.tape).unwrap());
            }
            SessionMessage::Goodbye(1) => session.send_goodbye(Goodbye::Done).unwrap(),
            other => panic!("a client does not send {other:?}"),
        }
    }

    fn take_output(&mut self) -> Vec<u8> {
        if let ClientState::Live(live) = &mut self.state {
            live.session.flush(&mut self.outbox).unwrap();
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

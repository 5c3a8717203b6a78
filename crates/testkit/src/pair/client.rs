//! The client's end.

use countersign_proto::operation::Operation;
use countersign_proto::session::client::{
    self, ClientLoginAttempt, ClientStep, FromSite, LoggedIn,
};
use countersign_proto::session::{Inbox, LoginError, SessionRefusal};

use super::Who;
use crate::entropy::SeededEntropy;

/// How a client's connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The login failed.
    Failed(LoginError),
    /// The session was broken off by this end.
    Broken(SessionRefusal),
    /// The connection ended, by the other end or by somebody in between.
    Lost,
}

enum State {
    Login(Box<ClientLoginAttempt>),
    Live(Box<LoggedIn>),
    Over(Over),
}

/// A client that logs in, and what came of it.
pub struct Client {
    state: State,
    entropy: SeededEntropy,
    inbox: Inbox,
    outbox: Vec<u8>,
    heard: Vec<FromSite>,
    opened: bool,
    used: usize,
    accepted: usize,
}

impl Client {
    /// A client whose first flight waits to be sent.
    #[must_use]
    pub fn new(settings: client::ClientSettings, who: Who<'_>, mut entropy: SeededEntropy) -> Self {
        let mut outbox = Vec::new();
        let login = match who {
            Who::Person { name, passphrase } => ClientLoginAttempt::person(
                settings,
                name.parse().unwrap(),
                passphrase.to_owned().into(),
                &mut entropy,
                &mut outbox,
            ),
            Who::Service(identity) => {
                ClientLoginAttempt::service(settings, identity.clone(), &mut entropy, &mut outbox)
            }
            Who::Returning(resumption) => {
                ClientLoginAttempt::resume(settings, resumption.clone(), &mut entropy, &mut outbox)
            }
        };
        let state = match login {
            Ok(login) => State::Login(Box::new(login)),
            Err(error) => State::Over(Over::Failed(error)),
        };
        Self {
            state,
            entropy,
            inbox: Inbox::default(),
            outbox,
            heard: Vec::new(),
            opened: false,
            used: 0,
            accepted: 0,
        }
    }

    /// Takes what arrived, and does all that can be done with it.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            let (state, again) = match std::mem::replace(&mut self.state, State::Over(Over::Lost)) {
                State::Login(login) => self.log_in(*login),
                State::Live(live) => (self.listen(live), false),
                over @ State::Over(_) => (over, false),
            };
            self.state = state;
            if !again {
                return;
            }
        }
    }

    /// Goes on with the login; says whether there may be more to do.
    fn log_in(&mut self, login: ClientLoginAttempt) -> (State, bool) {
        let received = login.receive(self.inbox.unread(), &mut self.entropy, &mut self.outbox);
        let (step, used) = match received {
            Ok(received) => received,
            Err(error) => return (State::Over(Over::Failed(error)), false),
        };
        self.inbox.consume(used);
        self.used += used;
        match step {
            ClientStep::NeedMore(login) => (State::Login(Box::new(login)), false),
            ClientStep::Stretch(stretch) => {
                match stretch.run(&mut self.entropy, &mut self.outbox) {
                    Ok(login) => (State::Login(Box::new(login)), true),
                    Err(error) => (State::Over(Over::Failed(error)), false),
                }
            }
            ClientStep::LoggedIn(live) => {
                self.opened = true;
                self.accepted = self.used;
                (State::Live(Box::new(live)), true)
            }
        }
    }

    fn listen(&mut self, mut live: Box<LoggedIn>) -> State {
        match live.session.receive(self.inbox.unread(), &mut self.heard) {
            Ok(used) => {
                self.inbox.consume(used);
                self.used += used;
                self.accepted = self.used;
                State::Live(live)
            }
            Err(refusal) => State::Over(Over::Broken(refusal)),
        }
    }

    /// Asks for an operation, in a packet of its own. Nothing happens unless a session is live.
    pub fn ask(&mut self, operation: &Operation) {
        if let State::Live(live) = &mut self.state {
            live.session.send_operation(operation).unwrap();
            live.session.flush(&mut self.outbox).unwrap();
        }
    }

    /// Learns that the connection has ended.
    pub fn lose(&mut self) {
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(Over::Lost);
        }
    }

    /// The login's result while the session is live.
    #[must_use]
    pub fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.state {
            State::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether its session is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.logged_in().is_some()
    }

    /// Whether it ever had a session.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.opened
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn over(&self) -> Option<&Over> {
        match &self.state {
            State::Over(over) => Some(over),
            _ => None,
        }
    }

    /// All that the site said inside the session.
    #[must_use]
    pub fn heard(&self) -> &[FromSite] {
        &self.heard
    }

    /// How many of the bytes that arrived it had used when it last took something for proved.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// What waits to be sent.
    pub fn take_outbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }
}

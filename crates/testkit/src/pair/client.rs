//! The client of a [`Pair`](super::Pair).

use countersign_proto::operation::Operation;
use countersign_proto::session::client::{
    self, ClientLoginAttempt, ClientStep, FromSite, LoggedIn,
};
use countersign_proto::session::{Inbox, LoginError, SessionRefusal};

use super::Who;
use crate::entropy::SeededEntropy;

/// Why a client's connection closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientClosed {
    /// The login failed.
    Failed(LoginError),
    /// The client ended the session because of an invalid packet or message.
    Aborted(SessionRefusal),
    /// The client has to connect again to follow the site's key events.
    Reconnects,
    /// The server or the network ended the connection.
    Lost,
}

enum State {
    Login(Box<ClientLoginAttempt>),
    Live(Box<LoggedIn>),
    Closed(ClientClosed),
}

/// A client that logs in, and its session.
pub struct Client {
    state: State,
    entropy: SeededEntropy,
    inbox: Inbox,
    outbox: Vec<u8>,
    received: Vec<FromSite>,
    had_session: bool,
    used: usize,
    accepted: usize,
}

impl Client {
    /// A client. Its first flight is in the outbox.
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
            Who::Resuming(resumption) => {
                ClientLoginAttempt::resume(settings, resumption.clone(), &mut entropy, &mut outbox)
            }
        };
        let state = match login {
            Ok(login) => State::Login(Box::new(login)),
            Err(error) => State::Closed(ClientClosed::Failed(error)),
        };
        Self {
            state,
            entropy,
            inbox: Inbox::default(),
            outbox,
            received: Vec::new(),
            had_session: false,
            used: 0,
            accepted: 0,
        }
    }

    /// Processes bytes that arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            let (state, again) =
                match std::mem::replace(&mut self.state, State::Closed(ClientClosed::Lost)) {
                    State::Login(login) => self.log_in(*login),
                    State::Live(live) => (self.listen(live), false),
                    closed @ State::Closed(_) => (closed, false),
                };
            self.state = state;
            if !again {
                return;
            }
        }
    }

    /// Continues the login. Returns whether there may be more bytes to process.
    fn log_in(&mut self, login: ClientLoginAttempt) -> (State, bool) {
        let result = login.receive(self.inbox.unread(), &mut self.entropy, &mut self.outbox);
        let (step, used) = match result {
            Ok(received) => received,
            Err(error) => return (State::Closed(ClientClosed::Failed(error)), false),
        };
        self.inbox.consume(used);
        self.used += used;
        match step {
            ClientStep::NeedMore(login) => (State::Login(Box::new(login)), false),
            ClientStep::Stretch(stretch) => {
                match stretch.run(&mut self.entropy, &mut self.outbox) {
                    Ok(login) => (State::Login(Box::new(login)), true),
                    Err(error) => (State::Closed(ClientClosed::Failed(error)), false),
                }
            }
            ClientStep::Reconnect(_) => (State::Closed(ClientClosed::Reconnects), false),
            ClientStep::LoggedIn(live) => {
                self.had_session = true;
                self.accepted = self.used;
                (State::Live(Box::new(live)), true)
            }
        }
    }

    fn listen(&mut self, mut live: Box<LoggedIn>) -> State {
        match live
            .session
            .receive(self.inbox.unread(), &mut self.received)
        {
            Ok(used) => {
                self.inbox.consume(used);
                self.used += used;
                self.accepted = self.used;
                State::Live(live)
            }
            Err(refusal) => State::Closed(ClientClosed::Aborted(refusal)),
        }
    }

    /// Sends an operation in a packet of its own. Does nothing without a session.
    pub fn send_operation(&mut self, operation: &Operation) {
        if let State::Live(live) = &mut self.state {
            live.session.send_operation(operation).unwrap();
            live.session.flush(&mut self.outbox).unwrap();
        }
    }

    /// The connection has ended.
    pub fn disconnect(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(ClientClosed::Lost);
        }
    }

    /// The login's result, while the session is live.
    #[must_use]
    pub fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.state {
            State::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether it has a session.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.logged_in().is_some()
    }

    /// Whether it ever had a session.
    #[must_use]
    pub fn had_session(&self) -> bool {
        self.had_session
    }

    /// Why the connection closed; `None` while it is open.
    #[must_use]
    pub fn closed(&self) -> Option<&ClientClosed> {
        match &self.state {
            State::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// The messages that it received in the session.
    #[must_use]
    pub fn received(&self) -> &[FromSite] {
        &self.received
    }

    /// The number of received bytes, from the first one on, that it accepted as authenticated.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// Takes the bytes that are to be sent.
    pub fn take_outbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }
}

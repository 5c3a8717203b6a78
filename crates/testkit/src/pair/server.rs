//! The server of a [`Pair`](super::Pair). The result of each operation is the operation's own
//! parameters.

use std::sync::Arc;

use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::server::{
    AccountTag, Authenticated, AuthenticatedBy, FromClient, LookUp, ServerLoginAttempt,
    ServerSession, ServerStep,
};
use countersign_proto::session::{Inbox, SessionId, SessionRefusal, Welcome};

use crate::entropy::SeededEntropy;
use crate::site::Site;

/// Why a server's connection closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerClosed {
    /// The server ended it.
    Refused(SessionRefusal),
    /// The server refused the login in an encrypted packet.
    RefusedInside,
    /// The client or the network ended the connection.
    Lost,
}

enum State {
    Login(Box<ServerLoginAttempt>),
    Live(Box<ServerSession>),
    Closed(ServerClosed),
}

/// A connection at the server, and its session.
pub struct Server<'a> {
    site: &'a Site,
    state: State,
    entropy: SeededEntropy,
    inbox: Inbox,
    outbox: Vec<u8>,
    received: Vec<FromClient>,
    session_account: Option<AccountTag>,
    used: usize,
    accepted: usize,
    expires: u64,
}

impl<'a> Server<'a> {
    /// A new connection. Its session will expire at `expires`, in milliseconds of virtual time.
    #[must_use]
    pub fn new(site: &'a Site, entropy: SeededEntropy, expires: u64) -> Self {
        Self {
            state: State::Login(Box::new(ServerLoginAttempt::new(Arc::clone(
                &site.settings,
            )))),
            site,
            entropy,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            received: Vec::new(),
            session_account: None,
            used: 0,
            accepted: 0,
            expires,
        }
    }

    /// Processes bytes that arrived at `now`, in milliseconds of virtual time.
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            let (state, again) =
                match std::mem::replace(&mut self.state, State::Closed(ServerClosed::Lost)) {
                    State::Login(login) => match self.log_in(*login) {
                        Ok(state) => {
                            let live = matches!(state, State::Live(_));
                            (state, live)
                        }
                        Err(refusal) => {
                            self.outbox.extend(refusal.wire().to_wire());
                            (State::Closed(ServerClosed::Refused(refusal)), false)
                        }
                    },
                    State::Live(mut session) => match self.listen(&mut session, now) {
                        Ok(()) => (State::Live(session), false),
                        Err(refusal) => (State::Closed(ServerClosed::Refused(refusal)), false),
                    },
                    closed @ State::Closed(_) => (closed, false),
                };
            self.state = state;
            if !again {
                return;
            }
        }
    }

    fn log_in(&mut self, mut login: ServerLoginAttempt) -> Result<State, SessionRefusal> {
        loop {
            let (step, used) = login.receive(self.inbox.unread(), &mut self.outbox)?;
            self.inbox.consume(used);
            self.used += used;
            login = match step {
                ServerStep::NeedMore(login) => return Ok(State::Login(Box::new(login))),
                ServerStep::Refused => return Ok(State::Closed(ServerClosed::RefusedInside)),
                ServerStep::LookUp(LookUp::Person(find)) => {
                    let known = self.site.person(&find.name().to_string());
                    find.answer(known.as_ref(), &mut self.entropy, &mut self.outbox)?
                }
                ServerStep::LookUp(LookUp::Delivered(find)) => {
                    self.site
                        .deliver(*find, &mut self.entropy, &mut self.outbox)?
                }
                ServerStep::LookUp(LookUp::Session(find)) => {
                    let (account, secret) = match self.site.resumable() {
                        Some((account, secret)) => (Some(account), Some(secret)),
                        None => (None, None),
                    };
                    let claim = |attempt| account.filter(|_| self.site.claim(attempt));
                    let (entropy, out) = (&mut self.entropy, &mut self.outbox);
                    let resumed = find.answer(secret.as_ref(), claim, entropy, out)?;
                    return self.authenticated(resumed);
                }
                ServerStep::LookUp(LookUp::Service(find)) => {
                    let known = self.site.service(find.thumbprint());
                    find.answer(known.as_ref(), &mut self.entropy, &mut self.outbox)?
                }
                ServerStep::Authenticated(authenticated) => {
                    return self.authenticated(*authenticated);
                }
            };
        }
    }

    fn authenticated(&mut self, authenticated: Authenticated) -> Result<State, SessionRefusal> {
        let account = authenticated.account();
        let welcome = Welcome {
            session: SessionId([1; 16]),
            account: "account1@example.org".to_owned(),
            expires: self.expires,
            idle_limit: 0,
        };
        if !matches!(authenticated.how(), AuthenticatedBy::Session(..)) {
            self.site
                .session_opened(account, authenticated.resumption().clone());
        }
        let session = authenticated.welcome(&welcome, &mut self.outbox)?;
        self.session_account = Some(account);
        self.accepted = self.used;
        Ok(State::Live(Box::new(session)))
    }

    fn listen(&mut self, session: &mut ServerSession, now: u64) -> Result<(), SessionRefusal> {
        let before = self.received.len();
        let used = session.receive(now, self.inbox.unread(), &mut self.received)?;
        self.inbox.consume(used);
        self.used += used;
        self.accepted = self.used;
        for message in &self.received[before..] {
            match message {
                FromClient::Operation(operation) => session.send_outcome(&Outcome {
                    id: operation.id,
                    code: Code::SUCCESS,
                    data: operation.params.clone(),
                    output: String::new(),
                })?,
                FromClient::KeyOffer(offer) => {
                    let options = &self.site.settings.options;
                    session.answer_keys(offer, options, self.expires, &mut self.entropy)?;
                }
                _ => {}
            }
        }
        session.flush(&mut self.outbox)
    }

    /// The connection has ended.
    pub fn disconnect(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(ServerClosed::Lost);
        }
    }

    /// Whether it has a session.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    /// The account of the session, also after the session ended. `None` if there was no session.
    #[must_use]
    pub fn session_account(&self) -> Option<AccountTag> {
        self.session_account
    }

    /// Why the connection closed; `None` while it is open.
    #[must_use]
    pub fn closed(&self) -> Option<&ServerClosed> {
        match &self.state {
            State::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// The messages that it received in the session.
    #[must_use]
    pub fn received(&self) -> &[FromClient] {
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

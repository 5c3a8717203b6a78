//! The server's end. It answers every operation with its own parameters.

use std::sync::Arc;

use countersign_proto::operation::{Code, Outcome};
use countersign_proto::session::server::{
    AccountTag, Authenticated, AuthenticatedBy, FromClient, LookUp, ServerLoginAttempt,
    ServerSession, ServerStep,
};
use countersign_proto::session::{Inbox, SessionId, SessionRefusal, Welcome};

use crate::entropy::SeededEntropy;
use crate::site::Site;

/// How a server's connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// This end ended it.
    Refused(SessionRefusal),
    /// The client was refused inside the session.
    RefusedInside,
    /// The connection ended, by the other end or by somebody in between.
    Lost,
}

enum State {
    Login(Box<ServerLoginAttempt>),
    Live(Box<ServerSession>),
    Over(Over),
}

/// A connection at the server, and what came of it.
pub struct Server<'a> {
    site: &'a Site,
    state: State,
    entropy: SeededEntropy,
    inbox: Inbox,
    outbox: Vec<u8>,
    heard: Vec<FromClient>,
    opened: Option<AccountTag>,
    used: usize,
    accepted: usize,
    expires: u64,
}

impl<'a> Server<'a> {
    /// A fresh connection, whose session will expire at `expires` (milliseconds of virtual time).
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
            heard: Vec::new(),
            opened: None,
            used: 0,
            accepted: 0,
            expires,
        }
    }

    /// Takes what arrived at `now`, and does all that can be done with it.
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        self.inbox.tail(bytes.len()).extend_from_slice(bytes);
        loop {
            let (state, again) = match std::mem::replace(&mut self.state, State::Over(Over::Lost)) {
                State::Login(login) => match self.log_in(*login) {
                    Ok(state) => {
                        let live = matches!(state, State::Live(_));
                        (state, live)
                    }
                    Err(refusal) => {
                        self.outbox.extend(refusal.wire().to_wire());
                        (State::Over(Over::Refused(refusal)), false)
                    }
                },
                State::Live(mut session) => match self.listen(&mut session, now) {
                    Ok(()) => (State::Live(session), false),
                    Err(refusal) => (State::Over(Over::Refused(refusal)), false),
                },
                over @ State::Over(_) => (over, false),
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
                ServerStep::Refused => return Ok(State::Over(Over::RefusedInside)),
                ServerStep::LookUp(LookUp::Person(find)) => {
                    let known = self.site.person(&find.name().to_string());
                    find.answer(known.as_ref(), &mut self.entropy, &mut self.outbox)?
                }
                ServerStep::LookUp(LookUp::Delivered(find)) => {
                    self.site
                        .deliver(*find, &mut self.entropy, &mut self.outbox)?
                }
                ServerStep::LookUp(LookUp::Session(find)) => {
                    let (account, secret) = match self.site.returnable() {
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
            account: "somebody@example.org".to_owned(),
            expires: self.expires,
            idle_limit: 0,
        };
        if !matches!(authenticated.how(), AuthenticatedBy::Session(..)) {
            self.site
                .opened(account, authenticated.resumption().clone());
        }
        let session = authenticated.welcome(&welcome, &mut self.outbox)?;
        self.opened = Some(account);
        self.accepted = self.used;
        Ok(State::Live(Box::new(session)))
    }

    fn listen(&mut self, session: &mut ServerSession, now: u64) -> Result<(), SessionRefusal> {
        let before = self.heard.len();
        let used = session.receive(now, self.inbox.unread(), &mut self.heard)?;
        self.inbox.consume(used);
        self.used += used;
        self.accepted = self.used;
        for message in &self.heard[before..] {
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

    /// Learns that the connection has ended.
    pub fn lose(&mut self) {
        if !matches!(self.state, State::Over(_)) {
            self.state = State::Over(Over::Lost);
        }
    }

    /// Whether its session is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    /// Whom it ever opened a session for.
    #[must_use]
    pub fn opened(&self) -> Option<AccountTag> {
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

    /// All that the client said inside the session.
    #[must_use]
    pub fn heard(&self) -> &[FromClient] {
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

//! A login attempt: passes bytes between the socket and the protocol, and does its lookups.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::accounts::CredentialId;
use countersign_core::lockdown::Activity;
use countersign_core::store::StoreError;
use countersign_core::throttle::Source;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::session::server::{self, FindDelivered, LookUp, Owner};
use countersign_proto::session::{Inbox, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::authenticated::{Authenticated, Login, Resuming};
use super::closed::Closed;
use super::socket::Socket;
use crate::admission::Admitted;
use crate::clock;
use crate::other_protocol::is_no_session;
use crate::runtime::counting::PendingLogin;
use crate::runtime::queue::Turn;
use crate::runtime::shared::Shared;

/// Bytes read from the socket at a time: a whole hybrid flight fits.
pub(super) const READ_AT_A_TIME: usize = 2_048;

/// An attempt to log in, or to resume a session.
pub(super) struct LoginAttempt<'a> {
    peer: IpAddr,
    admitted: &'a Admitted,
    source: Source,
    /// The source of the client; `None` if a trusted proxy names none.
    client: Option<Source>,
    shared: &'a Arc<Shared>,
    /// The account name, while a pass phrase is being verified.
    name: Option<String>,
    /// The credential with which the pass phrase is verified.
    credential: Option<CredentialId>,
    /// Counts as a failed login unless the client authenticates.
    pending: Option<PendingLogin>,
}

/// The next step of an attempt.
#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
enum Step {
    /// It needs more bytes.
    NeedMore(server::ServerLoginAttempt),
    /// It is complete.
    Done(Authenticated),
}

impl<'a> LoginAttempt<'a> {
    pub(super) fn new(peer: IpAddr, admitted: &'a Admitted, shared: &'a Arc<Shared>) -> Self {
        Self {
            peer,
            admitted,
            source: admitted.source(),
            client: admitted.client(),
            shared,
            name: None,
            credential: None,
            pending: None,
        }
    }

    /// Reads and replies until the client is authenticated or the attempt fails.
    pub(super) async fn run(
        mut self,
        socket: &mut impl Socket,
        inbox: &mut Inbox,
    ) -> Result<Authenticated, Closed> {
        let mut attempt = None;
        let mut out = Vec::new();
        loop {
            match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(Closed::Unreadable);
                }
                Ok(0) | Err(_) if attempt.is_none() && inbox.is_empty() => {
                    return Err(Closed::Silently);
                }
                Ok(0) | Err(_)
                    if attempt
                        .as_ref()
                        .is_some_and(server::ServerLoginAttempt::only_key_events) =>
                {
                    return Err(Closed::AfterKeyEvents);
                }
                Ok(0) | Err(_) => return Err(Closed::ByClient),
                Ok(_) => self.admitted.byte_received(),
            }
            if attempt.is_none() && is_no_session(inbox.unread()) {
                return Err(Closed::OtherProtocol);
            }
            // Whatever the client is about to ask for, it is at least this.
            self.expect_permitted(Activity::Resumption)?;
            let attempt_state = match attempt.take() {
                Some(attempt_state) => attempt_state,
                None => match self.shared.login_settings() {
                    Some(settings) => server::ServerLoginAttempt::new(settings),
                    None => return Err(Closed::Unserved(WireError::Sealed)),
                },
            };
            // A connection mostly waits for bytes, and does so without the memory for these steps.
            let advancing = self.advance(attempt_state, inbox, socket, &mut out);
            let step = Box::pin(advancing).await;
            // Also send the output from before the attempt failed.
            if !out.is_empty() && socket.write_all(&out).await.is_err() {
                return Err(Closed::ByClient);
            }
            out.clear();
            match step? {
                Step::NeedMore(attempt_state) => attempt = Some(attempt_state),
                Step::Done(authenticated) => return Ok(authenticated),
            }
        }
    }

    /// Passes received bytes to the protocol and does its lookups, until it needs more bytes.
    async fn advance(
        &mut self,
        mut attempt: server::ServerLoginAttempt,
        inbox: &mut Inbox,
        socket: &mut impl Socket,
        out: &mut Vec<u8>,
    ) -> Result<Step, Closed> {
        let shared = self.shared;
        loop {
            // Public-key work waits for its network's turn, so that a flood of logins does not delay logins
            // of other networks and open sessions.
            let turn = self.turn().await?;
            let (step, used) = attempt.receive(inbox.unread(), out)?;
            inbox.consume(used);
            let look_up = match step {
                server::ServerStep::NeedMore(attempt) => return Ok(Step::NeedMore(attempt)),
                server::ServerStep::Refused => return Err(Closed::RefusedInside),
                server::ServerStep::Authenticated(authenticated) => {
                    let login = Login {
                        authenticated,
                        name: self.name.take(),
                        credential: self.credential.take(),
                        pending: self.pending.take(),
                        client: self.client,
                    };
                    return Ok(Step::Done(Authenticated::Login(Box::new(login))));
                }
                server::ServerStep::LookUp(look_up) => look_up,
            };
            self.admitted.first_flight_received();
            self.expect_permitted(match &look_up {
                LookUp::Session(_) => Activity::Resumption,
                LookUp::Person(_) => Activity::PersonLogin,
                LookUp::Delivered(_) => Activity::DeliveredKeyLogin,
                LookUp::Service(_) => Activity::ServiceLogin,
            })?;
            attempt = match look_up {
                LookUp::Session(find) => {
                    let resuming = Resuming::answer(*find, shared, out)?;
                    return Ok(Step::Done(Authenticated::Resuming(Box::new(resuming))));
                }
                LookUp::Person(find) => {
                    drop(turn);
                    self.slow_down(find.name().to_string(), socket).await?;
                    let found = self.in_constant_time(shared.person(find.name())).await?;
                    let (found, credential) = found.unzip();
                    self.credential = credential;
                    let _turn = self.turn().await?;
                    find.answer(found.as_ref(), &mut SystemEntropy, out)?
                }
                LookUp::Delivered(find) => {
                    drop(turn);
                    self.delivered(*find, socket, out).await?
                }
                LookUp::Service(find) => {
                    drop(turn);
                    self.begins(format!("key {}", find.thumbprint()));
                    let found = self
                        .in_constant_time(shared.service(find.thumbprint()))
                        .await?;
                    let _turn = self.turn().await?;
                    find.answer(found.as_ref(), &mut SystemEntropy, out)?
                }
            };
            tokio::task::yield_now().await;
        }
    }

    /// Refuses what a lockdown of the site refuses, whatever the name: the client learns nothing
    /// about accounts. An account in lockdown is refused like a locked one, after authentication.
    fn expect_permitted(&self, activity: Activity) -> Result<(), Closed> {
        match self.shared.site.permits(activity) {
            true => Ok(()),
            false => Err(Closed::Unserved(WireError::Lockdown)),
        }
    }

    /// Replies to an attempt with the option `delivered-key`.
    async fn delivered(
        &mut self,
        find: FindDelivered,
        socket: &mut impl Socket,
        out: &mut Vec<u8>,
    ) -> Result<server::ServerLoginAttempt, Closed> {
        let shared = self.shared;
        let entropy = &mut SystemEntropy;
        match find.owner().clone() {
            Owner::Person(name) => {
                self.slow_down(name.to_string(), socket).await?;
                let found = self.in_constant_time(shared.delivered(&name)).await?;
                let _turn = self.turn().await?;
                Ok(find.answer_person(found.as_ref(), entropy, out)?)
            }
            Owner::Service(thumbprint) => {
                self.begins(format!("key {thumbprint}"));
                let found = self.in_constant_time(shared.service(&thumbprint)).await?;
                let _turn = self.turn().await?;
                Ok(find.answer_service(found.as_ref(), entropy, out)?)
            }
        }
    }

    /// Runs a lookup for at least [`Limits::lookup_time`](crate::limits::Limits::lookup_time), so that its
    /// time does not reveal whether the account exists.
    async fn in_constant_time<T>(
        &self,
        look_up: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Closed> {
        let given = tokio::time::sleep(self.shared.limits().lookup_time);
        let (found, ()) = tokio::join!(look_up, given);
        // The error of the store is in the log; the client gets "busy".
        found.map_err(|_| Closed::Unserved(WireError::Busy))
    }

    /// Waits for a turn of the source's network to do public-key work.
    async fn turn(&self) -> Result<Turn, Closed> {
        let turn = self.shared.logins.turn(self.source.network()).await;
        turn.ok_or(Closed::Unserved(WireError::Busy))
    }

    /// Records that the login gets a reply from here on: it counts as failed unless the client
    /// authenticates.
    fn begins(&mut self, name: String) {
        if self.pending.is_none() {
            let shared = self.shared.clone();
            let address = self.client.map(|_| self.peer);
            self.pending = Some(PendingLogin::new(shared, address, self.source, name));
        }
    }

    /// Registers the attempt at the login throttle and waits for the delay that it requires.
    async fn slow_down(&mut self, name: String, socket: &mut impl Socket) -> Result<(), Closed> {
        let now = clock::now();
        let wait = {
            let mut logins = self.shared.site.throttle().logins();
            match self.client {
                Some(source) => logins.attempt(&name, source, now),
                None => logins.attempt_of_unnamed(&name, now),
            }
        };
        let wait = wait.map_err(|_| Closed::TooManyOfName)?;
        self.name = Some(name.clone());
        self.begins(name.clone());
        if wait == 0 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => Ok(()),
            () = poll_fn(|context| socket.poll_closed(context)) => {
                let mut logins = self.shared.site.throttle().logins();
                match self.client {
                    Some(source) => logins.left(&name, source),
                    None => logins.unnamed_left(&name, now.plus_millis(wait)),
                }
                Err(Closed::ByClient)
            }
        }
    }
}

//! A login attempt: socket in, look-ups in between, socket out.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::accounts::CredentialId;
use countersign_core::store::StoreError;
use countersign_core::throttle::Source;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::session::server::{self, FindDelivered, LookUp, Owner};
use countersign_proto::session::{Inbox, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::authenticated::{Authenticated, Login, Resuming};
use super::closed::Closed;
use crate::admission::Admitted;
use crate::clock;
use crate::counting::Guess;
use crate::queue::Turn;
use crate::shared::Shared;

/// Bytes asked of the socket at a time: a whole hybrid flight.
pub(super) const READ_AT_A_TIME: usize = 2_048;

/// An attempt to log in, or to resume a session.
pub(super) struct LoginAttempt<'a> {
    admitted: &'a Admitted,
    source: Source,
    shared: &'a Arc<Shared>,
    /// Whose pass phrase is being proved.
    name: Option<String>,
    /// The credential with which that is verified.
    credential: Option<CredentialId>,
    /// Until it is proved: what has failed otherwise.
    guess: Option<Guess>,
}

/// What an attempt needs next.
#[allow(
    clippy::large_enum_variant,
    reason = "the large variant is the common one"
)]
enum Step {
    /// More bytes.
    NeedMore(server::ServerLoginAttempt),
    /// Nothing.
    Done(Authenticated),
}

impl<'a> LoginAttempt<'a> {
    pub(super) fn new(admitted: &'a Admitted, shared: &'a Arc<Shared>) -> Self {
        Self {
            admitted,
            source: admitted.source(),
            shared,
            name: None,
            credential: None,
            guess: None,
        }
    }

    /// Reads and answers until the client is authenticated or the attempt is over.
    pub(super) async fn run(
        mut self,
        socket: &mut TcpStream,
        inbox: &mut Inbox,
    ) -> Result<Authenticated, Closed> {
        let mut attempt = None;
        let mut out = Vec::new();
        loop {
            match socket.read_buf(inbox.tail(READ_AT_A_TIME)).await {
                Ok(0) | Err(_) if attempt.is_none() && inbox.is_empty() => {
                    return Err(Closed::Silently);
                }
                Ok(0) | Err(_) => return Err(Closed::ByClient),
                Ok(_) => {}
            }
            let machine = match attempt.take() {
                Some(machine) => machine,
                None => match self.shared.login_settings() {
                    Some(settings) => server::ServerLoginAttempt::new(settings),
                    None => return Err(Closed::Unserved(WireError::Sealed)),
                },
            };
            let step = self.advance(machine, inbox, socket, &mut out).await;
            // Also what was answered before the attempt failed.
            if !out.is_empty() && socket.write_all(&out).await.is_err() {
                return Err(Closed::ByClient);
            }
            out.clear();
            match step? {
                Step::NeedMore(machine) => attempt = Some(machine),
                Step::Done(authenticated) => return Ok(authenticated),
            }
        }
    }

    /// Feeds the machine what arrived, looking up what it asks for, until it needs more bytes.
    async fn advance(
        &mut self,
        mut attempt: server::ServerLoginAttempt,
        inbox: &mut Inbox,
        socket: &TcpStream,
        out: &mut Vec<u8>,
    ) -> Result<Step, Closed> {
        let shared = self.shared;
        loop {
            // Public-key work waits for its source's turn, so that a flood of logins leaves time for those
            // of others and for the sessions that are open.
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
                        guess: self.guess.take(),
                        source: self.source,
                    };
                    return Ok(Step::Done(Authenticated::Login(Box::new(login))));
                }
                server::ServerStep::LookUp(look_up) => look_up,
            };
            self.admitted.heard();
            attempt = match look_up {
                LookUp::Session(find) => {
                    let resuming = Resuming::answer(*find, shared, out)?;
                    return Ok(Step::Done(Authenticated::Resuming(Box::new(resuming))));
                }
                LookUp::Person(find) => {
                    drop(turn);
                    self.slow_down(find.name().to_string(), socket).await?;
                    let found = self.in_its_time(shared.person(find.name())).await?;
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
                    self.begins(format!("key {}", find.thumbprint()), socket);
                    let found = self.in_its_time(shared.service(find.thumbprint())).await?;
                    let _turn = self.turn().await?;
                    find.answer(found.as_ref(), &mut SystemEntropy, out)?
                }
            };
            tokio::task::yield_now().await;
        }
    }

    /// Answers with the option `delivered-key`.
    async fn delivered(
        &mut self,
        find: FindDelivered,
        socket: &TcpStream,
        out: &mut Vec<u8>,
    ) -> Result<server::ServerLoginAttempt, Closed> {
        let shared = self.shared;
        let entropy = &mut SystemEntropy;
        match find.owner().clone() {
            Owner::Person(name) => {
                self.slow_down(name.to_string(), socket).await?;
                let found = self.in_its_time(shared.delivered(&name)).await?;
                let _turn = self.turn().await?;
                Ok(find.answer_person(found.as_ref(), entropy, out)?)
            }
            Owner::Service(thumbprint) => {
                self.begins(format!("key {thumbprint}"), socket);
                let found = self.in_its_time(shared.service(&thumbprint)).await?;
                let _turn = self.turn().await?;
                Ok(find.answer_service(found.as_ref(), entropy, out)?)
            }
        }
    }

    /// Looks a name up, and lets it take the time that it takes for every name.
    async fn in_its_time<T>(
        &self,
        look_up: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Closed> {
        let given = tokio::time::sleep(self.shared.limits().lookup_time);
        let (found, ()) = tokio::join!(look_up, given);
        // The store is in trouble: its error is in the log, the client is asked to come again.
        found.map_err(|_| Closed::Unserved(WireError::Busy))
    }

    /// Waits for its source's turn to do public-key work.
    async fn turn(&self) -> Result<Turn, Closed> {
        let turn = self.shared.logins.turn(self.source.network()).await;
        turn.ok_or(Closed::Unserved(WireError::Busy))
    }

    /// A login with that name or key is answered from here on: unless it is proved, it failed.
    fn begins(&mut self, name: String, socket: &TcpStream) {
        // Without an address the connection is gone, and nothing is answered.
        if let (None, Ok(peer)) = (&self.guess, socket.peer_addr()) {
            let shared = self.shared.clone();
            self.guess = Some(Guess::new(shared, peer.ip(), self.source, name));
        }
    }

    /// Counts a guess at a name and waits for as long as it has to; other attempts go on meanwhile.
    async fn slow_down(&mut self, name: String, socket: &TcpStream) -> Result<(), Closed> {
        let wait = {
            let mut logins = self.shared.site.throttle().logins();
            logins.attempt(&name, self.source, clock::now())
        };
        let wait = wait.map_err(|_| Closed::TooManyOfName)?;
        self.name = Some(name.clone());
        self.begins(name.clone(), socket);
        if wait == 0 {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => Ok(()),
            () = closed(socket) => {
                self.shared.site.throttle().logins().left(&name, self.source);
                Err(Closed::ByClient)
            }
        }
    }
}

/// Waits until the peer closes the connection; for ever when it says something more.
async fn closed(socket: &TcpStream) {
    if !matches!(socket.peek(&mut [0]).await, Ok(0) | Err(_)) {
        std::future::pending::<()>().await;
    }
}

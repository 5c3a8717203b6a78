//! A session as an application sees it: calls that return, events that come.

use std::sync::atomic::{AtomicU64, Ordering};

use countersign_crypto::identity::Identity;
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::client::Session;
use countersign_proto::session::{Inbox, Welcome};
use countersign_proto::uri::SiteUri;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use crate::connect::{Connector, Who};
use crate::connection::{Ask, Connection};
use crate::error::{CallError, ConnectError};
use crate::results::{Events, Results};

/// Operations that may wait for the connection's task.
const QUEUE: usize = 1_024;
/// Events kept for a subscriber that is slow to read them.
const EVENTS_KEPT: usize = 256;

/// An open session. Calls may be made from many tasks at once; all share the connection.
pub struct Client {
    asks: mpsc::Sender<Ask>,
    events: broadcast::WeakSender<Event>,
    next_id: AtomicU64,
    welcome: Welcome,
    identity: Option<Box<Identity>>,
    task: JoinHandle<()>,
}

impl Client {
    /// Connects and logs in with the defaults of [`Connector`].
    ///
    /// # Errors
    /// A [`ConnectError`].
    pub async fn connect(site: &SiteUri, who: Who) -> Result<Self, ConnectError> {
        Connector::new(site).connect(who).await
    }

    pub(crate) fn over(
        socket: TcpStream,
        inbox: Inbox,
        session: Session,
        welcome: Welcome,
        identity: Option<Box<Identity>>,
    ) -> Self {
        let (asks, asked) = mpsc::channel(QUEUE);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let weak = events.downgrade();
        let connection = Connection {
            socket,
            inbox,
            session,
            asks: asked,
            events,
        };
        let task = tokio::spawn(connection.run());
        Self {
            asks,
            events: weak,
            next_id: AtomicU64::new(1),
            welcome,
            identity,
            task,
        }
    }

    /// What the site said first: the session's id, the account, the expiry.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The person's own identity, recovered with the pass phrase; `None` for a service.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Runs an operation and reads its data.
    ///
    /// # Errors
    /// [`CallError::Failed`] when the operation failed; the others when it has no result.
    pub async fn call<P: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        group: &str,
        command: &str,
        params: &P,
    ) -> Result<R, CallError> {
        let params = serde_json::value::to_raw_value(params).map_err(CallError::Params)?;
        let outcome = self.outcome(group, command, params).await?;
        if outcome.code != Code::SUCCESS {
            return Err(CallError::failed(&outcome));
        }
        serde_json::from_str(outcome.data.get()).map_err(CallError::Unexpected)
    }

    /// Runs an operation and gives its result as it came, whether it succeeded or not.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when there is no result.
    pub async fn outcome(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
    ) -> Result<Outcome, CallError> {
        let mut results = self.send([(group, command, params)]).await?;
        results.next().await.unwrap_or(Err(CallError::Lost))
    }

    /// Sends operations without waiting for any; their results come in any order, each with the id
    /// that counts up from the first one's.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the session is over already.
    pub async fn send<'a>(
        &self,
        operations: impl IntoIterator<Item = (&'a str, &'a str, Box<RawValue>)>,
    ) -> Result<Results, CallError> {
        let (reply, results) = mpsc::unbounded_channel();
        let mut left = 0;
        for (group, command, params) in operations {
            let operation = Operation {
                id: self.next_id.fetch_add(1, Ordering::Relaxed),
                group: group.to_owned(),
                command: command.to_owned(),
                params,
            };
            let ask = Ask::Call(operation, reply.clone());
            self.asks.send(ask).await.map_err(|_| CallError::Lost)?;
            left += 1;
        }
        Ok(Results { left, results })
    }

    /// Follows the events of this session from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let events = match self.events.upgrade() {
            Some(events) => events.subscribe(),
            // The session is over: a channel that is closed already.
            None => broadcast::channel(1).1,
        };
        Events { events }
    }

    /// Says goodbye and waits until that is sent.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the connection was gone already.
    pub async fn close(self) -> Result<(), CallError> {
        self.asks
            .send(Ask::Close)
            .await
            .map_err(|_| CallError::Lost)?;
        self.task.await.map_err(|_| CallError::Lost)
    }
}

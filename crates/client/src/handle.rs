//! The handle of a session, as an application holds it: calls that return, events that come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_crypto::site_key::SitePublicKey;
use countersign_proto::operation::{Code, Event, Operation, Outcome};
use countersign_proto::session::{EncryptionOption, Goodbye, OptionList, Welcome};
use countersign_proto::uri::SiteUri;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::asks::Ask;
use crate::connector::{Connector, Opened, Who};
use crate::content::{Download, Upload};
use crate::error::{CallError, ConnectError};
use crate::results::{Events, Results};
use crate::task::SessionTask;

/// Operations that may wait for the session's task.
const QUEUE: usize = 1_024;
/// Events kept for a subscriber that is slow to read them.
const EVENTS_KEPT: usize = 256;

/// An open session. Calls may be made from many tasks at once; all share the connection.
pub struct Client {
    asks: mpsc::Sender<Ask>,
    events: broadcast::WeakSender<Event>,
    next_id: AtomicU64,
    welcome: watch::Receiver<Welcome>,
    identity: Option<Box<Identity>>,
    delivered: Option<Box<DeliveredKey>>,
    ended: Arc<OnceLock<Goodbye>>,
    site: SitePublicKey,
    task: JoinHandle<()>,
}

impl Connector {
    /// Connects and logs in.
    ///
    /// # Errors
    /// A [`ConnectError`]; after [`LoginError::WrongSite`] nothing secret was sent.
    ///
    /// [`LoginError::WrongSite`]: countersign_proto::session::LoginError::WrongSite
    pub async fn connect(&self, who: Who) -> Result<Client, ConnectError> {
        let opened = self.log_in(who).await?;
        Ok(Client::over(self.clone(), opened))
    }
}

impl Client {
    /// Connects and logs in with the defaults of [`Connector`].
    ///
    /// # Errors
    /// A [`ConnectError`].
    pub async fn connect(site: &SiteUri, who: Who) -> Result<Self, ConnectError> {
        Connector::new(site).connect(who).await
    }

    fn over(connector: Connector, mut opened: Opened) -> Self {
        let (asks, asked) = mpsc::channel(QUEUE);
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let weak = events.downgrade();
        let (telling, welcome) = watch::channel(opened.logged_in.welcome.clone());
        let identity = opened.logged_in.identity.take();
        let delivered = opened.logged_in.delivered.take();
        let ended = Arc::new(OnceLock::new());
        let site = *connector.site();
        let task = SessionTask {
            asks: asked,
            events,
            connector,
            welcome: telling,
            ended: ended.clone(),
        };
        let task = tokio::spawn(task.run(opened));
        Self {
            asks,
            events: weak,
            next_id: AtomicU64::new(1),
            welcome,
            identity,
            delivered,
            ended,
            site,
            task,
        }
    }

    /// What the site said first: the session's id, the account, the expiry. Once the session was resumed,
    /// what it said then.
    #[must_use]
    pub fn welcome(&self) -> Welcome {
        self.welcome.borrow().clone()
    }

    /// The person's own identity, recovered with the pass phrase; `None` for a service.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The person's certificate and encrypted key as the site delivered them, with the encryption option
    /// `delivered-key`; `None` with every other.
    #[must_use]
    pub fn delivered(&self) -> Option<&DeliveredKey> {
        self.delivered.as_deref()
    }

    /// The pinned key of the site.
    pub(crate) const fn site(&self) -> &SitePublicKey {
        &self.site
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
        results.next().await.unwrap_or_else(|| Err(self.end()))
    }

    /// Sends operations without waiting for any; their results come in any order, each with the id
    /// that counts up from the first one's.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when the session is over already.
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
            self.ask(ask).await?;
            left += 1;
        }
        Ok(Results { left, results })
    }

    /// Runs an operation that takes or gives content: its result as it came, and the content behind it.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when there is no result.
    pub async fn stream(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
        content: Option<Upload>,
    ) -> Result<(Outcome, Option<Download>), CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let operation = Operation::new(id, group, command, params);
        let (reply, answered) = oneshot::channel();
        self.ask(Ask::Stream(operation, content, reply)).await?;
        answered.await.map_err(|_| self.end())?
    }

    /// Agrees on fresh keys with the site, for the present encryption option or for another one. The
    /// client does so by itself before the keys expire. `false` when the site declines: the option is not
    /// on offer; also when other keys are being agreed on just now.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when the session is over.
    pub async fn renew_keys(&self, option: Option<EncryptionOption>) -> Result<bool, CallError> {
        let (reply, renewed) = oneshot::channel();
        self.ask(Ask::Rekey(option, reply)).await?;
        renewed.await.map_err(|_| self.end())?
    }

    /// The encryption options that the site has on offer now, in the order of their rank.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] when the session is over.
    pub async fn options(&self) -> Result<OptionList, CallError> {
        let (reply, options) = oneshot::channel();
        self.ask(Ask::Options(reply)).await?;
        options.await.map_err(|_| self.end())?
    }

    async fn ask(&self, ask: Ask) -> Result<(), CallError> {
        self.asks.send(ask).await.map_err(|_| self.end())
    }

    /// Why the site ended the session, if it did and said so.
    #[must_use]
    pub fn ended(&self) -> Option<Goodbye> {
        self.ended.get().copied()
    }

    /// What is to be said of a session that is over.
    fn end(&self) -> CallError {
        self.ended().map_or(CallError::Lost, CallError::Ended)
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
    /// [`CallError::Ended`] or [`CallError::Lost`] when the session was over already.
    pub async fn close(self) -> Result<(), CallError> {
        self.ask(Ask::Close).await?;
        self.task.await.map_err(|_| CallError::Lost)
    }
}

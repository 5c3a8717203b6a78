//! [`Client`]: the application's handle of a session.

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

use crate::connector::{Connector, LoginAs, Opened};
use crate::content::{Download, Upload};
use crate::error::{CallError, ConnectError};
use crate::requests::Request;
use crate::results::{Events, Results};
use crate::task::SessionTask;

/// Requests that may wait for the session's task.
const QUEUE_LENGTH: usize = 1_024;
/// Events that are queued for a slow subscriber.
const EVENT_QUEUE_LENGTH: usize = 256;

/// An open session. Many tasks may call it concurrently; all share one connection.
pub struct Client {
    requests: mpsc::Sender<Request>,
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
    /// A [`ConnectError`]. After [`LoginError::WrongSite`], no secret was sent.
    ///
    /// [`LoginError::WrongSite`]: countersign_proto::session::LoginError::WrongSite
    pub async fn connect(&self, who: LoginAs) -> Result<Client, ConnectError> {
        let opened = self.log_in(who).await?;
        Ok(Client::over(self.clone(), opened))
    }
}

impl Client {
    /// Connects and logs in with the defaults of [`Connector`].
    ///
    /// # Errors
    /// A [`ConnectError`].
    pub async fn connect(site: &SiteUri, who: LoginAs) -> Result<Self, ConnectError> {
        Connector::new(site).connect(who).await
    }

    fn over(connector: Connector, mut opened: Opened) -> Self {
        let (requests, asked) = mpsc::channel(QUEUE_LENGTH);
        let (events, _) = broadcast::channel(EVENT_QUEUE_LENGTH);
        let weak = events.downgrade();
        let (welcome_sender, welcome) = watch::channel(opened.logged_in.welcome.clone());
        let identity = opened.logged_in.identity.take();
        let delivered = opened.logged_in.delivered.take();
        let ended = Arc::new(OnceLock::new());
        let site = *connector.site();
        let task = SessionTask {
            requests: asked,
            events,
            connector,
            welcome: welcome_sender,
            ended: ended.clone(),
        };
        let task = tokio::spawn(task.run(opened));
        Self {
            requests,
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

    /// The site's welcome: session id, account, expiry. After a resumption, the new welcome.
    #[must_use]
    pub fn welcome(&self) -> Welcome {
        self.welcome.borrow().clone()
    }

    /// The person's identity, unsealed with the pass phrase; `None` for a service.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// The person's certificate and encrypted key as the site delivered them with the encryption
    /// option `delivered-key`; `None` with every other option.
    #[must_use]
    pub fn delivered(&self) -> Option<&DeliveredKey> {
        self.delivered.as_deref()
    }

    /// The pinned key of the site.
    pub(crate) const fn site(&self) -> &SitePublicKey {
        &self.site
    }

    /// Runs an operation and deserialises its result.
    ///
    /// # Errors
    /// [`CallError::Failed`] if the operation failed; another error if there is no result.
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

    /// Runs an operation and returns its result unchanged, whether it succeeded or not.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if there is no result.
    pub async fn outcome(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
    ) -> Result<Outcome, CallError> {
        let mut results = self.send([(group, command, params)]).await?;
        results.next().await.unwrap_or_else(|| Err(self.end()))
    }

    /// Sends several operations at once. Their ids are consecutive; their results arrive in any
    /// order.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
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
            let request = Request::Call(operation, reply.clone());
            self.request(request).await?;
            left += 1;
        }
        Ok(Results { left, results })
    }

    /// Runs an operation with content, or whose result has content. Returns the unchanged result
    /// and its content.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if there is no result.
    pub async fn stream(
        &self,
        group: &str,
        command: &str,
        params: Box<RawValue>,
        content: Option<Upload>,
    ) -> Result<(Outcome, Option<Download>), CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let operation = Operation::new(id, group, command, params);
        let (reply, result) = oneshot::channel();
        self.request(Request::Stream(operation, content, reply))
            .await?;
        result.await.map_err(|_| self.end())?
    }

    /// Agrees on fresh keys with the site, for the current encryption option or for another one.
    /// The client does this automatically before the keys expire. Returns `false` if the site
    /// declines because it does not offer the option, or if another key exchange is in progress.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
    pub async fn renew_keys(&self, option: Option<EncryptionOption>) -> Result<bool, CallError> {
        let (reply, renewed) = oneshot::channel();
        self.request(Request::Rekey(option, reply)).await?;
        renewed.await.map_err(|_| self.end())?
    }

    /// The encryption options that the site offers now, in the order of their rank.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
    pub async fn options(&self) -> Result<OptionList, CallError> {
        let (reply, options) = oneshot::channel();
        self.request(Request::Options(reply)).await?;
        options.await.map_err(|_| self.end())?
    }

    async fn request(&self, request: Request) -> Result<(), CallError> {
        self.requests.send(request).await.map_err(|_| self.end())
    }

    /// Why the site ended the session, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Goodbye> {
        self.ended.get().copied()
    }

    /// The error for calls after the end of the session.
    fn end(&self) -> CallError {
        self.ended().map_or(CallError::Lost, CallError::Ended)
    }

    /// Subscribes to the events of this session from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        let events = match self.events.upgrade() {
            Some(events) => events.subscribe(),
            // The session has ended: return a closed channel.
            None => broadcast::channel(1).1,
        };
        Events { events }
    }

    /// Ends the session, and waits until the goodbye is sent.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session had ended already.
    pub async fn close(self) -> Result<(), CallError> {
        self.request(Request::Close).await?;
        self.task.await.map_err(|_| CallError::Lost)
    }
}

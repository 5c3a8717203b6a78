//! [`Client`]: the application's handle of a session.

use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_proto::operation::{Operation, Outcome};
use countersign_proto::session::client::Resumption;
use countersign_proto::session::{EncryptionOption, Goodbye, OptionList, Welcome};
use countersign_proto::site_identity::KnownSite;
#[cfg(not(target_arch = "wasm32"))]
use countersign_proto::uri::SiteUri;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{oneshot, watch};

use crate::calls::Calls;
use crate::connector::{Connector, LoginAs, Opened};
use crate::content::{Download, Upload};
use crate::error::{CallError, ConnectError};
use crate::platform;
use crate::requests::{CallRequest, Request};
use crate::results::{Events, Results};
use crate::task::SessionTask;

/// An open session. Many tasks may call it concurrently; all share one connection.
pub struct Client {
    calls: Calls<Request>,
    welcome: watch::Receiver<Welcome>,
    resumption: watch::Receiver<Resumption>,
    identity: Option<Box<Identity>>,
    delivered: Option<Box<DeliveredKey>>,
    connector: Connector,
    site: KnownSite,
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

    /// Resumes a session that another connection had, without a pass phrase. The other connection
    /// ends.
    ///
    /// # Errors
    /// A [`ConnectError`], with [`LoginError::NotAuthenticated`] if the session has ended.
    ///
    /// [`LoginError::NotAuthenticated`]: countersign_proto::session::LoginError::NotAuthenticated
    pub async fn resume_session(&self, resumption: Resumption) -> Result<Client, ConnectError> {
        let opened = self.log_in_again(resumption).await?;
        Ok(Client::over(self.clone(), opened))
    }
}

impl Client {
    /// Connects and logs in with the defaults of [`Connector`].
    ///
    /// # Errors
    /// A [`ConnectError`].
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn connect(site: &SiteUri, who: LoginAs) -> Result<Self, ConnectError> {
        Connector::new(site).connect(who).await
    }

    fn over(connector: Connector, mut opened: Opened) -> Self {
        let (calls, callers) = Calls::new();
        let (welcome_sender, welcome) = watch::channel(opened.logged_in.welcome.clone());
        let resumption = opened.logged_in.resumption.clone();
        let (resumption_sender, resumption) = watch::channel(resumption);
        let identity = opened.logged_in.identity.take();
        let delivered = opened.logged_in.delivered.take();
        let site = opened.logged_in.site;
        let task = SessionTask {
            callers,
            connector: connector.clone(),
            welcome: welcome_sender,
            resumption: resumption_sender,
        };
        platform::spawn(task.run(opened));
        Self {
            calls,
            welcome,
            resumption,
            identity,
            delivered,
            connector,
            site,
        }
    }

    /// The site's welcome: session id, account, expiry. After a resumption, the new welcome.
    #[must_use]
    pub fn welcome(&self) -> Welcome {
        self.welcome.borrow().clone()
    }

    /// What connected this client.
    pub(crate) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The person's identity, unsealed with the pass phrase; `None` for a service, and in a
    /// session that another program opened.
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

    /// What is known of the site: its id, and its newest key event as of the last connection. Store
    /// it for [`Connector::expect`].
    #[must_use]
    pub fn known_site(&self) -> KnownSite {
        self.connector.known_site().unwrap_or(self.site)
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
        self.calls.call(group, command, params).await
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
        self.calls.outcome(group, command, params).await
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
        self.calls.send(operations).await
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
        let id = self.calls.next_id();
        let operation = Operation::new(id, group, command, params);
        let (reply, result) = oneshot::channel();
        self.calls
            .request(Request::Stream(operation, content, reply))
            .await?;
        result.await.map_err(|_| self.calls.end())?
    }

    /// Agrees on fresh keys with the site, for the current encryption option or for another one.
    /// The client does this automatically before the keys expire. Returns `false` if the site
    /// declines because it does not offer the option, or if another key exchange is in progress.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
    pub async fn renew_keys(&self, option: Option<EncryptionOption>) -> Result<bool, CallError> {
        let (reply, renewed) = oneshot::channel();
        self.calls.request(Request::Rekey(option, reply)).await?;
        renewed.await.map_err(|_| self.calls.end())?
    }

    /// The encryption options that the site offers now, in the order of their rank.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session has ended.
    pub async fn options(&self) -> Result<OptionList, CallError> {
        let (reply, options) = oneshot::channel();
        self.calls.request(Request::Options(reply)).await?;
        options.await.map_err(|_| self.calls.end())?
    }

    /// Why the site ended the session, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Goodbye> {
        self.calls.ended()
    }

    /// Subscribes to the events of this session from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.calls.events()
    }

    /// Ends the session, and waits until the goodbye is sent.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session had ended already.
    pub async fn close(self) -> Result<(), CallError> {
        self.end().await
    }

    /// Ends the session as [`Self::close`] does, for a handle that is shared.
    ///
    /// # Errors
    /// [`CallError::Ended`] or [`CallError::Lost`] if the session had ended already.
    pub async fn end(&self) -> Result<(), CallError> {
        self.calls.request(CallRequest::Close.into()).await?;
        self.closed().await;
        Ok(())
    }

    /// Waits until the session has ended; [`Self::ended`] says why.
    pub async fn closed(&self) {
        self.calls.closed().await;
    }

    /// What another program needs to resume this session, for [`Connector::resume_session`]: as
    /// secret as the session. It changes when this handle resumes the session over another
    /// connection.
    #[must_use]
    pub fn resumption(&self) -> Resumption {
        self.resumption.borrow().clone()
    }
}

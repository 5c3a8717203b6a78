//! A site with listeners on free local ports, and clients of it.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use countersign_client::{Client, ConnectError, Connector, LoginAs};
use countersign_core::access::Caller;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::site_key_slots::SlotSecret;
use countersign_proto::uri::SiteUri;
use countersign_server::limits::Limits;
use countersign_server::{Proxies, Server};

use super::{PASSPHRASE, TestSite};

/// A [`TestSite`] with a session listener, an HTTP listener and an admin socket.
pub struct ServedSite {
    test: TestSite,
    /// Its listeners.
    pub server: Server,
    /// Its address and public key.
    pub uri: SiteUri,
    /// The key of the service `robot`.
    pub robot: Arc<Identity>,
    /// The path of the admin socket.
    pub admin_socket: PathBuf,
}

impl Deref for ServedSite {
    type Target = TestSite;

    fn deref(&self) -> &TestSite {
        &self.test
    }
}

impl ServedSite {
    pub(super) async fn start(test: TestSite, limits: Limits, proxies: Proxies) -> Self {
        let robot = Arc::new(Identity::generate(&mut SystemEntropy));
        test.create_service("robot", &robot).await;
        Self::listening(test, robot, limits, proxies).await
    }

    async fn listening(
        test: TestSite,
        robot: Arc<Identity>,
        limits: Limits,
        proxies: Proxies,
    ) -> Self {
        let admin_socket = test.folder().join("admin.sock");
        let server = Server::builder(test.site.clone())
            .limits(limits)
            .session("127.0.0.1:0".parse().unwrap())
            .http(Some("127.0.0.1:0".parse().unwrap()))
            .proxies(proxies)
            .admin_socket(&admin_socket)
            .start()
            .await
            .unwrap();
        Self {
            uri: test.site.endpoints().uri.unwrap().parse().unwrap(),
            test,
            server,
            robot,
            admin_socket,
        }
    }

    /// Stops the server and returns the site.
    pub async fn stop(self) -> TestSite {
        self.server.stop().await;
        self.test
    }

    /// The same site, still unsealed, with new listeners and the default limits.
    pub async fn listen_again(self) -> Self {
        let robot = self.robot.clone();
        let test = self.stop().await;
        Self::listening(test, robot, Limits::default(), Proxies::default()).await
    }

    /// The site after a restart, sealed, with new listeners and the default limits.
    pub async fn restart(self) -> Self {
        let robot = self.robot.clone();
        let mut test = self.stop().await;
        test.site = test.restarted().await;
        Self::listening(test, robot, Limits::default(), Proxies::default()).await
    }

    /// Unseals the site.
    pub async fn unseal(&self) {
        let secret = SlotSecret::File(&self.slot);
        let caller = Caller::admin_socket();
        self.site.unseal(&caller, secret, self.now()).await.unwrap();
    }

    /// Logs `maria` in.
    pub async fn maria(&self) -> Client {
        self.log_in("maria", PASSPHRASE).await.unwrap()
    }

    /// Logs a person in.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn log_in(&self, name: &str, passphrase: &str) -> Result<Client, ConnectError> {
        let who = LoginAs::person(name.parse().unwrap(), passphrase.to_owned().into());
        Client::connect(&self.uri, who).await
    }

    /// Logs the service `robot` in. Panics if that fails.
    pub async fn robot(&self) -> Client {
        self.try_robot().await.unwrap()
    }

    /// Logs the service `robot` in.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn try_robot(&self) -> Result<Client, ConnectError> {
        self.robot_by(&Connector::new(&self.uri)).await
    }

    /// Logs the service `robot` in with this connector.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn robot_by(&self, connector: &Connector) -> Result<Client, ConnectError> {
        connector
            .connect(LoginAs::Service(self.robot.clone()))
            .await
    }
}

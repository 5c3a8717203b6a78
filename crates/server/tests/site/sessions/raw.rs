//! A client whose steps a test controls: the state machine of a session over a socket.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::Operation;
use countersign_proto::session::client::{
    self, ClientLoginAttempt, ClientStep, FromSite, LoggedIn, Resumption,
};
use countersign_proto::session::{Inbox, LoginError};
use countersign_testkit::harness::{PASSPHRASE, ServedSite};
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    pub(crate) inbox: Inbox,
    pub(crate) logged_in: LoggedIn,
}

impl Raw {
    /// Logs in as the service.
    pub(crate) async fn service(served: &ServedSite) -> Self {
        let settings = client::ClientSettings::new(*served.uri.site_key());
        let mut flight = Vec::new();
        let robot = served.robot.clone();
        let login =
            ClientLoginAttempt::service(settings, robot, &mut SystemEntropy, &mut flight).unwrap();
        let nothing = async {};
        Self::log_in(served, login, flight, nothing).await.unwrap()
    }

    /// Logs in as the person. `meanwhile` runs between the site's reply and the key stretching.
    pub(crate) async fn person(served: &ServedSite, meanwhile: impl Future<Output = ()>) -> Self {
        Self::try_person(served, meanwhile).await.unwrap()
    }

    /// Logs in as [`Raw::person`] does; the login may be refused.
    pub(crate) async fn try_person(
        served: &ServedSite,
        meanwhile: impl Future<Output = ()>,
    ) -> Result<Self, LoginError> {
        let settings = client::ClientSettings::new(*served.uri.site_key());
        let mut flight = Vec::new();
        let (name, passphrase) = ("maria".parse().unwrap(), PASSPHRASE.to_owned().into());
        let login =
            ClientLoginAttempt::person(settings, name, passphrase, &mut SystemEntropy, &mut flight)
                .unwrap();
        Self::log_in(served, login, flight, meanwhile).await
    }

    /// Resumes a session. The first packet under its keys is not sent yet.
    pub(crate) async fn resume(
        served: &ServedSite,
        resumption: Resumption,
    ) -> Result<Self, LoginError> {
        let settings = client::ClientSettings::new(*served.uri.site_key());
        let mut flight = Vec::new();
        let login =
            ClientLoginAttempt::resume(settings, resumption, &mut SystemEntropy, &mut flight)?;
        Self::log_in(served, login, flight, async {}).await
    }

    async fn log_in(
        served: &ServedSite,
        mut login: ClientLoginAttempt,
        mut out: Vec<u8>,
        meanwhile: impl Future<Output = ()>,
    ) -> Result<Self, LoginError> {
        let mut meanwhile = Some(meanwhile);
        let to = served.server.session_address().unwrap();
        // A small receive buffer, so that the site soon cannot send to a client that does not read.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let mut socket = socket.connect(to).await.unwrap();
        let mut inbox = Inbox::default();
        loop {
            socket.write_all(&out).await.unwrap();
            out.clear();
            let read = socket.read_buf(inbox.tail(2_048)).await.unwrap();
            assert!(read > 0, "the site closed");
            let (step, used) = login.receive(inbox.unread(), &mut SystemEntropy, &mut out)?;
            inbox.consume(used);
            login = match step {
                ClientStep::NeedMore(login) => login,
                ClientStep::Stretch(stretch) => {
                    meanwhile.take().unwrap().await;
                    stretch.run(&mut SystemEntropy, &mut out)?
                }
                ClientStep::Reconnect(step) => panic!("the site has one key: {step:?}"),
                ClientStep::LoggedIn(logged_in) => {
                    return Ok(Self {
                        socket,
                        inbox,
                        logged_in,
                    });
                }
            };
        }
    }

    /// Queues an operation.
    pub(crate) fn ask(&mut self, id: u64, group: &str, command: &str, params: &Value) {
        let operation = Operation::new(id, group, command, to_raw_value(params).unwrap());
        self.logged_in.session.send_operation(&operation).unwrap();
    }

    /// Sends queued data.
    pub(crate) async fn flush(&mut self) {
        let mut wire = Vec::new();
        self.logged_in.session.flush(&mut wire).unwrap();
        self.socket.write_all(&wire).await.unwrap();
    }

    /// Waits for the next messages; none if the site closed the connection.
    pub(crate) async fn read(&mut self) -> Vec<FromSite> {
        loop {
            let mut got = Vec::new();
            let session = &mut self.logged_in.session;
            let used = session.receive(self.inbox.unread(), &mut got).unwrap();
            self.inbox.consume(used);
            if !got.is_empty() {
                return got;
            }
            let read = self.socket.read_buf(self.inbox.tail(64 * 1024)).await;
            if !matches!(read, Ok(1..)) {
                return got;
            }
        }
    }

    /// Waits for a number of results.
    pub(crate) async fn results(&mut self, count: usize) -> Vec<Value> {
        let mut results = Vec::new();
        while results.len() < count {
            let got = self.read().await;
            assert!(!got.is_empty(), "the site closed after {}", results.len());
            for message in got {
                if let FromSite::Outcome(outcome) = message {
                    results.push(serde_json::from_str(outcome.data.get()).unwrap());
                }
            }
        }
        results
    }
}

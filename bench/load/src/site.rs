//! The site's process, its address, and connections to it from any local address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::session::client::{ClientLoginAttempt, ClientSettings};
use countersign_proto::uri::SiteUri;
use countersign_server::descriptors;
use data_encoding::HEXLOWER;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use crate::server::MODE;
use crate::{Files, Result};

/// The first line of output of the site's process.
#[derive(Deserialize)]
struct Announcement {
    uri: String,
    robot: String,
    admin_socket: std::path::PathBuf,
    ticket: Option<String>,
    token: Option<(String, String)>,
    http: Option<SocketAddr>,
    peers: Option<SocketAddr>,
}

/// A running site. It stops when this is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) uri: SiteUri,
    pub(crate) address: SocketAddr,
    pub(crate) robot: Arc<Identity>,
    pub(crate) admin_socket: std::path::PathBuf,
    /// The URI of an enrolment ticket, at the sites of `devices` and `lockdown`.
    pub(crate) ticket: Option<String>,
    /// An access token and its id, at the site of `event-streams`.
    pub(crate) token: Option<(String, String)>,
    /// The address of the HTTP listener.
    pub(crate) http: Option<SocketAddr>,
    /// The address of the listener for peers, at the site of `peer-lockdown`.
    pub(crate) peers: Option<SocketAddr>,
}

impl Running {
    /// Starts a site with the limits of a scenario and this limit of open files.
    pub(crate) async fn start(scenario: &str, files: Option<Files>) -> Result<Self> {
        raise_file_limit();
        let mut process = Command::new(std::env::current_exe()?)
            .args([MODE, scenario])
            .args(files.map(Files::option))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = process
            .stdout
            .take()
            .ok_or("the site's process has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).await?;
        let announced: Announcement = serde_json::from_str(&line)?;
        let uri: SiteUri = announced.uri.parse()?;
        let seed = HEXLOWER.decode(announced.robot.as_bytes())?;
        let seed = Secret::try_from_slice(&seed).ok_or("a seed has 32 bytes")?;
        Ok(Self {
            process,
            address: uri.address().parse()?,
            uri,
            robot: Arc::new(Identity::from_seed(IdentitySeed(seed))),
            admin_socket: announced.admin_socket,
            ticket: announced.ticket,
            token: announced.token,
            http: announced.http,
            peers: announced.peers,
        })
    }

    pub(crate) fn process_id(&self) -> Result<u32> {
        Ok(self.process.id().ok_or("the site's process has ended")?)
    }

    /// The resident memory of the site's process, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        memory(self.process_id()?)
    }

    /// Connects from a local address.
    pub(crate) async fn connect_from(&self, from: Ipv4Addr) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        Ok(socket.connect(self.address).await?)
    }

    pub(crate) fn settings(&self) -> ClientSettings {
        ClientSettings::new(*self.uri.site_key())
    }

    /// A person's first flight.
    pub(crate) fn flight_of_person(&self, name: &str) -> Result<Vec<u8>> {
        let mut flight = Vec::new();
        ClientLoginAttempt::person(
            self.settings(),
            name.parse()?,
            "wrong pass phrase".to_owned().into(),
            &mut SystemEntropy,
            &mut flight,
        )?;
        Ok(flight)
    }

    /// The service's first flight.
    pub(crate) fn flight_of_service(&self) -> Result<Vec<u8>> {
        let mut flight = Vec::new();
        let robot = self.robot.clone();
        ClientLoginAttempt::service(self.settings(), robot, &mut SystemEntropy, &mut flight)?;
        Ok(flight)
    }
}

/// The resident memory of a process, in bytes.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = kib.ok_or("no VmRSS")?.parse()?;
    Ok(kib * 1024.0)
}

/// The source address of an attacker: the n-th from 127.1.0.1 on.
pub(crate) fn attacker(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or(0);
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number)
}

/// Raises the limit of open files as far as possible: beyond the hard limit if this process may
/// raise that.
pub(crate) fn raise_file_limit() {
    let enough = Rlimit {
        current: Some(65_536),
        maximum: Some(65_536),
    };
    // Without the privilege to raise the hard limit, the process uses all of it.
    if setrlimit(Resource::Nofile, enough).is_err() {
        descriptors::raise();
    }
}

/// Sets this process's limit of open files.
pub(crate) fn limit_files(files: Files) -> Result<()> {
    let limit = match files {
        Files::Soft(number) => Rlimit {
            current: Some(number),
            maximum: getrlimit(Resource::Nofile).maximum,
        },
        Files::Hard(number) => Rlimit {
            current: Some(number),
            maximum: Some(number),
        },
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// The clock. Every other part of this program reads time through it.
#[allow(
    clippy::disallowed_methods,
    reason = "a load program measures time; only this function reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

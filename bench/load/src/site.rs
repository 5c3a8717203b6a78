//! The site as it is seen from outside: its process, its address, and connections to it from anywhere.

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

/// What the site's process says of itself.
#[derive(Deserialize)]
struct Told {
    uri: String,
    robot: String,
    admin_socket: std::path::PathBuf,
}

/// A running site; it stops when this is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) uri: SiteUri,
    pub(crate) address: SocketAddr,
    pub(crate) robot: Arc<Identity>,
    pub(crate) admin_socket: std::path::PathBuf,
}

impl Running {
    /// Starts a site with the limits of a scenario, which may have so many files open.
    pub(crate) async fn start(scenario: &str, files: Option<Files>) -> Result<Self> {
        raise_file_limit();
        let mut process = Command::new(std::env::current_exe()?)
            .args([MODE, scenario])
            .args(files.map(Files::option))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = process.stdout.take().ok_or("the site says nothing")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).await?;
        let told: Told = serde_json::from_str(&line)?;
        let uri: SiteUri = told.uri.parse()?;
        let seed = HEXLOWER.decode(told.robot.as_bytes())?;
        let seed = Secret::try_from_slice(&seed).ok_or("a seed has 32 bytes")?;
        Ok(Self {
            process,
            address: uri.address().parse()?,
            uri,
            robot: Arc::new(Identity::from_seed(IdentitySeed(seed))),
            admin_socket: told.admin_socket,
        })
    }

    /// What the site's process holds in memory, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        let id = self.process.id().ok_or("the site is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: f64 = kib.ok_or("no VmRSS")?.parse()?;
        Ok(kib * 1024.0)
    }

    /// A connection from that address of this machine.
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
            "a guess".to_owned().into(),
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

/// An address to attack from: the n-th of 127.1.0.0/16 and beyond.
pub(crate) fn attacker(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).unwrap_or(0);
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number)
}

/// As many open files as the machine lets this process have, and more where this process may allow itself that.
pub(crate) fn raise_file_limit() {
    let enough = Rlimit {
        current: Some(65_536),
        maximum: Some(65_536),
    };
    // Who may not raise the limit takes what there is.
    if setrlimit(Resource::Nofile, enough).is_err() {
        descriptors::raise();
    }
}

/// Limits how many files this process may have open.
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

/// The one reader of the clock here.
#[allow(
    clippy::disallowed_methods,
    reason = "a load program measures time; this is the one place that reads it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

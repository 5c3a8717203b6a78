//! Logins from any address without the client library: to leave the key stretching function out of
//! the measured time, and to keep only the socket of a session.

use std::net::Ipv4Addr;
use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::session::Inbox;
use countersign_proto::session::client::{ClientLoginAttempt, ClientStep};
use countersign_testkit::harness::PASSPHRASE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::server::KNOWN;
use crate::site::{Running, now};

/// The account that logs in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// The service `robot`.
    Robot,
    /// The person [`KNOWN`].
    Maria,
}

/// A session: its socket, and the duration of the login without the key stretching function, whose
/// cost does not depend on the site.
pub(crate) struct LoggedIn {
    pub(crate) socket: TcpStream,
    pub(crate) took: Duration,
}

/// Logs in from a local address.
pub(crate) async fn log_in(site: &Running, from: Ipv4Addr, who: Who) -> Result<LoggedIn> {
    let entropy = &mut SystemEntropy;
    let (mut out, mut inbox) = (Vec::new(), Inbox::default());
    let mut login = match who {
        Who::Robot => {
            ClientLoginAttempt::service(site.settings(), site.robot.clone(), entropy, &mut out)?
        }
        Who::Maria => {
            let phrase = PASSPHRASE.to_owned().into();
            ClientLoginAttempt::person(site.settings(), KNOWN.parse()?, phrase, entropy, &mut out)?
        }
    };
    let begun = now();
    let mut ksf = Duration::ZERO;
    let mut socket = site.connect_from(from).await?;
    loop {
        socket.write_all(&out).await?;
        out.clear();
        if socket.read_buf(inbox.tail(2_048)).await? == 0 {
            return Err("the site closed the connection".into());
        }
        let (step, used) = login.receive(inbox.unread(), entropy, &mut out)?;
        inbox.consume(used);
        login = match step {
            ClientStep::NeedMore(login) => login,
            ClientStep::Stretch(stretch) => {
                let stretch_start = now();
                let (login, proof) = tokio::task::spawn_blocking(move || {
                    let mut proof = Vec::new();
                    let login = stretch.run(&mut SystemEntropy, &mut proof);
                    (login, proof)
                })
                .await?;
                ksf += stretch_start.elapsed();
                out = proof;
                login?
            }
            ClientStep::Reconnect(_) => return Err("the site replaced its key".into()),
            ClientStep::LoggedIn(_) => {
                let took = begun.elapsed().saturating_sub(ksf);
                return Ok(LoggedIn { socket, took });
            }
        };
    }
}

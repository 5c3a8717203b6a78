//! The memory that connections cost the site.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::login::{LoggedIn, Who, log_in};
use crate::report::{Row, Unit};
use crate::server::KNOWN;
use crate::site::{Running, attacker};
use crate::{Result, Size};

/// Unauthenticated connections that sent half a flight.
pub(crate) async fn unauthenticated(site: &Running, size: Size) -> Result<Vec<Row>> {
    let flight = site.flight_of_person(KNOWN)?;
    let half = flight.get(..flight.len() / 2).unwrap_or_default();
    let open = |count: usize| async move {
        let mut sockets = Vec::new();
        for number in 0..count {
            let mut socket = site.connect_from(attacker(number % 64)).await?;
            socket.write_all(half).await?;
            sockets.push(socket);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Result::Ok(sockets)
    };
    let count = size.of(5_000, 2_000);
    let _warm = open(count / 10).await?;
    let before = site.memory()?;
    let _sockets = open(count).await?;
    let each = (site.memory()? - before) / count as f64 / 1024.0;
    let what = format!("memory of {count} connections that sent half a flight");
    Ok(vec![
        Row::new(what, each, Unit::KibPerConnection).at_most(16.0),
    ])
}

/// The number of concurrent logins.
const AT_ONCE: usize = 64;

/// Idle sessions.
pub(crate) async fn idle(site: &Arc<Running>, size: Size) -> Result<Vec<Row>> {
    // All of one account. With 20,000 files, the site gives one account at most half of its
    // connections.
    let count = size.of(8_000, 40);
    let _warm = sessions(site, count / 20).await?;
    let before = site.memory()?;
    let _sockets = sessions(site, count).await?;
    let each = (site.memory()? - before) / count as f64 / 1024.0;
    let what = format!("memory of {count} idle sessions");
    Ok(vec![
        Row::new(what, each, Unit::KibPerConnection).at_most(8.0),
    ])
}

/// Opens sessions and keeps only their sockets.
pub(crate) async fn sessions(site: &Arc<Running>, count: usize) -> Result<Vec<TcpStream>> {
    let (mut logins, mut sockets) = (JoinSet::<Result<LoggedIn>>::new(), Vec::new());
    for number in 0..count {
        if logins.len() >= AT_ONCE
            && let Some(opened) = logins.join_next().await
        {
            sockets.push(opened??.socket);
        }
        let site = site.clone();
        let from = attacker(number % 16);
        logins.spawn(async move { log_in(&site, from, Who::Robot).await });
    }
    while let Some(opened) = logins.join_next().await {
        sockets.push(opened??.socket);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(sockets)
}

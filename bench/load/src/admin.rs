//! The admin socket beside a flood: an operator who has to stop an attack needs it then.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::honest::Logins;
use crate::site::{Running, now};
use crate::{Result, Size};

/// Time from one answer to the next question.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an admin waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for the site's status time and again, over a new connection each time.
pub(crate) async fn probe(site: &Running, size: Size) -> Logins {
    let mut answers = Logins::default();
    for _ in 0..size.of(100, 4) {
        let begun = now();
        let answered = timeout(PATIENCE, status(site)).await;
        let answered = answered.is_ok_and(|answered| answered.is_ok());
        answers.take(answered.then(|| begun.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    answers
}

async fn status(site: &Running) -> Result<()> {
    let mut socket = BufReader::new(UnixStream::connect(&site.admin_socket).await?);
    let asked = json!({ "id": 1, "group": "site", "command": "status", "params": {} });
    socket.write_all(format!("{asked}\n").as_bytes()).await?;
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let answer: serde_json::Value = serde_json::from_str(&line)?;
    match answer.get("code").and_then(serde_json::Value::as_u64) {
        Some(0) => Ok(()),
        _ => Err(line.into()),
    }
}

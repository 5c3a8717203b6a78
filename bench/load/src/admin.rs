//! The admin socket during a flood, when an operator needs it to stop the attack.

use std::time::Duration;

use countersign_net::lines::Lines;
use countersign_proto::lines::{put_operation, read_outcome};
use countersign_proto::operation::{Code, Operation, Outcome};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::honest::Logins;
use crate::site::{Running, now};
use crate::{Result, Size};

/// Time from one response to the next request.
const PAUSE: Duration = Duration::from_millis(50);
/// The maximum length of a response, in bytes.
const MAX_LINE: usize = 1 << 20;
/// How long an admin waits for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests the site's status repeatedly, over a new connection each time.
pub(crate) async fn probe(site: &Running, size: Size) -> Logins {
    let mut answers = Logins::default();
    for _ in 0..size.of(100, 4) {
        let begun = now();
        let answered = timeout(TIMEOUT, status(site)).await;
        let answered = answered.is_ok_and(|answered| answered.is_ok());
        answers.take(answered.then(|| begun.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    answers
}

async fn status(site: &Running) -> Result<()> {
    let mut admin = connect(site).await?;
    let status = Operation::new(1, "site", "status", RawValue::NULL.to_owned());
    match ask(&mut admin, &status).await?.code {
        Code::SUCCESS => Ok(()),
        code => Err(code.to_string().into()),
    }
}

pub(crate) async fn connect(site: &Running) -> Result<Lines<UnixStream>> {
    let socket = UnixStream::connect(&site.admin_socket).await?;
    Ok(Lines::new(socket, MAX_LINE))
}

/// Runs an operation.
pub(crate) async fn ask(admin: &mut Lines<UnixStream>, operation: &Operation) -> Result<Outcome> {
    let mut line = Vec::new();
    put_operation(&mut line, operation, false)?;
    admin.send(&line).await?;
    let answer = admin
        .next()
        .await?
        .ok_or("the site closed the connection")?;
    Ok(read_outcome(answer)?.0)
}

/// Runs an operation over a new connection. A code other than success is an error.
pub(crate) async fn run(site: &Running, group: &str, command: &str, params: &Value) -> Result<()> {
    let mut admin = connect(site).await?;
    let operation = Operation::new(1, group, command, to_raw_value(params)?);
    let outcome = ask(&mut admin, &operation).await?;
    match outcome.code {
        Code::SUCCESS => Ok(()),
        _ => Err(format!("{group} {command}: {}", outcome.data).into()),
    }
}

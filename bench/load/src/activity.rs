//! Measures whether response times reveal that the owner of an account has logged in.
//!
//! Failed logins for two accounts, from sources that never logged in to them, cause delays for
//! both. Then the owner of one account logs in and the owner of the other does not. After the
//! failures have expired, a new source probes both accounts. The control is a probe before the
//! failures expire, which is delayed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::login::{Who, log_in};
use crate::report::{Row, Unit, percentile};
use crate::server::{FAILURES_EXPIRY, KNOWN, OTHER};
use crate::site::{Running, attacker, millis, now};

/// The scenario whose site has failed logins expire soon.
pub(crate) const SITE: &str = "activity";

/// The number of sources that fail for each account, and of failures of each: one more than cause
/// no delay.
const SOURCES: usize = 7;
const FAILURES: usize = 3;

/// Runs the rounds. Each takes a little longer than failures are remembered.
pub(crate) async fn run(site: &Running, rounds: usize) -> Result<Vec<Row>> {
    let owner = attacker(0);
    let (mut active, mut quiet, mut control) = (Vec::new(), Vec::new(), Vec::new());
    let mut source = 1;
    // From now on the owner's address is a known source.
    log_in(site, owner, Who::Maria).await?;
    for _ in 0..rounds {
        for name in [KNOWN, OTHER] {
            let flight = site.flight_of_person(name)?;
            for _ in 0..SOURCES {
                for _ in 0..FAILURES {
                    answer(site, source, &flight).await?;
                }
                source += 1;
            }
        }
        control.push(answer(site, source, &site.flight_of_person(OTHER)?).await?);
        source += 1;
        log_in(site, owner, Who::Maria).await?;
        tokio::time::sleep(Duration::from_millis(FAILURES_EXPIRY) + Duration::from_secs(1)).await;
        for (name, took) in [(KNOWN, &mut active), (OTHER, &mut quiet)] {
            took.push(answer(site, source, &site.flight_of_person(name)?).await?);
            source += 1;
        }
    }
    let [active, quiet, control] = [active, quiet, control].map(|samples| percentile(&samples, 50));
    let later = "probe, its owner logged in before: later than without that login";
    Ok(vec![
        Row::new("probe: median answer", quiet, Unit::Milliseconds),
        Row::new(later, (active - quiet).max(0.0), Unit::Milliseconds).at_most(50.0),
        Row::new(
            "control, which must differ: a probe before failures expire",
            control - quiet,
            Unit::Milliseconds,
        )
        .at_least(200.0),
    ])
}

/// The time from the flight to the response, in milliseconds.
async fn answer(site: &Running, from: usize, flight: &[u8]) -> Result<f64> {
    let mut socket = site.connect_from(attacker(from)).await?;
    let begun = now();
    socket.write_all(flight).await?;
    if socket.read(&mut [0; 8_192]).await? == 0 {
        return Err("the site closed the connection".into());
    }
    Ok(millis(begun.elapsed()))
}

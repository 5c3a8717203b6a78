//! Whether the time of an answer tells that the owner of a name logged in meanwhile.
//!
//! Failures at two names, from sources that never logged in with them, slow both. Then the owner of one logs in and the
//! owner of the other does not, and once the failures are forgotten both names are probed from a new source. The
//! control is a probe before they are forgotten, which waits.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::login::{Who, log_in};
use crate::report::{Row, Unit, percentile};
use crate::server::{FORGOTTEN, KNOWN, OTHER};
use crate::site::{Running, attacker, millis, now};

/// The scenario whose site forgets failures soon.
pub(crate) const SITE: &str = "activity";

/// Sources that fail at each name, and how often each: one failure more than are free.
const SOURCES: usize = 7;
const FAILURES: usize = 3;

/// Rounds, each of which takes twice as long as failures are remembered.
pub(crate) async fn run(site: &Running, rounds: usize) -> Result<Vec<Row>> {
    let owner = attacker(0);
    let (mut active, mut quiet, mut control) = (Vec::new(), Vec::new(), Vec::new());
    let mut source = 1;
    // It is known from now on.
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
        tokio::time::sleep(Duration::from_millis(FORGOTTEN) + Duration::from_secs(1)).await;
        for (name, took) in [(KNOWN, &mut active), (OTHER, &mut quiet)] {
            took.push(answer(site, source, &site.flight_of_person(name)?).await?);
            source += 1;
        }
    }
    let [active, quiet, control] = [active, quiet, control].map(|samples| percentile(&samples, 50));
    let later = "probe, its owner logged in meanwhile: later than where the owner did not";
    Ok(vec![
        Row::new("probe: median answer", quiet, Unit::Milliseconds),
        Row::new(later, (active - quiet).max(0.0), Unit::Milliseconds).at_most(50.0),
        Row::new(
            "control, which must be told apart: a probe before failures are forgotten",
            control - quiet,
            Unit::Milliseconds,
        )
        .at_least(200.0),
    ])
}

/// From the flight to the answer, in milliseconds.
async fn answer(site: &Running, from: usize, flight: &[u8]) -> Result<f64> {
    let mut socket = site.connect_from(attacker(from)).await?;
    let begun = now();
    socket.write_all(flight).await?;
    if socket.read(&mut [0; 8_192]).await? == 0 {
        return Err("the site closed the connection".into());
    }
    Ok(millis(begun.elapsed()))
}

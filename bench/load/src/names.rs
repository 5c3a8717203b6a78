//! Measures whether response times distinguish a known account name from an unknown or a locked
//! one.
//!
//! Each round logs in once for each kind of name, in a random order, so that slow minutes of the
//! machine affect all kinds. The control is a known name whose flight takes the site some
//! microseconds longer. The measurement must detect this difference, else its other results have no
//! meaning.

use countersign_crypto::entropy::{SystemEntropy, fresh};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Result;
use crate::report::{Row, Unit, percentile};
use crate::server::{KNOWN, LOCKED};
use crate::site::{Running, attacker, now};

/// The kinds of names. The last is the control.
const KINDS: [&str; 4] = ["known", "unknown", "locked", "control"];

/// Runs `rounds` interleaved rounds, after a twentieth as many to warm up.
pub(crate) async fn run(site: &Running, rounds: usize) -> Result<Vec<Row>> {
    let flight = |name: &str| site.flight_of_person(name);
    let nops = [0x70, 0x00].repeat(3_000);
    let flights = [
        flight(KNOWN)?,
        flight("unused")?,
        flight(LOCKED)?,
        [nops, flight(KNOWN)?].concat(),
    ];
    let mut took: [Vec<f64>; 4] = Default::default();
    let mut lengths: [Vec<usize>; 4] = Default::default();
    for round in 0..rounds + rounds / 20 {
        for kind in shuffled() {
            let flight = flights.get(kind).map_or(&[][..], Vec::as_slice);
            let (micros, length) = answer(site, round % 64, flight).await?;
            if round >= rounds / 20
                && let (Some(took), Some(lengths)) = (took.get_mut(kind), lengths.get_mut(kind))
            {
                took.push(micros);
                lengths.push(length);
            }
        }
    }
    let first = lengths.concat().first().copied().unwrap_or_default();
    for (kind, lengths) in KINDS.iter().zip(&lengths) {
        if let Some(length) = lengths.iter().find(|length| **length != first) {
            let error = format!("{kind}: an answer has {length} bytes, and the first one {first}");
            return Err(error.into());
        }
    }
    let medians = took.map(|samples| percentile(&samples, 50));
    let [known, unknown, locked, control] = medians;
    let mut rows: Vec<Row> = KINDS
        .iter()
        .zip(medians)
        .map(|(kind, median)| {
            Row::new(format!("{kind}: median answer"), median, Unit::Microseconds)
        })
        .collect();
    let apart = |median: f64| (median / known - 1.0).abs() * 100.0;
    let what = |kind: &str| format!("{kind} to known: medians apart by hundredths");
    rows.extend([
        Row::new(what("unknown"), apart(unknown), Unit::Count).at_most(1.0),
        Row::new(what("locked"), apart(locked), Unit::Count).at_most(1.0),
        Row::new(
            what("control, which must differ:"),
            apart(control),
            Unit::Count,
        )
        .at_least(1.0),
    ]);
    Ok(rows)
}

/// The kinds in a random order.
pub(crate) fn shuffled() -> [usize; 4] {
    let mut order = [0, 1, 2, 3];
    for at in (1..order.len()).rev() {
        let [choices] = fresh::<1>(&mut SystemEntropy);
        order.swap(at, usize::from(choices) % (at + 1));
    }
    order
}

/// The time from the flight to the end of the response in microseconds, and the response's length
/// in bytes.
async fn answer(site: &Running, from: usize, flight: &[u8]) -> Result<(f64, usize)> {
    let mut socket = site.connect_from(attacker(from)).await?;
    socket.set_nodelay(true)?;
    let mut answer = vec![0; 8_192];
    let begun = now();
    socket.write_all(flight).await?;
    // The site sends its response with one write.
    let length = socket.read(&mut answer).await?;
    let took = begun.elapsed();
    Ok((took.as_secs_f64() * 1e6, length))
}

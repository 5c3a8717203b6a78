//! A service's login, both sides. The baseline is rustls' mutual handshake with the same key exchange.
//!
//! The figure of this project covers the whole state machines: options, transcript, hybrid Noise
//! handshake, confirmation and welcome. That is one flight more than TLS needs until both ends may
//! send.

use std::hint::black_box;

use countersign_proto::session::EncryptionOption;

use crate::ends::Ends;
use crate::measure::{in_turns, per_second};
use crate::report::{Row, Target, Unit};
use crate::{Result, tls};

const ROUNDS: usize = 61;
const LOGINS: u32 = 20;

pub(crate) fn run() -> Result<Vec<Row>> {
    let known = Ends::new(EncryptionOption::HybridAes256Gcm)?;
    let mut new = Ends::new(EncryptionOption::HybridAes256Gcm)?;
    let rustls = tls::Ends::new(tls::AES_256)?;
    let cheapest = tls::Ends::new(tls::AES_128)?;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                per_second(LOGINS, || {
                    black_box(known.log_in()?);
                    Ok(())
                })
            },
            &mut || {
                per_second(LOGINS, || {
                    new.clear_caches();
                    black_box(new.log_in()?);
                    Ok(())
                })
            },
            &mut || {
                per_second(LOGINS, || {
                    black_box(rustls.shake_hands()?);
                    Ok(())
                })
            },
            &mut || {
                per_second(LOGINS, || {
                    black_box(cheapest.shake_hands()?);
                    Ok(())
                })
            },
        ],
    )?;
    let row = |what: &str, ours, baseline, baseline_is, target| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(baseline),
        unit: Unit::PerSecond,
        baseline_is,
        ratio: figures.ratio(ours, baseline),
        target,
    };
    let rustls_is = "rustls, TLS 1.3 mutual, X25519MLKEM768, AES-256";
    let cheapest_is = "rustls, the same with AES-128 and SHA-256";
    let target = Some(Target::AtLeast(1.0));
    Ok(vec![
        row(
            "logins of a known service, both sides",
            0,
            2,
            rustls_is,
            target,
        ),
        row("the same", 0, 3, cheapest_is, None),
        row(
            "first login of a service, both sides",
            1,
            2,
            rustls_is,
            None,
        ),
    ])
}

//! The number of seeds to try.

/// The default number of seeds, multiplied by the environment variable `COUNTERSIGN_SIMULATOR`: 100
/// in a long run.
pub(crate) fn seeds(default: u64) -> u64 {
    default * times()
}

/// Whether this is a long run.
pub(crate) fn is_long_run() -> bool {
    times() > 1
}

fn times() -> u64 {
    let times = std::env::var("COUNTERSIGN_SIMULATOR").ok();
    times.map_or(1, |times| times.parse().unwrap())
}

//! How much is tried.

/// As many seeds as usual, times what `COUNTERSIGN_SIMULATOR` says: 100 for a long run.
pub(crate) fn seeds(usual: u64) -> u64 {
    usual * times()
}

/// Whether more than usual is tried.
pub(crate) fn is_long_run() -> bool {
    times() > 1
}

fn times() -> u64 {
    let times = std::env::var("COUNTERSIGN_SIMULATOR").ok();
    times.map_or(1, |times| times.parse().unwrap())
}

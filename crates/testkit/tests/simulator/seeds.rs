//! How many seeds are tried.

/// As many as usual, times what `COUNTERSIGN_SIMULATOR` says: 100 for a long run.
pub(crate) fn seeds(usual: u64) -> u64 {
    let times = std::env::var("COUNTERSIGN_SIMULATOR").ok();
    usual * times.map_or(1, |times| times.parse::<u64>().unwrap())
}

//! All fuzz targets in one program, which libFuzzer drives with its own arguments. Run it under the name of
//! a target: `scripts/fuzz` makes a link to it for each.

#![no_main]

use std::path::PathBuf;
use std::process::exit;
use std::sync::LazyLock;

use countersign_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let program = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    target(&name).unwrap_or_else(|| {
        eprintln!("there is no fuzz target {name}; run this program under the name of one");
        exit(2)
    })
});

fuzz_target!(init: LazyLock::force(&TARGET), |input: &[u8]| {
    TARGET(input);
});

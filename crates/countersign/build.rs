//! Embeds the files of the web console, which `npm run build` writes to `console/dist`.
//!
//! The list of files is made here because their names contain digests, and because `cargo build` works
//! without Node: then the list is empty, and the program says at `/console` that it has no console. The script
//! only lists the folder; `ConsoleFiles` compares the files with their manifest. It is in this crate, so that a
//! new console compiles nothing but the binary again.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // The folder is in every clone, with nothing but a `.gitignore`. Cargo would run this script each time if it
    // were absent.
    let folder = root.join("../../console/dist");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut list = String::from("&[\n");
    for file in files(&folder)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Writing to a string cannot fail.
        let _ = writeln!(list, "    ({name:?}, include_bytes!({file:?})),");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("console_files.rs"), list)
}

/// The files in the folder, in the order of their names. There is no console in a folder without a manifest, and
/// in one without the client in WebAssembly, whose console cannot log in.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Ok(manifest) = fs::read_to_string(folder.join("manifest.json")) else {
        return Ok(Vec::new());
    };
    if !manifest.contains("\"client\": true") {
        return Ok(Vec::new());
    }
    let folder = folder.canonicalize()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

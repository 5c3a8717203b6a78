//! Text from files, or from standard input where a file is called `-`.

use std::io::Read;
use std::path::Path;

use crate::failure::Failure;

/// The name that stands for standard input, or for standard output, in place of a file.
pub(crate) const STANDARD: &str = "-";

/// All text of a file.
pub(crate) fn text(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new(STANDARD) {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Failure::file(file, &error))
}

/// Everything of a file, or of standard input.
pub(crate) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file == Path::new(STANDARD) {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(file).map(|read| bytes = read),
    };
    read.map_err(|error| Failure::file(file, &error))?;
    Ok(bytes)
}

//! Credentials that a service manager gives to a process, such as `LoadCredential=` of a systemd unit:
//! files in the folder that `CREDENTIALS_DIRECTORY` names.

use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// Names the folder.
const FOLDER: &str = "CREDENTIALS_DIRECTORY";

/// The file of a credential, which holds the same as a slot file.
pub(crate) fn file(name: &str) -> Result<PathBuf, Failure> {
    check(name)?;
    let missing = |problem: String| {
        Failure::new(Exit::NotFound, "credential", problem).hint(format_args!(
            "the unit needs the line `LoadCredential={name}:FILE`; outside the unit, use --slot-file"
        ))
    };
    let folder = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty());
    let folder = folder.ok_or_else(|| {
        missing(format!(
            "there is no credential `{name}`: {FOLDER} is not set"
        ))
    })?;
    let file = Path::new(&folder).join(name);
    match file.exists() {
        true => Ok(file),
        false => Err(missing(format!("{} does not exist", file.display()))),
    }
}

/// As systemd requires of a name. A path could leave the folder.
fn check(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(['/', '\0']) || [".", ".."].contains(&name) {
        return Err(Failure::usage(format_args!(
            "`{name}` is not the name of a credential: give a file name without a folder"
        )));
    }
    Ok(())
}

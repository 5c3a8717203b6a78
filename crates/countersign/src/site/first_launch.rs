//! The first launch: database, site key, configuration file, and what to do next.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use countersign_core::site::{Foundation, Parts, Site};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{Argon2idCost, NewSlot, RecoveryCode, SlotFile};
use countersign_proto::name::Zone;
use countersign_server::clock;

use super::folder::Folder;
use crate::config;
use crate::failure::{Exit, Failure};
use crate::output::say;

/// What opens a new site's key besides its recovery code.
pub(crate) enum Opener {
    /// A pass phrase.
    Passphrase(Passphrase),
    /// A file in the folder: for a site that nobody should have to open.
    File,
}

/// Makes a site in an empty store.
pub(crate) async fn found(
    folder: &Folder,
    parts: Parts,
    zone: Zone,
    opener: &Opener,
) -> Result<Site, Failure> {
    let config = Folder::config_in(folder.path());
    if !config.exists() {
        write(&config, 0o644, config::EXAMPLE)?;
    }
    let recovery = RecoveryCode::generate(&mut SystemEntropy);
    let slot_file = SlotFile::generate(&mut SystemEntropy);
    let first = match opener {
        Opener::Passphrase(passphrase) => NewSlot::Passphrase(passphrase, Argon2idCost::default()),
        Opener::File => {
            write(&folder.slot_file(), 0o600, slot_file.to_text().expose())?;
            NewSlot::File(&slot_file)
        }
    };
    let slots = [first, NewSlot::RecoveryCode(&recovery)];
    let foundation = Foundation {
        zone,
        slots: &slots,
    };
    let site = Site::found(parts, foundation, clock::now())
        .await
        .map_err(|error| Failure::new(Exit::Failure, "first_launch", error))?;
    say(format_args!(
        "Made a new site in {}.",
        folder.path().display()
    ));
    if matches!(opener, Opener::Passphrase(_)) {
        say(format_args!(
            "Its recovery code, shown this once, opens the site key without the pass phrase. Keep it \
             apart from this machine:\n\n    {}\n",
            recovery.to_text().expose()
        ));
    }
    Ok(site)
}

/// Tells what to do with a new site.
pub(crate) fn what_next(folder: &Path) {
    let data = if folder == Path::new("./site") {
        String::new()
    } else {
        format!(" --data {}", folder.display())
    };
    say(format_args!(
        "What next, in another terminal:\n  \
         countersign site status{data}\n  \
         countersign person create NAME --role admin{data}\n  \
         countersign person passphrase NAME{data}"
    ));
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::file(path, &error))
}

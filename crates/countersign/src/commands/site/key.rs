//! `countersign site key`: the slots of the site key and of the next one, and a new site key.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::site_key_slots::SlotFile;
use serde_json::{Value, json};

use crate::commands::{admin_call, confirm, confirmed_call, given};
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::input;
use crate::output::say;
use crate::secret_input::credential;
use crate::secret_input::{Secret, new_passphrase, passphrase, warn_if_others_can_read};
use crate::site::folder::SLOT_FILE;

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes the next site key the current one; asks for the recovery code and for a pass phrase.
    New(New),
    /// Lists the keys that the site has had.
    Events,
    /// The key slots: secrets that open the site key, or the next one.
    #[command(subcommand)]
    Slots(Slots),
    /// Sets the pass phrase; the previous one stops working.
    Passphrase {
        /// Number of the slot to replace, if there are several with a pass phrase.
        #[arg(long, value_name = "NUMBER")]
        slot: Option<u32>,
    },
    /// Creates a new recovery code and shows it once; the previous one stops working.
    Recovery {
        /// Replaces the code of the next key too, which the previous code has to open.
        #[arg(long)]
        next: bool,
        #[command(flatten)]
        opening: Opening,
    },
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The present key was stolen: what it signed after this time (RFC 3339) is void.
    #[arg(long, value_name = "TIME")]
    compromised_since: Option<String>,
    /// Another slot file that opens the new key. The one in the site's folder does anyway.
    #[arg(long, value_name = "FILE")]
    slot_file: Vec<PathBuf>,
    /// A credential of the service manager that opens the new key too.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Makes no slot with a pass phrase.
    #[arg(long)]
    no_passphrase: bool,
    #[command(flatten)]
    opening: Opening,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Slots {
    /// Lists the key slots.
    List,
    /// Adds a slot: with a pass phrase, or with a slot file.
    Add {
        /// Adds it to the next key, which the recovery code has to open.
        #[arg(long)]
        next: bool,
        /// Adds a slot for this file, and makes the file if there is none.
        #[arg(long, value_name = "FILE")]
        slot_file: Option<PathBuf>,
        /// Adds a slot for this credential of the service manager, which holds the same as a slot file.
        #[arg(long, value_name = "NAME", conflicts_with = "slot_file")]
        credential: Option<String>,
        #[command(flatten)]
        opening: Opening,
    },
    /// Removes a slot.
    Remove {
        /// Removes it from the next key.
        #[arg(long)]
        next: bool,
        /// Number of the slot.
        slot: u32,
    },
    /// Tries a secret: a pass phrase, the recovery code, a slot file or a credential.
    Test {
        /// Tries it on the next key.
        #[arg(long)]
        next: bool,
        /// Tries the recovery code.
        #[arg(long)]
        recovery_code: bool,
        /// Tries this slot file.
        #[arg(long, value_name = "FILE", conflicts_with = "recovery_code")]
        slot_file: Option<PathBuf>,
        /// Tries this credential of the service manager.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["recovery_code", "slot_file"])]
        credential: Option<String>,
    },
}

/// The secret that opens the next key: the recovery code, if no flag names another one.
#[derive(Debug, Args)]
pub(crate) struct Opening {
    /// Opens the next key with this slot file instead of the recovery code.
    #[arg(long, value_name = "FILE")]
    open_with: Option<PathBuf>,
    /// Opens the next key with its pass phrase instead of the recovery code.
    #[arg(long, conflicts_with = "open_with")]
    open_with_passphrase: bool,
}

impl Opening {
    fn secret(&self) -> Result<Value, Failure> {
        match &self.open_with {
            Some(file) => slot_file(file),
            None if self.open_with_passphrase => {
                let file = Secret::Site.file();
                let typed = passphrase("Pass phrase of the next site key", file.as_deref())?;
                Ok(json!({ "passphrase": text(&typed) }))
            }
            None => recovery_code(Secret::RecoveryCode.file().as_deref()),
        }
    }
}

pub(crate) fn run(common: &Common, key: &Key) -> Result<(), Failure> {
    match key {
        Key::New(new) => new_key(common, new),
        Key::Events => admin_call(common, "site", "key_events", &json!({})),
        Key::Slots(slots) => run_slots(common, slots),
        Key::Passphrase { slot } => {
            // The environment variable holds the current pass phrase, not the new one.
            let file = common.passphrase_file.as_deref();
            let secret = new_passphrase("New pass phrase of the site key", file)?;
            let params = given(json!({ "passphrase": text(&secret), "slot": slot }));
            confirmed_call(common, "site", "key_passphrase", &params)
        }
        Key::Recovery { next, opening } => {
            let secret = match next {
                true => Some(opening.secret()?),
                false => None,
            };
            let params = given(json!({ "secret": secret }));
            as_unauthenticated(admin_call(common, "site", "key_recovery", &params))
        }
    }
}

fn run_slots(common: &Common, slots: &Slots) -> Result<(), Failure> {
    let key = |next: &bool| if *next { "next" } else { "current" };
    match slots {
        Slots::List => admin_call(common, "site", "key_slots", &json!({})),
        Slots::Add {
            next,
            slot_file: file,
            credential: named,
            opening,
        } => {
            let secret = match next {
                true => Some(opening.secret()?),
                false => None,
            };
            let (slot, made) = match (named, file) {
                (Some(name), _) => (slot_file(&credential::file(name)?)?, None),
                (None, Some(file)) => new_slot_file(file)?,
                (None, None) => {
                    let file = common.passphrase_file.as_deref();
                    let secret = new_passphrase("Pass phrase of the new slot", file)?;
                    (json!({ "passphrase": text(&secret) }), None)
                }
            };
            let params = given(json!({ "key": key(next), "slot": slot, "secret": secret }));
            let added = confirmed_call(common, "site", "key_slot_add", &params);
            if let (Err(failure), Some(made)) = (&added, made)
                && failure.exit != Exit::Unreachable
            {
                // It opens nothing.
                let _ = std::fs::remove_file(made);
            }
            as_unauthenticated(added)
        }
        Slots::Remove { next, slot } => {
            let params = json!({ "key": key(next), "slot": slot });
            admin_call(common, "site", "key_slot_remove", &params)
        }
        Slots::Test {
            next,
            recovery_code: code,
            slot_file: file,
            credential: named,
        } => {
            let named = named.as_deref().map(credential::file).transpose()?;
            let secret = match (code, named.as_ref().or(file.as_ref())) {
                (_, Some(file)) => slot_file(file)?,
                (true, None) => recovery_code(common.secret_file(Secret::RecoveryCode).as_deref())?,
                (false, None) => {
                    let file = common.secret_file(Secret::Site);
                    let typed = passphrase("Pass phrase to try", file.as_deref())?;
                    json!({ "passphrase": text(&typed) })
                }
            };
            let params = json!({ "key": key(next), "secret": secret });
            as_unauthenticated(admin_call(common, "site", "key_slot_test", &params))
        }
    }
}

fn new_key(common: &Common, new: &New) -> Result<(), Failure> {
    let secret = new.opening.secret()?;
    let mut slots = Vec::new();
    let own = common.data.join(SLOT_FILE);
    let own = own.exists().then_some(own);
    let named = new
        .credential
        .as_deref()
        .map(credential::file)
        .transpose()?;
    for file in own.iter().chain(&new.slot_file).chain(&named) {
        slots.push(slot_file(file)?);
    }
    if !new.no_passphrase {
        let file = common.passphrase_file.as_deref();
        let secret = new_passphrase("Pass phrase of the new site key", file)?;
        slots.push(json!({ "passphrase": text(&secret) }));
    }
    let params = given(json!({
        "secrets": [secret],
        "slots": slots,
        "compromised_since": new.compromised_since,
    }));
    confirm::before(common, "site", "key_new", &json!({}))?;
    as_unauthenticated(confirmed_call(common, "site", "key_new", &params))?;
    if new.compromised_since.is_some() {
        say(
            "The thief may know the secrets of the previous slots. Choose another pass phrase, and replace \
             the slot files and the recovery code: see docs/operate/keys.md.",
        );
    }
    Ok(())
}

/// The site refuses an operation with a secret at the admin socket for one reason: it is wrong.
pub(super) fn as_unauthenticated(result: Result<(), Failure>) -> Result<(), Failure> {
    result.map_err(unauthenticated)
}

/// The same for one failure.
pub(super) fn unauthenticated(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Refused => Failure {
            exit: Exit::NotAuthenticated,
            ..failure
        },
        _ => failure,
    }
}

fn recovery_code(file: Option<&Path>) -> Result<Value, Failure> {
    let code = passphrase("Recovery code", file)?;
    Ok(json!({ "recovery_code": text(&code) }))
}

/// The secret in a slot file or a credential, as a parameter.
pub(super) fn slot_file(file: &Path) -> Result<Value, Failure> {
    warn_if_others_can_read(file);
    Ok(json!({ "slot_file": input::text(file)? }))
}

/// The secret in a slot file, which is made if there is none. Returns the path of a new one.
fn new_slot_file(file: &Path) -> Result<(Value, Option<&Path>), Failure> {
    if file.exists() {
        return Ok((slot_file(file)?, None));
    }
    let text = SlotFile::generate(&mut SystemEntropy).to_text();
    files::write(file, PRIVATE, Existing::Kept, text.expose().as_bytes())?;
    Ok((json!({ "slot_file": text.expose() }), Some(file)))
}

fn text(secret: &countersign_crypto::secret::Passphrase) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(secret.as_bytes())
}

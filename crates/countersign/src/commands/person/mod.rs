//! `countersign person`.

mod data;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use countersign_client::{PassphraseStarted, Registration};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::pem;
use countersign_crypto::secret::Passphrase;
use countersign_proto::operation::{Code, Outcome};
use serde_json::{Value, json};

use super::listing::list;
use super::{admin_call, given};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::input;
use crate::output::{print_json, show, show_data};
use crate::secret_input::new_passphrase;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates a person; with --passphrase-file also sets the pass phrase.
    Create {
        /// Account name: `name` or `name@zone`.
        name: String,
        /// Full name, for display.
        #[arg(long = "name", value_name = "FULL NAME")]
        full_name: Option<String>,
        /// Email address, to which the site sends alarms if it has a mail server.
        #[arg(long)]
        email: Option<String>,
        /// Role of the account.
        #[arg(long, value_parser = ["admin", "member"])]
        role: Option<String>,
    },
    /// Lists persons by name.
    List {
        /// Only persons whose name, email address, or a word of whose full name begins with this text.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Shows a person.
    Show {
        /// Account name.
        name: String,
    },
    /// Changes the properties that are given.
    Update {
        /// Account name.
        name: String,
        /// Full name, for display.
        #[arg(long = "name", value_name = "FULL NAME")]
        full_name: Option<String>,
        /// First email address, to which the site sends alarms if it has a mail server; `set-data`
        /// changes all of them.
        #[arg(long)]
        email: Option<String>,
        /// Role of the account.
        #[arg(long, value_parser = ["admin", "member"])]
        role: Option<String>,
        /// New account name.
        #[arg(long)]
        new_name: Option<String>,
    },
    /// Changes the contact data and attributes that are given.
    SetData(data::SetData),
    /// Prevents a person from logging in for a time, and ends their sessions.
    Lock {
        /// Account name.
        name: String,
    },
    /// Allows a locked person to log in again.
    Unlock {
        /// Account name.
        name: String,
    },
    /// Retires the account of a person, who can no longer log in; ends their sessions.
    Disable {
        /// Account name.
        name: String,
    },
    /// Allows a disabled person to log in again.
    Enable {
        /// Account name.
        name: String,
    },
    /// Deletes a person permanently and ends their sessions.
    Delete {
        /// Account name.
        name: String,
    },
    /// Prints everything that the site stores about a person, for `load`.
    Dump {
        /// Account name.
        name: String,
        /// Writes to this new file (mode 0600) instead of standard output.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Restores a person from the output of `dump`.
    Load {
        /// Output of `dump` (`-`: standard input).
        file: PathBuf,
        /// Leaves out the pass phrase, which cannot be used here if it is of another site, and the delivered
        /// key.
        #[arg(long)]
        without_passphrase: bool,
    },
    /// Stores a person's encrypted key, which the option delivered-key sends to clients.
    DeliverKey {
        /// Account name.
        name: String,
        /// Key file, encrypted under the person's pass phrase; FILE.pub has its certificate.
        #[arg(long, value_name = "FILE", required_unless_present = "remove")]
        key: Option<PathBuf>,
        /// Removes the stored key.
        #[arg(long, conflicts_with = "key")]
        remove: bool,
    },
    /// Sets a person's pass phrase, which does not leave this process.
    Passphrase {
        /// Account name.
        name: String,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    let simple = |command: &str, name: String| {
        admin_call(common, "person", command, &json!({ "name": name }))
    };
    match verb {
        Verb::Create {
            name,
            full_name,
            email,
            role,
        } => {
            let params = given(
                json!({ "name": name, "full_name": full_name, "email": email, "role": role }),
            );
            match common.passphrase_file {
                Some(_) => create_with_passphrase(common, &name, &params),
                None => admin_call(common, "person", "create", &params),
            }
        }
        Verb::List { search } => {
            let params = given(json!({ "search": search }));
            list(common, "person", "list", params)
        }
        Verb::DeliverKey { name, key, .. } => match key {
            Some(file) => deliver_key(common, &name, &file),
            None => simple("withdraw_key", name),
        },
        Verb::Show { name } => simple("show", name),
        Verb::Update {
            name,
            full_name,
            email,
            role,
            new_name,
        } => {
            let params = json!({ "name": name, "full_name": full_name, "email": email, "role": role,
                "new_name": new_name });
            admin_call(common, "person", "update", &given(params))
        }
        Verb::Lock { name } => simple("lock", name),
        Verb::Unlock { name } => simple("unlock", name),
        Verb::SetData(data) => {
            let params = data.params()?;
            admin_call(common, "person", "set_data", &params)
        }
        Verb::Disable { name } => simple("disable", name),
        Verb::Enable { name } => simple("enable", name),
        Verb::Delete { name } => simple("delete", name),
        Verb::Dump { name, save } => {
            let mut admin = Admin::connect(&common.data)?;
            let dump = admin.data("person", "dump", &json!({ "name": name }))?;
            let text = serde_json::to_string_pretty(&dump).unwrap_or_default();
            match save {
                // The record in it allows offline guessing with the site's database and key.
                Some(file) => {
                    let text = format!("{text}\n");
                    files::write(&file, PRIVATE, Existing::Kept, text.as_bytes())
                }
                None => print_json(&text),
            }
        }
        Verb::Load {
            file,
            without_passphrase,
        } => {
            let params = json!({
                "dump": input::text(&file)?,
                "without_passphrase": without_passphrase,
            });
            admin_call(common, "person", "load", &params)
        }
        Verb::Passphrase { name } => {
            let mut admin = Admin::connect(&common.data)?;
            // Check that the person exists before the user types a pass phrase twice.
            admin.data("person", "show", &json!({ "name": name }))?;
            let passphrase = asked_passphrase(common, &name)?;
            show(&register(&mut admin, &name, &passphrase)?, common.format())
        }
    }
}

/// Creates a person and sets the pass phrase. The pass phrase is read first, so that a refused one creates no
/// person.
fn create_with_passphrase(common: &Common, name: &str, params: &Value) -> Result<(), Failure> {
    let mut admin = Admin::connect(&common.data)?;
    let passphrase = asked_passphrase(common, name)?;
    let created = admin.run("person", "create", params)?;
    if created.code != Code::SUCCESS {
        return Err(Failure::outcome(&created));
    }
    let registered = register(&mut admin, name, &passphrase)?;
    if registered.code != Code::SUCCESS {
        return Err(Failure::outcome(&registered));
    }
    let data: Value = serde_json::from_str(created.data.get()).unwrap_or_default();
    let whole_name = data.get("name").and_then(Value::as_str).unwrap_or(name);
    let text = format!("Created {whole_name} with a pass phrase.");
    show_data(created.data.get(), &text, common.format())
}

fn asked_passphrase(common: &Common, name: &str) -> Result<Passphrase, Failure> {
    let prompt = format!("New pass phrase of {name}");
    new_passphrase(&prompt, common.passphrase_file.as_deref())
}

/// OPAQUE registration (RFC 9807, section 5): key stretching happens here, and the site gets a record that does
/// not reveal the pass phrase.
fn register(admin: &mut Admin, name: &str, passphrase: &Passphrase) -> Result<Outcome, Failure> {
    let registration = Registration::start(passphrase)?;
    let start = json!({ "name": name, "request": registration.request() });
    let started = admin.data("person", "passphrase_start", &start)?;
    let started: PassphraseStarted = serde_json::from_value(started)
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
    let identity = Identity::generate(&mut SystemEntropy);
    let finished = registration.finish(&started, &identity)?;
    let mut params = json!(finished);
    if let Some(params) = params.as_object_mut() {
        params.insert("name".to_owned(), name.into());
    }
    admin.run("person", "passphrase_finish", &params)
}

/// Sends an encrypted key file and its certificate to the site, unchanged.
fn deliver_key(common: &Common, name: &str, file: &Path) -> Result<(), Failure> {
    let key = input::text(file)?;
    let is_plain = |label: &str| label.ends_with("PRIVATE KEY") && label != "ENCRYPTED PRIVATE KEY";
    if pem::labels(&key).any(is_plain) {
        return Err(Failure::usage(format_args!(
            "{} contains a private key that is not encrypted; nothing was sent",
            file.display()
        ))
        .hint("encrypt it with `countersign key passphrase FILE`"));
    }
    let mut public = file.as_os_str().to_owned();
    public.push(".pub");
    let params = json!({
        "name": name,
        "certificate": input::public_key(Path::new(&public))?,
        "key": key,
    });
    admin_call(common, "person", "deliver_key", &params)
}

//! `countersign key`: key files of services, and of people who fetch their own key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use countersign_client::Client;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::{self, KeyFileError};
use countersign_crypto::party::PartyKey;
use countersign_crypto::secret::Passphrase;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::login::Login;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE, PUBLIC};
use crate::global::Common;
use crate::input::{self, STANDARD};
use crate::output::{Format, path, print, print_json, say};
use crate::secret_input::{Secret, new_passphrase, passphrase, warn_if_others_can_read};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates an identity: FILE gets the private key, FILE.pub the certificate for the site.
    New {
        /// Key file to write; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Encrypts the key file under a pass phrase.
        #[arg(long)]
        passphrase: bool,
    },
    /// Fetches your own key, which the site stores sealed under your pass phrase: FILE gets the private key,
    /// FILE.pub the certificate.
    Fetch(Box<Fetch>),
    /// Writes the public keys of an application's key file, for `app create`.
    Party {
        /// Key file.
        file: PathBuf,
        /// File to write; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Changes or removes the pass phrase of a key file; the key stays the same.
    Passphrase {
        /// Key file.
        file: PathBuf,
        /// Reads the new pass phrase from this file (`-`: standard input) instead of a prompt.
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        /// Removes the pass phrase: the key file is no longer encrypted.
        #[arg(long, conflicts_with = "new_passphrase_file")]
        remove: bool,
    },
    /// Shows the thumbprint of a key file.
    Show {
        /// Key file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    #[command(flatten)]
    login: Login,
    /// Key file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Encrypts the key file under a pass phrase of its own.
    #[arg(long)]
    encrypt: bool,
    /// Reads the pass phrase of the key file from this file instead of a prompt.
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    key_passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Fetch(fetch) => self::fetch(common, &fetch),
        Verb::New { out, passphrase } => new(common, &out, passphrase),
        Verb::Party { file, out } => {
            let party = PartyKey::new(Arc::new(read(&file, common)?));
            let pem = party.public().to_pem();
            files::write(&out, PUBLIC, Existing::Kept, pem.as_bytes())?;
            let fingerprint = HEXLOWER.encode(&party.public().fingerprint());
            match common.format() {
                Format::Text => print(&format!("{}: {fingerprint}", out.display())),
                Format::Json | Format::Jsonl => {
                    let shown = json!({ "file": path(&out), "fingerprint": fingerprint });
                    print_json(&shown.to_string())
                }
            }
        }
        Verb::Passphrase {
            file,
            new_passphrase_file,
            remove,
        } => change_passphrase(common, &file, new_passphrase_file.as_deref(), remove),
        Verb::Show { file } => {
            let identity = read(&file, common)?;
            show(&identity, &file, common)
        }
    }
}

fn new(common: &Common, out: &Path, encrypt: bool) -> Result<(), Failure> {
    let file = common.secret_file(Secret::Key);
    let secret = (encrypt || file.is_some())
        .then(|| new_passphrase("Pass phrase of the key file", file.as_deref()))
        .transpose()?;
    if let (Some(file), None) = (&file, &common.passphrase_file) {
        // Tell the user: the variable may have been set for another key.
        say(format_args!(
            "The key is encrypted under the pass phrase in {}.",
            file.display()
        ));
    }
    let identity = Identity::generate(&mut SystemEntropy);
    write_new(&identity, out, secret.as_ref())?;
    show(&identity, out, common)
}

/// Logs in, which unseals the key with the pass phrase, and writes it.
fn fetch(common: &Common, fetch: &Fetch) -> Result<(), Failure> {
    files::check(&fetch.out, Existing::Kept)?;
    let (name, passphrase) = fetch.login.person(common)?;
    let (runtime, client) = fetch.login.connect_as(name, passphrase)?;
    let written = fetched(&client, fetch).and_then(|identity| show(identity, &fetch.out, common));
    // A GOODBYE that does not arrive makes no difference.
    let _ = runtime.block_on(client.close());
    written
}

fn fetched<'a>(client: &'a Client, fetch: &Fetch) -> Result<&'a Identity, Failure> {
    let identity = client.identity().ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            "no_key",
            "the site stores no key of this account",
        )
    })?;
    let file = fetch.key_passphrase_file.as_deref();
    let secret = fetch
        .encrypt
        .then(|| new_passphrase("Pass phrase of the key file", file))
        .transpose()?;
    write_new(identity, &fetch.out, secret.as_ref())?;
    Ok(identity)
}

/// Writes a new key file and, beside it, the certificate.
fn write_new(identity: &Identity, out: &Path, secret: Option<&Passphrase>) -> Result<(), Failure> {
    let pem = key_file::write_identity(identity, secret, &mut SystemEntropy);
    let mut public = out.as_os_str().to_owned();
    public.push(".pub");
    files::write(out, PRIVATE, Existing::Kept, pem.expose().as_bytes())?;
    let certificate = identity.certificate().to_pem();
    let public = Path::new(&public);
    if let Err(failure) = files::write(public, PUBLIC, Existing::Kept, certificate.as_bytes()) {
        // A private key without its certificate is of no use.
        let _ = std::fs::remove_file(out);
        return Err(failure);
    }
    Ok(())
}

fn show(identity: &Identity, file: &Path, common: &Common) -> Result<(), Failure> {
    let thumbprint = identity.certificate().thumbprint();
    match common.format() {
        Format::Text => print(&format!("{}: {thumbprint}", file.display())),
        Format::Json | Format::Jsonl => {
            let shown = json!({ "file": path(file), "thumbprint": thumbprint.to_string() });
            print_json(&shown.to_string())
        }
    }
}

/// Writes the same identity under another pass phrase. The file is always complete: the new one replaces
/// it after it was written.
fn change_passphrase(
    common: &Common,
    file: &Path,
    new: Option<&Path>,
    remove: bool,
) -> Result<(), Failure> {
    let standard = Some(Path::new(STANDARD));
    if new == standard && common.passphrase_file.as_deref() == standard {
        return Err(Failure::usage(
            "standard input cannot provide both pass phrases",
        ));
    }
    // Write to the target of a symbolic link, so that the link stays a link.
    let file = std::fs::canonicalize(file).map_err(|error| Failure::file(file, &error))?;
    let identity = read(&file, common)?;
    let secret = (!remove)
        .then(|| new_passphrase(&format!("New pass phrase of {}", file.display()), new))
        .transpose()?;
    let pem = key_file::write_identity(&identity, secret.as_ref(), &mut SystemEntropy);
    files::write(&file, PRIVATE, Existing::Replaced, pem.expose().as_bytes())?;
    show(&identity, &file, common)
}

/// Reads a key file. Asks for its pass phrase if it is encrypted.
pub(crate) fn read(file: &Path, common: &Common) -> Result<Identity, Failure> {
    warn_if_others_can_read(file);
    opened(&input::text(file)?, file, common)
}

/// The identity in the text of a key file.
pub(super) fn opened(pem: &str, file: &Path, common: &Common) -> Result<Identity, Failure> {
    let identity = match key_file::read_identity(pem, None) {
        Err(KeyFileError::NeedsPassphrase) => {
            let prompt = format!("Pass phrase of {}", file.display());
            let secret = passphrase(&prompt, common.secret_file(Secret::Key).as_deref())?;
            key_file::read_identity(pem, Some(&secret))
        }
        read => read,
    };
    identity.map_err(|error| {
        let exit = match error {
            KeyFileError::WrongPassphrase => Exit::NotAuthenticated,
            _ => Exit::Failure,
        };
        Failure::new(
            exit,
            "key_file",
            format_args!("{}: {error}", file.display()),
        )
    })
}

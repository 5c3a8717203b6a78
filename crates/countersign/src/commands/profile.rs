//! `countersign profile`, and connections with a profile.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use countersign_client::device::DeviceConnector;
use countersign_crypto::device_key::{DeviceIdentity, DeviceIdentityError};
use countersign_crypto::key_file::KeyFileError;
use serde_json::{Value, json};

use super::confirm;
use super::link::Link;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input;
use crate::output::{path, say, show_data, show_list};
use crate::profiles::{KeyringEntry, Profile, Profiles, ProfilesFolder};
use crate::secret_input::{Secret, passphrase, warn_if_others_can_read};

#[derive(Debug, Args)]
pub(crate) struct Command {
    #[command(flatten)]
    folder: ProfilesFolder,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the profiles of this device.
    List,
    /// Makes a profile the default.
    Use {
        /// Name of the profile.
        name: String,
    },
    /// Removes a profile and the key that `enrol` created for it.
    Remove {
        /// Name of the profile.
        name: String,
    },
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), Failure> {
    let profiles = command.folder.open()?;
    match &command.verb {
        Verb::List => list(common, &profiles),
        Verb::Use { name } => {
            let _lock = profiles.lock()?;
            profiles.read(name)?;
            profiles.set_default(name)?;
            let text = format!("{name} is the default profile.");
            show_data(
                &json!({ "profile": name }).to_string(),
                &text,
                common.format(),
            )
        }
        Verb::Remove { name } => {
            if !profiles.has(name)? {
                // Says that there is none.
                profiles.read(name)?;
            }
            confirm::agree(
                common,
                &format!(
                    "profile remove {name}: this device loses its key and cannot connect any more"
                ),
            )?;
            // After the question: a command that waits for its answer must not hold others up.
            let _lock = profiles.lock()?;
            // A damaged profile names no entry.
            let entry = profiles.read(name).ok().and_then(|profile| profile.keyring);
            profiles.remove(name)?;
            // Without the key, the pass phrase opens nothing.
            if let Some(Err(failure)) = entry.map(|entry| entry.remove()) {
                say(format_args!("warning: {}", failure.message));
            }
            let text = format!(
                "Removed the profile {name}. The site still lists the device: revoke it there with \
                 `countersign device revoke ID`."
            );
            show_data(
                &json!({ "profile": name }).to_string(),
                &text,
                common.format(),
            )
        }
    }
}

fn list(common: &Common, profiles: &Profiles) -> Result<(), Failure> {
    let default = profiles.default_name()?;
    let (mut entries, mut lines) = (Vec::new(), Vec::new());
    for name in profiles.names()? {
        let is_default = default.as_ref() == Some(&name);
        let mark = if is_default { "*" } else { " " };
        match profiles.read(&name) {
            Ok(profile) => {
                let address = profile.enrolled.as_ref().map_or_else(
                    || "not enrolled: repeat `countersign enrol`".to_owned(),
                    |enrolled| format!("{}:{}", enrolled.host, enrolled.port),
                );
                lines.push(format!("{mark} {name}  {}  {address}", profile.id));
                entries.push(entry(&name, &profile, profiles, is_default));
            }
            Err(failure) => {
                lines.push(format!("{mark} {name}  damaged: {}", failure.message));
                entries.push(
                    json!({ "name": name, "default": is_default, "problem": failure.message }),
                );
            }
        }
    }
    let data = json!({ "entries": entries }).to_string();
    show_list(
        "profile list",
        &data,
        &lines.join("\n"),
        common.format(),
        str::to_owned,
    )
}

fn entry(name: &str, profile: &Profile, profiles: &Profiles, is_default: bool) -> Value {
    let enrolled = profile.enrolled.as_ref();
    json!({
        "name": name,
        "default": is_default,
        "id": profile.id.to_string(),
        "device": enrolled.map(|enrolled| &enrolled.device),
        "host": enrolled.map(|enrolled| &enrolled.host),
        "port": enrolled.map(|enrolled| enrolled.port),
        "key": path(&profiles.key(profile)),
    })
}

/// A device that can connect: its profile and its key.
pub(crate) struct Device {
    pub(crate) profile: Profile,
    pub(crate) connector: DeviceConnector,
    profiles: Profiles,
    /// The profile's name.
    name: String,
}

impl Device {
    /// Reads a profile, the default one without a name, and its key; asks for the key's pass phrase.
    pub(crate) fn read(
        common: &Common,
        folder: &ProfilesFolder,
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        let profiles = folder.open()?;
        let name = match name {
            Some(name) => name.to_owned(),
            None => profiles.default_name()?.ok_or_else(no_default)?,
        };
        let profile = profiles.read(&name)?;
        let Some(enrolled) = &profile.enrolled else {
            let message = format_args!("the device of the profile {name} is not enrolled");
            return Err(
                Failure::new(Exit::NotAuthenticated, "not_enrolled", message)
                    .hint("run `countersign enrol` with the same ticket again"),
            );
        };
        let identity = read_key(common, &profiles.key(&profile), profile.keyring.as_ref())?;
        let mut connector = DeviceConnector::new(
            &enrolled.host,
            enrolled.port,
            profile.site_key,
            Arc::new(identity),
        );
        if let Some(known) = profile.known_site {
            connector = connector.expect(known);
        }
        Ok(Self {
            profile,
            connector,
            profiles,
            name,
        })
    }

    /// Connects to the site.
    pub(super) async fn connect(&self) -> Result<Link, Failure> {
        let id = self.profile.id.clone();
        let account = id.to_string();
        let connection = self.connector.connect(id).await?;
        let known = self.connector.known_site();
        if let Some(known) = known.filter(|known| Some(*known) != self.profile.known_site) {
            // The connection is good. Without the profile the next one follows the events again.
            if let Err(failure) = self.profiles.record(&self.name, known) {
                say(format_args!("warning: {}", failure.message));
            }
        }
        Ok(Link::Device {
            connection,
            account,
        })
    }
}

fn no_default() -> Failure {
    Failure::usage("no site to connect to was given, and there is no default profile").hint(
        "give --site URI with --as NAME or --key FILE; or enrol this device with `countersign enrol`, or \
         choose a profile with `countersign profile use NAME`",
    )
}

/// Reads a device's key file. If it is encrypted, its pass phrase comes from a file that is named, from the
/// keyring, or from a prompt.
pub(super) fn read_key(
    common: &Common,
    file: &Path,
    keyring: Option<&KeyringEntry>,
) -> Result<DeviceIdentity, Failure> {
    warn_if_others_can_read(file);
    let pem = input::text(file)?;
    let identity = match DeviceIdentity::from_pem(&pem) {
        Err(DeviceIdentityError::Encrypted) => {
            let prompt = format!("Pass phrase of {}", file.display());
            let secret = match (common.secret_file(Secret::Key), keyring) {
                (None, Some(entry)) => entry.read()?,
                (secret_file, _) => passphrase(&prompt, secret_file.as_deref())?,
            };
            DeviceIdentity::from_encrypted_pem(&pem, &secret)
        }
        read => read,
    };
    identity.map_err(|error| {
        let exit = match error {
            DeviceIdentityError::Encryption(KeyFileError::WrongPassphrase) => {
                Exit::NotAuthenticated
            }
            _ => Exit::Failure,
        };
        let message = format_args!("{}: {error}", file.display());
        Failure::new(exit, "key_file", message)
    })
}

//! `countersign enrol`: registers this device with a ticket and saves a profile.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_client::device::{DeviceError, enrol};
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::secret::Passphrase;
use countersign_proto::device::DeviceName;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::enrolment::client::EnrolmentError;
use countersign_proto::name::AccountName;
use data_encoding::HEXLOWER;
use serde_json::json;
use tokio::runtime::Runtime;

use super::profile::read_key;
use super::ticket_input::TicketInput;
use crate::failure::{Exit, Failure, KEY_EVENTS_HINT};
use crate::files::{self, Existing, PRIVATE};
use crate::global::Common;
use crate::input;
use crate::output::{path, show_data};
use crate::profiles::{Enrolled, KeyringEntry, Profile, Profiles, ProfilesFolder};
use crate::secret_input::{Secret, new_passphrase};

/// The name of a device whose machine has none.
const UNNAMED: &str = "device";

#[derive(Debug, Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    ticket: TicketInput,
    /// Your id at the site, such as ada@example.org.
    #[arg(long, value_name = "NAME")]
    id: AccountName,
    /// What the site calls this device [default: the name of this machine].
    #[arg(long, value_name = "NAME")]
    device_name: Option<DeviceName>,
    /// Uses the key in this file instead of a new one (Ed25519 or P-256, PEM).
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Encrypts the new key under a pass phrase.
    #[arg(long, conflicts_with = "key")]
    passphrase: bool,
    /// Encrypts the new key under a random pass phrase in the keyring of the desktop (`secret-tool`).
    #[arg(long, conflicts_with_all = ["key", "passphrase"])]
    keyring: bool,
    /// Name of the profile to save [default: the id].
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    #[command(flatten)]
    folder: ProfilesFolder,
}

pub(crate) fn run(common: &Common, command: &Enrol) -> Result<(), Failure> {
    let ticket = command.ticket.read()?;
    let token = HEXLOWER.encode(&ticket.token().hash().0);
    let profiles = command.folder.open()?;
    let name = match &command.profile {
        Some(name) => name.clone(),
        None => command.id.to_string(),
    };
    let _lock = profiles.lock()?;
    let known = match profiles.has(&name)? {
        true => Some(profiles.read(&name)?),
        false => None,
    };
    if let Some(known) = &known
        && known.enrolled.is_some()
        && (known.ticket != token || known.id != command.id)
    {
        let message = format_args!("there is a profile {name} of an enrolled device");
        return Err(Failure::new(Exit::Conflict, "profile_exists", message).hint(
            "give this one another name with --profile, or remove the other with `countersign profile remove NAME`",
        ));
    }
    let entry = known.as_ref().and_then(|known| known.keyring.clone());
    // The same ticket again: the reply may have been lost, and only the same key gets it again.
    let repeated = known.filter(|known| known.ticket == token && known.id == command.id);
    let (mut profile, identity) = match repeated {
        Some(profile) => {
            let file = profiles.key(&profile);
            command.expect_key(&file)?;
            let identity = read_key(common, &file, profile.keyring.as_ref())?;
            if file == profiles.own_key(&name)? {
                command.encrypt_plain(common, &file, &identity)?;
            }
            (profile, identity)
        }
        None => command.prepare(common, &profiles, &name, &ticket, token, entry)?,
    };
    let enrolment = {
        let runtime =
            Runtime::new().map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
        let enrolling = enrol(
            &ticket,
            command.id.clone(),
            &identity,
            command.device_name(),
        );
        runtime.block_on(enrolling)?
    };
    let reply = &enrolment.reply;
    let enrolled = Enrolled {
        device: reply.device().to_owned(),
        host: reply.host().to_owned(),
        port: reply.port(),
    };
    profile.enrolled = Some(enrolled.clone());
    profile.known_site = Some(enrolment.site);
    profiles.write(&name, &profile)?;
    let default = profiles.default_name()?;
    let is_default = match default {
        Some(default) if profiles.has(&default)? => default == name,
        _ => {
            profiles.set_default(&name)?;
            true
        }
    };
    let data = json!({
        "profile": name,
        "default": is_default,
        "id": profile.id.to_string(),
        "device": enrolled.device,
        "host": enrolled.host,
        "port": enrolled.port,
        "key": path(&profiles.key(&profile)),
        "thumbprint": identity.public().thumbprint().to_string(),
    });
    let saved = match is_default {
        true => format!("Saved the profile {name}, which is the default."),
        false => format!("Saved the profile {name}."),
    };
    let text = format!("Enrolled this device of {}. {saved}", profile.id);
    show_data(&data.to_string(), &text, common.format())
}

impl Enrol {
    fn device_name(&self) -> DeviceName {
        let machine = || {
            let name = rustix::system::uname();
            name.nodename().to_string_lossy().parse().ok()
        };
        let name = self.device_name.clone().or_else(machine);
        // The constant is a valid name, so this ends.
        name.or_else(|| UNNAMED.parse().ok())
            .unwrap_or_else(|| std::process::abort())
    }

    /// Creates or reads the key, and saves key and profile before anything is sent.
    fn prepare(
        &self,
        common: &Common,
        profiles: &Profiles,
        name: &str,
        ticket: &EnrolmentTicket,
        token: String,
        former: Option<KeyringEntry>,
    ) -> Result<(Profile, DeviceIdentity), Failure> {
        let keyring = match (self.keyring, former) {
            (true, former) => Some(former.unwrap_or_else(KeyringEntry::new)),
            (false, Some(former)) => {
                // The key that it opens is replaced.
                let _ = former.remove();
                None
            }
            (false, None) => None,
        };
        let (key, identity) = match &self.key {
            Some(file) => {
                let identity = read_key(common, file, None)?;
                let file =
                    std::fs::canonicalize(file).map_err(|error| Failure::file(file, &error))?;
                (file, identity)
            }
            None => {
                let file = profiles.own_key(name)?;
                let secret = keyring
                    .as_ref()
                    .map(|entry| entry.create(name))
                    .transpose()?;
                let identity = self.create_key(common, &file, secret)?;
                (PathBuf::from(format!("{name}.key")), identity)
            }
        };
        let mut profile = Profile::new(self.id.clone(), *ticket.site(), key, token);
        profile.keyring = keyring;
        profiles.write(name, &profile)?;
        Ok((profile, identity))
    }

    /// Checks that the key of an earlier attempt with this ticket is the one of `--key`, if it is given:
    /// the site accepts no other key with the ticket.
    fn expect_key(&self, earlier: &Path) -> Result<(), Failure> {
        let Some(file) = &self.key else {
            return Ok(());
        };
        let given = std::fs::canonicalize(file).map_err(|error| Failure::file(file, &error))?;
        if std::fs::canonicalize(earlier).is_ok_and(|earlier| earlier == given) {
            return Ok(());
        }
        let message = format_args!(
            "this ticket was used before with the key {}, and a ticket takes one key",
            path(earlier)
        );
        Err(Failure::new(Exit::Conflict, "another_key", message)
            .hint("leave out --key, or ask for a new ticket"))
    }

    /// Encrypts the key of an earlier attempt that was made without a pass phrase, if this one asks for it.
    fn encrypt_plain(
        &self,
        common: &Common,
        file: &Path,
        identity: &DeviceIdentity,
    ) -> Result<(), Failure> {
        let pem = input::text(file)?;
        if DeviceIdentity::from_pem(&pem).is_err() {
            return Ok(());
        }
        let Some(secret) = self.new_secret(common)? else {
            return Ok(());
        };
        let pem = identity.to_encrypted_pem(&secret, &mut SystemEntropy);
        files::write(file, PRIVATE, Existing::Replaced, pem.expose().as_bytes())
    }

    /// The pass phrase of the key, if one is asked for.
    fn new_secret(&self, common: &Common) -> Result<Option<Passphrase>, Failure> {
        let file = common.secret_file(Secret::Key);
        (self.passphrase || file.is_some())
            .then(|| new_passphrase("Pass phrase of the key", file.as_deref()))
            .transpose()
    }

    /// Creates a key. A key of an earlier ticket is replaced: it was not enrolled, and the site
    /// would refuse it with this ticket if it was.
    fn create_key(
        &self,
        common: &Common,
        file: &Path,
        of_keyring: Option<Passphrase>,
    ) -> Result<DeviceIdentity, Failure> {
        let secret = match of_keyring {
            Some(secret) => Some(secret),
            None => self.new_secret(common)?,
        };
        let entropy = &mut SystemEntropy;
        let identity = DeviceIdentity::generate(entropy);
        let pem = match &secret {
            Some(secret) => identity.to_encrypted_pem(secret, entropy),
            None => identity.to_pem(),
        };
        files::write(file, PRIVATE, Existing::Replaced, pem.expose().as_bytes())?;
        Ok(identity)
    }
}

/// The code of a failure when a site does not accept a device.
pub(super) const DEVICE_REFUSED: &str = "not_authenticated";

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        let (exit, code, hint) = match &error {
            DeviceError::Unreachable { .. } | DeviceError::Timeout { .. } => (
                Exit::Unreachable,
                "unreachable",
                "check that the site is running and that its device port can be reached from here",
            ),
            DeviceError::Handshake { .. } => (
                Exit::Unreachable,
                "closed",
                "check that the address is the device port of a Countersign site and that the site is unsealed",
            ),
            DeviceError::WrongSite { .. } => (
                Exit::NotAuthenticated,
                "wrong_site",
                "ask the site's admin for a new ticket and how the site's key changed",
            ),
            DeviceError::KeyEvents(_) => (Exit::NotAuthenticated, "key_events", KEY_EVENTS_HINT),
            DeviceError::Refused { .. } => (
                Exit::NotAuthenticated,
                DEVICE_REFUSED,
                "ask an admin; at the site, `countersign device list` shows the devices and `countersign doctor` \
                 what is wrong with the site",
            ),
            DeviceError::Enrolment(EnrolmentError::Refused) => (
                Exit::NotAuthenticated,
                "not_enrolled",
                "run the same command once more, in case only the reply was lost; if it fails again, check the id \
                 and ask for a new ticket",
            ),
            DeviceError::Enrolment(EnrolmentError::Broken) => {
                (Exit::Unreachable, "connection_lost", "")
            }
            DeviceError::Enrolment(EnrolmentError::WrongKind(_)) => (Exit::Usage, "usage", ""),
            DeviceError::Enrolment(EnrolmentError::AnotherSite) => {
                (Exit::NotAuthenticated, "wrong_site", "")
            }
            DeviceError::Welcome(_)
            | DeviceError::Enrolment(EnrolmentError::Reply(_))
            | DeviceError::Setup(_) => (
                Exit::Failure,
                "protocol",
                "check that client and site have the same version",
            ),
        };
        let warning = match &error {
            DeviceError::WrongSite { .. }
            | DeviceError::KeyEvents(_)
            | DeviceError::Enrolment(EnrolmentError::AnotherSite) => "WARNING: ",
            _ => "",
        };
        Self::new(exit, code, format_args!("{warning}{error}")).hint(hint)
    }
}

//! The folder of profiles.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use countersign_proto::site_identity::KnownSite;

use super::Profile;
use crate::failure::{Exit, Failure};
use crate::files::{self, Existing, PRIVATE};
use crate::input;

/// The longest file of a profile that is read, in bytes. Ours have some 400.
const MAX_PROFILE_FILE: u64 = 64 * 1024;
/// The longest name of a profile, in bytes: an id fits, and file systems take 255 with the ending.
const MAX_NAME: usize = 200;

/// Where profiles are.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProfilesFolder {
    /// Folder of profiles [default: $XDG_CONFIG_HOME/countersign or ~/.config/countersign].
    #[arg(long, env = "COUNTERSIGN_CONFIG_HOME", value_name = "DIR")]
    config_home: Option<PathBuf>,
}

impl ProfilesFolder {
    pub(crate) fn open(&self) -> Result<Profiles, Failure> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let usual = || {
            let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
            let config = config.filter(|config| config.is_absolute());
            let home = || Some(PathBuf::from(variable("HOME")?).join(".config"));
            Some(config.or_else(home)?.join("countersign"))
        };
        let home = self.config_home.clone().or_else(usual);
        let home = home.ok_or_else(|| {
            Failure::usage("there is no folder for profiles: HOME is not set")
                .hint("give --config-home DIR")
        })?;
        Ok(Profiles { home })
    }
}

/// The profiles of a user.
#[derive(Debug, Clone)]
pub(crate) struct Profiles {
    home: PathBuf,
}

impl Profiles {
    #[cfg(test)]
    pub(super) fn in_folder(home: &Path) -> Self {
        let home = home.to_owned();
        Self { home }
    }

    /// Creates the folder, for its owner only, and locks it until the result is dropped: of two commands that
    /// enrol at the same time, one would otherwise replace the key of the other.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        let folder = self.folder();
        let created = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        let locked = created.and_then(|()| {
            let opened = File::open(&folder)?;
            opened.lock().map(|()| opened)
        });
        locked.map_err(|error| Failure::file(&folder, &error))
    }

    /// The names of all profiles, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let folder = self.folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file(&folder, &error)),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Reads a profile.
    pub(crate) fn read(&self, name: &str) -> Result<Profile, Failure> {
        let file = self.file(name)?;
        let found = std::fs::metadata(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => no_profile(name),
            _ => Failure::file(&file, &error),
        })?;
        let damaged = |problem: &dyn std::fmt::Display| {
            let message = format_args!("the profile {}: {problem}", file.display());
            Failure::new(Exit::Failure, "profile", message).hint(
                "correct the file; or remove it with `countersign profile remove NAME` and enrol this device \
                 again with a new ticket",
            )
        };
        if found.len() > MAX_PROFILE_FILE {
            return Err(damaged(&"the file is too long"));
        }
        toml::from_str(&input::text(&file)?)
            .map_err(|error| damaged(&error.to_string().trim_end().to_owned()))
    }

    /// Whether there is a profile of that name.
    pub(crate) fn has(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.file(name)?.exists())
    }

    /// Writes a profile: completely, or not at all.
    pub(crate) fn write(&self, name: &str, profile: &Profile) -> Result<(), Failure> {
        let text = toml::to_string(profile)
            .map_err(|error| Failure::new(Exit::Failure, "profile", error))?;
        let file = self.file(name)?;
        files::write(&file, PRIVATE, Existing::Replaced, text.as_bytes())
    }

    /// Stores what a connection with a profile has shown of its site, unless it is known already.
    pub(crate) fn record(&self, name: &str, learned: KnownSite) -> Result<(), Failure> {
        let number = |known: KnownSite| known.newest().event().number;
        let _lock = self.lock()?;
        let mut profile = self.read(name)?;
        let is_known = |known| number(known) >= number(learned);
        if profile.known_site.is_some_and(is_known) {
            return Ok(());
        }
        profile.known_site = Some(learned);
        self.write(name, &profile)
    }

    /// Removes a profile, and its key if that is in this folder.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let own_key = self.own_key(name)?;
        let file = self.file(name)?;
        for file in [&own_key, &file] {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Failure::file(file, &error));
                }
                _ => {}
            }
        }
        if self.default_name()?.as_deref() == Some(name) {
            let default = self.default_file();
            std::fs::remove_file(&default).map_err(|error| Failure::file(&default, &error))?;
        }
        Ok(())
    }

    /// The name of the default profile, if there is one.
    pub(crate) fn default_name(&self) -> Result<Option<String>, Failure> {
        let file = self.default_file();
        if !file.exists() {
            return Ok(None);
        }
        let name = input::text(&file)?.trim().to_owned();
        Ok(check_name(&name).is_ok().then_some(name))
    }

    /// Makes a profile the default.
    pub(crate) fn set_default(&self, name: &str) -> Result<(), Failure> {
        let text = format!("{name}\n");
        let file = self.default_file();
        files::write(&file, PRIVATE, Existing::Replaced, text.as_bytes())
    }

    /// The path of the key that `enrol` creates for a profile.
    pub(crate) fn own_key(&self, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        Ok(self.folder().join(format!("{name}.key")))
    }

    /// The path of a profile's key.
    pub(crate) fn key(&self, profile: &Profile) -> PathBuf {
        self.folder().join(&profile.key)
    }

    fn file(&self, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        Ok(self.folder().join(format!("{name}.toml")))
    }

    fn folder(&self) -> PathBuf {
        self.home.join("profiles")
    }

    fn default_file(&self) -> PathBuf {
        self.home.join("default")
    }
}

/// Checks that a name of a profile is a name of a file in its folder and looks like itself.
fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-+".contains(&byte);
    let is_name = Path::new(name).file_name().is_some()
        && name.len() <= MAX_NAME
        && name.bytes().all(allowed)
        && !name.starts_with(['.', '-']);
    match is_name {
        true => Ok(()),
        false => Err(
            Failure::usage(format_args!("{name:?} is not a name of a profile"))
                .hint("use letters, digits and @ . _ + -"),
        ),
    }
}

fn no_profile(name: &str) -> Failure {
    let message = format_args!("there is no profile {name}");
    Failure::new(Exit::NotFound, "no_profile", message)
        .hint("`countersign profile list` shows the profiles")
}

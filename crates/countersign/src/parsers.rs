//! The parsers of what operators and users write, for fuzz targets. Each returns what it read as text, which
//! it reads again as the same; an error says why it refuses the text.

use std::fmt::Display;

use crate::backup::Manifest;
use crate::config::{self, Config, DeviceAddress, LogFilter, PublicHost};
use crate::failure::Failure;
use crate::input::params::{self, Params};
use crate::input::{self, duration};
use crate::known_sites::Document;
use crate::profiles::Profile;

/// The configuration file, `countersign.toml`. The result shows the settings. A listener that is given by
/// name is looked up.
///
/// # Errors
/// The text is no configuration.
pub fn configuration(text: &str) -> Result<String, String> {
    config::parse(text).map(|config| shown(&config))
}

/// The same settings from a table, as they are read without a file.
///
/// # Errors
/// As [`configuration`].
pub fn configuration_table(table: toml::Table) -> Result<String, String> {
    config::from_table(table).map(|config| shown(&config))
}

fn shown(config: &Config) -> String {
    format!("{config:?} {:?}", config.limits())
}

/// A duration, in milliseconds.
///
/// # Errors
/// The text is no duration.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    duration::milliseconds(text)
}

/// A duration, in whole seconds.
///
/// # Errors
/// As [`milliseconds`]; or it is not in whole seconds, or more than 136 years.
pub fn seconds(text: &str) -> Result<u32, String> {
    duration::seconds(text)
}

/// A log filter.
///
/// # Errors
/// The text is no filter.
pub fn log_filter(text: &str) -> Result<String, String> {
    let filter: LogFilter = text.parse()?;
    Ok(filter.as_str().to_owned())
}

/// The public host of a site.
///
/// # Errors
/// The text is no host.
pub fn public_host(text: &str) -> Result<String, String> {
    text.parse().map(|host: PublicHost| host.to_string())
}

/// The address under which devices reach a site: host, and port if it has one.
///
/// # Errors
/// The text is no address.
pub fn device_address(text: &str) -> Result<String, String> {
    let address: DeviceAddress = text.parse()?;
    Ok(match address.port() {
        Some(port) => format!("{}:{port}", address.host()),
        None => address.host().to_string(),
    })
}

/// The file of a profile.
///
/// # Errors
/// The text is no profile.
pub fn profile(text: &str) -> Result<String, String> {
    let profile: Profile = toml::from_str(text).map_err(problem)?;
    toml::to_string(&profile).map_err(problem)
}

/// The file of known sites.
///
/// # Errors
/// The text is no such file.
pub fn known_sites(text: &str) -> Result<String, String> {
    let document = Document::parse(text)?;
    serde_json::to_string(&document).map_err(problem)
}

/// The manifest of a backup.
///
/// # Errors
/// The bytes are no manifest.
pub fn backup_manifest(line: &[u8]) -> Result<String, String> {
    let manifest = Manifest::parse(line).ok_or("its manifest is invalid")?;
    serde_json::to_string(&manifest).map_err(problem)
}

/// A line of the shell: its words, and the parameters that the words are as JSON.
///
/// # Errors
/// The line ends inside quotes, or a word is no parameter.
pub fn parameters(line: &str) -> Result<String, String> {
    let read = params::words(line).and_then(|words| params::parse(&words));
    let params = read.as_ref().map_err(message).map(Params::to_raw)?;
    let params = params.map_err(|failure| message(&failure))?;
    Ok(params.get().to_owned())
}

/// The bytes of a file as text.
///
/// # Errors
/// The bytes are no text.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    input::decoded(bytes).map_err(problem)
}

fn problem(error: impl Display) -> String {
    error.to_string()
}

fn message(failure: &Failure) -> String {
    failure.message.clone()
}

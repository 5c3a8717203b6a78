//! The first line of the site: the limits of the connection.

use serde::{Deserialize, Serialize};

use crate::json;

/// The longest line, in bytes with its line end: room for members to come.
pub const MAX_WELCOME: usize = 4 * 1024;

/// The line `{"welcome":{"idle_seconds":900,"line_bytes":1048576,"in_flight":64}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWelcome {
    /// The site closes the connection after so many seconds without a line from the device.
    pub idle_seconds: u32,
    /// The longest line that the site reads, in bytes without its line end.
    pub line_bytes: u32,
    /// Operations that may be under way at a time.
    pub in_flight: u32,
}

/// The line is no welcome: the other side is no site, or a later one that this program cannot use.
#[derive(Debug, thiserror::Error)]
pub enum BadWelcome {
    /// More than [`MAX_WELCOME`] bytes.
    #[error("the site's first line is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the site's first line is no welcome: {0}")]
    Json(#[from] serde_json::Error),
    /// A limit is 0, so that nothing could be sent.
    #[error("the site's first line allows nothing to be sent")]
    Zero,
}

#[derive(Deserialize)]
struct Line {
    welcome: DeviceWelcome,
}

impl DeviceWelcome {
    /// Reads the line, with or without its line end. Members that are not known are ignored, so
    /// that a later site can say more.
    ///
    /// # Errors
    /// [`BadWelcome`].
    pub fn read(line: &[u8]) -> Result<Self, BadWelcome> {
        if line.len() > MAX_WELCOME {
            return Err(BadWelcome::TooLong);
        }
        let Line { welcome } = json::read(line)?;
        match [welcome.idle_seconds, welcome.line_bytes, welcome.in_flight].contains(&0) {
            true => Err(BadWelcome::Zero),
            false => Ok(welcome),
        }
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let Self {
            idle_seconds,
            line_bytes,
            in_flight,
        } = self;
        format!(
            "{{\"welcome\":{{\"idle_seconds\":{idle_seconds},\"line_bytes\":{line_bytes},\
             \"in_flight\":{in_flight}}}}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // DEV-21
    #[test]
    fn the_welcome_tells_limits_and_idle_time() {
        let welcome = DeviceWelcome {
            idle_seconds: 900,
            line_bytes: 1_048_576,
            in_flight: 64,
        };
        let line = "{\"welcome\":{\"idle_seconds\":900,\"line_bytes\":1048576,\"in_flight\":64}}\n";
        assert_eq!(welcome.to_line(), line);
        assert_eq!(DeviceWelcome::read(line.as_bytes()).unwrap(), welcome);
        let later = line.replace("{\"idle", "{\"later\":[1],\"idle");
        assert_eq!(DeviceWelcome::read(later.as_bytes()).unwrap(), welcome);
        for wrong in [
            "",
            "{}",
            "{\"welcome\":{}}",
            &line.replace("900", "-1"),
            &line.replace("900", "4294967296"),
            &line.replace("64", "0"),
            &line.replace("64", "\"64\""),
            &format!("{line}{}", " ".repeat(MAX_WELCOME)),
        ] {
            assert!(DeviceWelcome::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}

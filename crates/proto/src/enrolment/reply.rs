//! The site's one answer: the device is enrolled.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::site_identity::SiteId;
use crate::uri::is_host;

/// The longest line, in bytes with its line end.
pub const MAX_REPLY: usize = 4 * 1024;
/// The longest device id, in characters.
const MAX_DEVICE_ID: usize = 64;

/// The device is enrolled, and where it connects from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentReply {
    device: String,
    host: String,
    port: u16,
    site: SiteId,
}

/// The line's members. A device ignores those that it does not know.
#[derive(Serialize, Deserialize)]
struct Form {
    ok: bool,
    device: String,
    host: String,
    port: u16,
    #[serde(serialize_with = "json::serialize", deserialize_with = "json::array")]
    site_id: [u8; 32],
}

/// Why a line is no reply. The fault is with the site.
#[derive(Debug, thiserror::Error)]
pub enum BadReply {
    /// More than [`MAX_REPLY`] bytes.
    #[error("the site's answer is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the site's answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// `ok` is `false`.
    #[error("the site's answer says neither yes nor no")]
    NotOk,
    /// The device's id is empty, too long, or has other characters than letters, digits and
    /// hyphens.
    #[error("the site's answer has no sound device id")]
    Device,
    /// Host or port is none.
    #[error("the site's answer has no sound address")]
    Address,
}

impl EnrolmentReply {
    /// A reply with the device's id, the address for later connections, and the site's id.
    ///
    /// # Errors
    /// [`BadReply::Device`] and [`BadReply::Address`].
    pub fn new(device: &str, host: &str, port: u16, site: SiteId) -> Result<Self, BadReply> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if device.is_empty() || device.len() > MAX_DEVICE_ID || !device.bytes().all(allowed) {
            return Err(BadReply::Device);
        }
        if !is_host(host) || port == 0 {
            return Err(BadReply::Address);
        }
        Ok(Self {
            device: device.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
            site,
        })
    }

    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadReply`].
    pub fn read(line: &[u8]) -> Result<Self, BadReply> {
        if line.len() > MAX_REPLY {
            return Err(BadReply::TooLong);
        }
        let form: Form = json::read(line)?;
        if !form.ok {
            return Err(BadReply::NotOk);
        }
        Self::new(&form.device, &form.host, form.port, SiteId(form.site_id))
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let form = Form {
            ok: true,
            device: self.device.clone(),
            host: self.host.clone(),
            port: self.port,
            site_id: self.site.0,
        };
        let mut line = serde_json::to_vec(&form).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The device's id at the site.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Where later connections go: a DNS name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port there.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The site's id.
    #[must_use]
    pub fn site_id(&self) -> SiteId {
        self.site
    }
}

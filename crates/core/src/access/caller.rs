//! Who asks, and through which door.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::{AccountId, SessionId};

/// The way an operation reached the site. Behind the door it only matters to the audit log, and to
/// the few operations that are answered at the admin socket alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A packet of the session protocol.
    Session,
    /// A connection of a person's device.
    Device,
    /// A request over HTTP.
    Http,
    /// The local admin socket: whoever may read the site's folder.
    AdminSocket,
    /// An initialisation script in the site's folder.
    Init,
    /// The site itself.
    Site,
}

impl Channel {
    /// All doors.
    pub const ALL: [Self; 6] = [
        Self::Session,
        Self::Device,
        Self::Http,
        Self::AdminSocket,
        Self::Init,
        Self::Site,
    ];

    /// Whether an operation that came this way was sent by a process on the site's own machine that may read the
    /// site's folder.
    #[must_use]
    pub const fn is_local(self) -> bool {
        match self {
            Self::AdminSocket | Self::Init | Self::Site => true,
            Self::Session | Self::Device | Self::Http => false,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Device => "device",
            Self::Http => "http",
            Self::AdminSocket => "admin_socket",
            Self::Init => "init",
            Self::Site => "site",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who calls an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, when one logged in.
    pub account: Option<AccountId>,
    /// Its name, or what else to call it in the audit log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The way it came.
    pub channel: Channel,
    /// Its session, when it came through one.
    pub session: Option<SessionId>,
}

impl Caller {
    /// Whoever has the site's folder: always an admin, so that a site can always be recovered.
    #[must_use]
    pub fn admin_socket() -> Self {
        Self::at(Channel::AdminSocket, "local admin".to_owned())
    }

    /// The same, with the user id of the process that asked.
    #[must_use]
    pub fn admin_socket_of(uid: u32) -> Self {
        Self::at(Channel::AdminSocket, format!("local admin (uid {uid})"))
    }

    /// The initialisation script of that name.
    #[must_use]
    pub fn init(script: &str) -> Self {
        Self::at(Channel::Init, format!("init script {script}"))
    }

    /// The site itself.
    #[must_use]
    pub fn site() -> Self {
        Self::at(Channel::Site, "site".to_owned())
    }

    const fn at(channel: Channel, name: String) -> Self {
        Self {
            account: None,
            name,
            role: Role::Admin,
            channel,
            session: None,
        }
    }
}

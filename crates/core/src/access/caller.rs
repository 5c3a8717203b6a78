//! The caller of an operation and the channel on which the operation arrived.

use std::fmt;
use std::sync::Arc;

use countersign_proto::name::Zone;
use countersign_proto::site_identity::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpCredential, HttpGrant, Role};
use crate::id::{AccountId, SessionId};

/// The channel on which an operation arrived. Apart from access control, it matters only to the
/// audit log and to the few operations that are available on the admin socket alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A session of the session protocol.
    Session,
    /// A connection of a person's device.
    Device,
    /// A connection of a peer site.
    Peer,
    /// A request over HTTP.
    Http,
    /// A ticket request over HTTP that an application signed with its own key.
    Application,
    /// The local admin socket. Its users have access to the site's folder.
    AdminSocket,
    /// An initialisation script in the site's folder.
    Init,
    /// The site itself.
    Site,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::Device,
        Self::Peer,
        Self::Http,
        Self::Application,
        Self::AdminSocket,
        Self::Init,
        Self::Site,
    ];

    /// Returns whether the operation comes from a process on the site's own machine that has access
    /// to the site's folder.
    #[must_use]
    pub const fn is_local(self) -> bool {
        match self {
            Self::AdminSocket | Self::Init | Self::Site => true,
            Self::Session | Self::Device | Self::Peer | Self::Http | Self::Application => false,
        }
    }

    /// Returns the name of the channel in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Device => "device",
            Self::Peer => "peer",
            Self::Http => "http",
            Self::Application => "application",
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

/// How an operation arrived, for its audit entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Arrival {
    /// The channel.
    pub channel: Channel,
    /// The credential of a request to the API.
    pub credential: Option<HttpCredential>,
}

/// A connection of a peer site, as the caller of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCaller {
    /// The peer.
    pub site: SiteId,
    /// The number of the connection, which no other connection gets while the site runs.
    pub connection: u64,
}

/// The caller of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The caller's account; `None` if the caller did not log in.
    pub account: Option<AccountId>,
    /// The account's name, or the name for this caller in the audit log.
    pub name: String,
    /// The caller's role.
    pub role: Role,
    /// The channel on which the operation arrived.
    pub channel: Channel,
    /// The caller's session, if the operation arrived on one.
    pub session: Option<SessionId>,
    /// The connection of a peer site, if the operation arrived on one.
    pub peer: Option<PeerCaller>,
    /// What the credential of the request permits, if the operation arrived over HTTP.
    pub grant: Option<Arc<HttpGrant>>,
}

impl Caller {
    /// Returns a local user of the admin socket. Always an admin, so that a site can always be
    /// recovered.
    #[must_use]
    pub fn admin_socket() -> Self {
        Self::at(Channel::AdminSocket, "local admin".to_owned())
    }

    /// Like [`Self::admin_socket`], with the user id of the calling process.
    #[must_use]
    pub fn admin_socket_of(uid: u32) -> Self {
        Self::at(Channel::AdminSocket, format!("local admin (uid {uid})"))
    }

    /// Returns the initialisation script with this name.
    #[must_use]
    pub fn init(script: &str) -> Self {
        Self::at(Channel::Init, format!("init script {script}"))
    }

    /// Returns the site itself.
    #[must_use]
    pub fn site() -> Self {
        Self::at(Channel::Site, "site".to_owned())
    }

    /// Returns a peer site on this connection. It has no role: only operations that name the channel
    /// are available.
    #[must_use]
    pub fn peer(peer: PeerCaller, zone: &Zone) -> Self {
        Self {
            role: Role::Service,
            peer: Some(peer),
            ..Self::at(Channel::Peer, format!("peer {zone}"))
        }
    }

    /// Returns the application with this id, whose ticket request was verified. It has no account:
    /// policy decides which providers it may call.
    #[must_use]
    pub fn application(id: impl fmt::Display) -> Self {
        Self {
            role: Role::Service,
            ..Self::at(Channel::Application, format!("application {id}"))
        }
    }

    /// Returns whether a device calls, over its own connection or over HTTP.
    #[must_use]
    pub fn is_device(&self) -> bool {
        let grant = self.grant.as_ref();
        let over_http =
            grant.is_some_and(|grant| matches!(grant.credential, HttpCredential::Device(_)));
        over_http || self.channel == Channel::Device
    }

    /// Returns how the operation arrived.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        Arrival {
            channel: self.channel,
            credential: self.grant.as_ref().map(|grant| grant.credential),
        }
    }

    const fn at(channel: Channel, name: String) -> Self {
        Self {
            account: None,
            name,
            role: Role::Admin,
            channel,
            session: None,
            peer: None,
            grant: None,
        }
    }
}

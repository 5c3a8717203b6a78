//! What a lockdown of the site refuses: one table for all channels and listeners.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Channel;

/// The level of a lockdown of the site. Each level refuses what the one before it refuses, and more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LockdownLevel {
    /// No new enrolment: no new device, account, application, key or pass phrase.
    Enrolment,
    /// No new logins and no tickets either. Open sessions continue.
    Logins,
    /// Only the local admin socket acts. Every session and connection ends. Over HTTP, what is the
    /// same at every site is still served: the files of the console, the documents of the API and
    /// `OPTIONS`; so is the health listener.
    All,
}

impl LockdownLevel {
    /// All levels, the mildest first.
    pub const ALL: [Self; 3] = [Self::Enrolment, Self::Logins, Self::All];

    /// Returns the name of the level in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Logins => "logins",
            Self::All => "all",
        }
    }
}

impl fmt::Display for LockdownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a level of lockdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a level is `enrolment`, `logins` or `all`")]
pub struct BadLockdownLevel;

impl FromStr for LockdownLevel {
    type Err = BadLockdownLevel;

    fn from_str(text: &str) -> Result<Self, BadLockdownLevel> {
        let named = Self::ALL.into_iter().find(|level| level.as_str() == text);
        named.ok_or(BadLockdownLevel)
    }
}

/// The kind of an operation, as far as a lockdown distinguishes operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Every operation that is not of another kind.
    #[default]
    Ordinary,
    /// It gives an account, an application or a peer a new means to authenticate.
    Enrols,
    /// It returns service tickets, or keys that open them.
    IssuesTickets,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ordinary, Self::Enrols, Self::IssuesTickets];
}

/// Something that a client, or the site itself, is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// An operation of this kind on this channel.
    Operation(OperationKind, Channel),
    /// The enrolment of a device with a ticket.
    DeviceEnrolment,
    /// The request of another site to become a peer with a ticket.
    PeerJoin,
    /// Setting a pass phrase with a ticket.
    PassphraseTicket,
    /// The creation of the first admin with the ticket of the first launch.
    FirstAdmin,
    /// A login with a pass phrase.
    PersonLogin,
    /// A login with the option `delivered-key`.
    DeliveredKeyLogin,
    /// A login with a key.
    ServiceLogin,
    /// A new connection of an enrolled device, over TLS or a WebSocket.
    DeviceConnection,
    /// A new connection with a peer, whichever side opens it.
    PeerConnection,
    /// The resumption of a suspended session.
    Resumption,
    /// A request for the signed time or the key statement of the site, over HTTP.
    Information,
    /// An initialisation script in the site's folder.
    InitScript,
    /// The delivery of an alarm by e-mail or webhook.
    AlarmDelivery,
}

impl Activity {
    /// Everything but operations.
    pub const OTHERS: [Self; 13] = [
        Self::DeviceEnrolment,
        Self::PeerJoin,
        Self::PassphraseTicket,
        Self::FirstAdmin,
        Self::PersonLogin,
        Self::DeliveredKeyLogin,
        Self::ServiceLogin,
        Self::DeviceConnection,
        Self::PeerConnection,
        Self::Resumption,
        Self::Information,
        Self::InitScript,
        Self::AlarmDelivery,
    ];

    /// Returns the lowest level of a site lockdown at which the activity is refused; `None` if it is
    /// never refused. This is the table of lockdown. It is exhaustive over channels and activities,
    /// so that a new one must be given its place here.
    #[must_use]
    pub const fn refused_from(self) -> Option<LockdownLevel> {
        match self {
            // The operator recovers the site here, and must be able to lift the lockdown.
            Self::Operation(_, Channel::AdminSocket | Channel::Site) => None,
            // Without these messages no admin would learn of the lockdown.
            Self::AlarmDelivery => None,
            Self::Operation(OperationKind::Enrols, Channel::Session)
            | Self::Operation(OperationKind::Enrols, Channel::Device)
            | Self::Operation(OperationKind::Enrols, Channel::Http)
            | Self::Operation(OperationKind::Enrols, Channel::Application)
            | Self::Operation(OperationKind::Enrols, Channel::Peer)
            | Self::DeviceEnrolment
            | Self::PeerJoin
            | Self::PassphraseTicket
            | Self::FirstAdmin => Some(LockdownLevel::Enrolment),
            Self::Operation(OperationKind::IssuesTickets, Channel::Session)
            | Self::Operation(OperationKind::IssuesTickets, Channel::Device)
            | Self::Operation(OperationKind::IssuesTickets, Channel::Http)
            | Self::Operation(OperationKind::IssuesTickets, Channel::Application)
            | Self::Operation(OperationKind::IssuesTickets, Channel::Peer)
            | Self::PersonLogin
            | Self::DeliveredKeyLogin
            | Self::ServiceLogin
            | Self::DeviceConnection
            | Self::PeerConnection => Some(LockdownLevel::Logins),
            Self::Operation(OperationKind::Ordinary, Channel::Session)
            | Self::Operation(OperationKind::Ordinary, Channel::Device)
            | Self::Operation(OperationKind::Ordinary, Channel::Http)
            | Self::Operation(OperationKind::Ordinary, Channel::Application)
            | Self::Operation(OperationKind::Ordinary, Channel::Peer)
            | Self::Operation(_, Channel::Init)
            | Self::Resumption
            | Self::Information
            | Self::InitScript => Some(LockdownLevel::All),
        }
    }

    /// Returns whether the activity is permitted while the site is at this level of lockdown; `None`
    /// stands for no lockdown of the site.
    #[must_use]
    pub fn is_permitted_at(self, level: Option<LockdownLevel>) -> bool {
        match (level, self.refused_from()) {
            (Some(level), Some(from)) => level < from,
            (None, _) | (_, None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Activity> {
        let operations = OperationKind::ALL.into_iter().flat_map(|kind| {
            let channels = Channel::ALL.into_iter();
            channels.map(move |channel| Activity::Operation(kind, channel))
        });
        operations.chain(Activity::OTHERS)
    }

    #[test]
    fn a_higher_level_refuses_what_a_lower_level_refuses() {
        for activity in all() {
            let permitted = |level: &LockdownLevel| activity.is_permitted_at(Some(*level));
            assert!(
                LockdownLevel::ALL
                    .iter()
                    .is_sorted_by_key(|level| !permitted(level))
            );
            assert!(activity.is_permitted_at(None));
        }
    }

    #[test]
    fn the_highest_level_permits_the_local_admin_socket_the_site_and_alarms_only() {
        let permitted = all().filter(|activity| activity.is_permitted_at(Some(LockdownLevel::All)));
        for activity in permitted {
            assert!(
                matches!(
                    activity,
                    Activity::Operation(_, Channel::AdminSocket | Channel::Site)
                        | Activity::AlarmDelivery
                ),
                "{activity:?}"
            );
        }
    }

    #[test]
    fn a_level_is_read_from_its_name() {
        for level in LockdownLevel::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert_eq!("everything".parse::<LockdownLevel>(), Err(BadLockdownLevel));
    }
}

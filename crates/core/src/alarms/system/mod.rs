//! The alarms that the site raises itself: their keys, severities and texts
//! (`docs/operate/site-alarms.md`).
//!
//! The data of such an alarm holds its cause, so that a message has the text in the language of its
//! recipient.

mod texts;

use serde::{Deserialize, Serialize};

use super::{Alarm, AlarmData, AlarmKey, AlarmText, Language, Raiser, Severity, Target};
use crate::id::{AccountId, DeviceId, TicketId};
use crate::json::Json;
use crate::lockdown::LockdownLevel;
use crate::throttle::Source;
use crate::timestamp::Timestamp;

/// The cause of an alarm of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum SystemAlarm {
    /// The token of a ticket that is bound to a key came with another key.
    SecondKey {
        /// The ticket; `None` for the one of the first admin.
        ticket: Option<TicketId>,
        /// The person of the ticket.
        account: Option<AccountId>,
        /// The person's name.
        person: String,
        /// Where the other key came from.
        source: String,
    },
    /// A client proved the key of a device that was revoked.
    RevokedDevice {
        /// The thumbprint of the key.
        thumbprint: String,
        /// Where it came from.
        source: String,
        /// The person that had the device; `None` if the account was deleted.
        owner: Option<RevokedOf>,
    },
    /// The key of one device is in use from two networks at once.
    TwoPlaces {
        /// The device.
        device: DeviceId,
        /// Its person.
        account: AccountId,
        /// The person's name.
        person: String,
        /// Its name.
        name: String,
        /// The networks, in ascending order.
        networks: [String; 2],
    },
    /// A person changed where the person's own alarms go.
    ContactChanged {
        /// The person.
        account: AccountId,
        /// The person's name.
        person: String,
        /// When it was changed.
        at: Timestamp,
    },
    /// One actor was refused one operation again and again.
    Refusals {
        /// The operation; `session.login` for logins.
        operation: String,
        /// The account, or the source address.
        actor: String,
        /// The refusals so far in the minute.
        count: u64,
    },
    /// The disk of the database is almost full.
    DiskLow {
        /// The bytes that the site can still write.
        free: u64,
        /// The size of the file system in bytes.
        total: u64,
    },
    /// The newest backup is too old, or there is none.
    BackupOverdue {
        /// The newest backup.
        last: Option<Timestamp>,
    },
    /// The site has a new key.
    NewSiteKey {
        /// The number of its key event.
        event: u64,
        /// The previous key was stolen at this time.
        compromised_since: Option<Timestamp>,
    },
    /// A lockdown was imposed.
    Lockdown {
        /// What is in lockdown: `site`, or `person NAME` and the like.
        target: String,
        /// What the lockdown of the site refuses; `None` if it is not of the site.
        level: Option<LockdownLevel>,
        /// The name of the account or local user that imposed it.
        by: String,
    },
    /// A site claims what is another's, or broke the protocol between peers.
    Peer {
        /// Its site id.
        site: String,
        /// Its person, as it claims.
        id: String,
        /// The claim or the breach.
        problem: PeerAlarm,
    },
    /// A person of a peer sent a message to a person without an open connection.
    PeerMessage {
        /// The recipient.
        account: AccountId,
        /// The recipient's name.
        person: String,
        /// The sender, as the peer claims.
        from: String,
        /// When it arrived.
        at: Timestamp,
    },
    /// Previous keys of applications are accepted for a short time only.
    KeysRetire {
        /// The applications whose previous keys retire first, at most [`MAX_NAMED_APPLICATIONS`].
        applications: Vec<String>,
        /// When the first of these keys retires.
        retires: Timestamp,
        /// How many more applications there are.
        more: usize,
    },
}

/// What a peer, or a site that wanted to be one, did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerAlarm {
    /// It claims the zone of this site or of another peer.
    ZoneTaken,
    /// Its key events contradict those that are known.
    Fork,
    /// It broke the protocol again and again, and was suspended.
    Garbage,
    /// The head of its audit log contradicts one that it signed before.
    Log,
    /// It holds a head of this site's audit log that is not in the log.
    OwnLog,
    /// A key event of it makes heads of its audit log void that this site countersigned.
    VoidHeads,
}

impl PeerAlarm {
    /// The word in the deduplication key.
    const fn as_str(self) -> &'static str {
        match self {
            Self::ZoneTaken => "zone",
            Self::Fork => "fork",
            Self::Garbage => "protocol",
            Self::Log => "audit log",
            Self::OwnLog => "own audit log",
            Self::VoidHeads => "void heads",
        }
    }
}

/// The person that had a revoked device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedOf {
    /// The account.
    pub account: AccountId,
    /// The person's name.
    pub person: String,
    /// The name of the device.
    pub name: String,
}

/// The applications that one [`SystemAlarm::KeysRetire`] names: as many as fit into its text.
pub const MAX_NAMED_APPLICATIONS: usize = 3;

impl SystemAlarm {
    /// The key of [`SystemAlarm::DiskLow`].
    pub const DISK: &str = "disk";
    /// The key of [`SystemAlarm::BackupOverdue`].
    pub const BACKUP: &str = "backup";
    /// The key of [`SystemAlarm::KeysRetire`].
    pub const KEYS: &str = "application keys";
    /// The beginning of the keys of [`SystemAlarm::Refusals`]. The operation follows.
    pub const REFUSALS: &str = "refusals ";
    /// The beginning of the keys of [`SystemAlarm::SecondKey`]. The id of the account follows.
    pub const SECOND_KEY: &str = "second key ";
    /// The beginning of the keys of [`SystemAlarm::NewSiteKey`]. The number of the event follows.
    pub const NEW_SITE_KEY: &str = "new site key ";
    /// The beginning of the keys of [`SystemAlarm::Lockdown`]. The target follows.
    pub const LOCKDOWN: &str = "lockdown ";
    /// The beginning of the keys of [`SystemAlarm::TwoPlaces`]. The id of the account follows.
    pub const TWO_PLACES: &str = "two places ";
    /// The beginning of the keys of [`SystemAlarm::RevokedDevice`]. The id of the account follows,
    /// if there is one.
    pub const REVOKED_DEVICE: &str = "revoked device";
    /// The beginning of the keys of [`SystemAlarm::ContactChanged`]. The id of the account follows.
    pub const CONTACT: &str = "contact changed ";
    /// The beginning of the keys of [`SystemAlarm::PeerMessage`]. The id of the account follows.
    pub const MESSAGE: &str = "message ";
    /// The beginnings of the keys of the alarms about a misuse of a person's credentials, or about what
    /// may be one.
    const MISUSE: [&str; 4] = [
        Self::SECOND_KEY,
        Self::TWO_PLACES,
        Self::REVOKED_DEVICE,
        Self::CONTACT,
    ];

    /// The cause of an alarm; `None` if the site did not raise it.
    #[must_use]
    pub fn of(alarm: &Alarm) -> Option<Self> {
        Self::from_data(alarm.raiser, alarm.data.as_ref())
    }

    /// The cause in the data of an alarm of this raiser.
    pub(crate) fn from_data(raiser: Raiser, data: Option<&AlarmData>) -> Option<Self> {
        let data = data.filter(|_| raiser == Raiser::Site)?;
        serde_json::from_str(data.json().as_str()).ok()
    }

    /// Whether an alarm tells of a misuse of a person's credentials. It is sent at once over each
    /// channel, and a device cannot acknowledge it.
    #[must_use]
    pub fn is_misuse(alarm: &Alarm) -> bool {
        let key = alarm.key.as_str();
        alarm.raiser == Raiser::Site && Self::MISUSE.iter().any(|of| key.starts_with(of))
    }

    /// Whether an alarm tells of a message. No message says that it is over.
    #[must_use]
    pub fn is_message(alarm: &Alarm) -> bool {
        alarm.raiser == Raiser::Site && alarm.key.as_str().starts_with(Self::MESSAGE)
    }

    /// The person that it is about: whose credentials are misused, or who has a message. `None` if it
    /// is about none.
    #[must_use]
    pub const fn person(&self) -> Option<AccountId> {
        match self {
            Self::SecondKey { account, .. } => *account,
            Self::TwoPlaces { account, .. }
            | Self::ContactChanged { account, .. }
            | Self::PeerMessage { account, .. } => Some(*account),
            Self::RevokedDevice {
                owner: Some(owner), ..
            } => Some(owner.account),
            Self::RevokedDevice { owner: None, .. }
            | Self::Refusals { .. }
            | Self::DiskLow { .. }
            | Self::BackupOverdue { .. }
            | Self::NewSiteKey { .. }
            | Self::Lockdown { .. }
            | Self::Peer { .. }
            | Self::KeysRetire { .. } => None,
        }
    }

    /// The recipients. A misuse of a person's credentials is one alarm for the person and one for
    /// the admins: an attacker with the credentials may be able to silence the person's.
    pub fn recipients(&self) -> impl Iterator<Item = Target> + use<> {
        let person = self.person().map(Target::Person);
        let admins = match self {
            Self::ContactChanged { .. } | Self::PeerMessage { .. } => None,
            _ => Some(Target::Admins),
        };
        person.into_iter().chain(admins)
    }

    /// Whether it has the same actor as another alarm with the same key, so that an admin who
    /// acknowledged the one knows of the other too.
    #[must_use]
    pub fn has_actor_of(&self, other: &Self) -> bool {
        self.actor() == other.actor()
    }

    /// The actor or thing that it is about, apart from what the key names.
    #[must_use]
    pub(crate) fn actor(&self) -> String {
        let network = |source: &str| match source.parse::<Source>() {
            Ok(source) => source.network().to_string(),
            Err(_) => source.to_owned(),
        };
        match self {
            Self::SecondKey { source, .. } => network(source),
            Self::RevokedDevice {
                thumbprint, source, ..
            } => format!("{thumbprint} {}", network(source)),
            Self::TwoPlaces {
                device,
                networks: [one, other],
                ..
            } => format!("{device} {one} {other}"),
            Self::Refusals { actor, .. } => network(actor),
            Self::KeysRetire {
                applications, more, ..
            } => format!("{} {more}", applications.join(" ")),
            // Each change is told of, and a message also if an earlier one was acknowledged.
            Self::ContactChanged { at, .. } | Self::PeerMessage { at, .. } => at.to_string(),
            Self::Lockdown { by, level, .. } => {
                let level = level.map(|level| level.to_string());
                format!("{by} {}", level.unwrap_or_default())
            }
            Self::Peer { site, .. } => site.clone(),
            Self::DiskLow { .. } | Self::BackupOverdue { .. } | Self::NewSiteKey { .. } => {
                String::new()
            }
        }
    }

    /// The deduplication key.
    #[must_use]
    pub fn key(&self) -> AlarmKey {
        let key = match self {
            // One for all tickets of a person: a member cannot raise many alarms with many tickets.
            Self::SecondKey {
                account: Some(account),
                ..
            } => format!("{}{account}", Self::SECOND_KEY),
            Self::SecondKey { account: None, .. } => {
                format!("{}of the first admin", Self::SECOND_KEY)
            }
            // One for all devices of a person, for the same reason.
            Self::RevokedDevice { owner: None, .. } => Self::REVOKED_DEVICE.to_owned(),
            Self::RevokedDevice {
                owner: Some(owner), ..
            } => format!("{} {}", Self::REVOKED_DEVICE, owner.account),
            Self::TwoPlaces { account, .. } => format!("{}{account}", Self::TWO_PLACES),
            Self::ContactChanged { account, .. } => format!("{}{account}", Self::CONTACT),
            // One for all messages, so that a peer cannot raise many alarms.
            Self::PeerMessage { account, .. } => format!("{}{account}", Self::MESSAGE),
            Self::Refusals { operation, .. } => format!("{}{operation}", Self::REFUSALS),
            Self::DiskLow { .. } => Self::DISK.to_owned(),
            Self::BackupOverdue { .. } => Self::BACKUP.to_owned(),
            Self::Lockdown { target, .. } => format!("{}{target}", Self::LOCKDOWN),
            // Any site with a ticket may claim a zone: one for all of them, so that an attacker
            // with many sites cannot raise many alarms.
            Self::Peer {
                problem: problem @ PeerAlarm::ZoneTaken,
                ..
            } => format!("peer {}", problem.as_str()),
            // One for each peer, so that none hides another.
            Self::Peer { site, problem, .. } => format!("peer {} {site}", problem.as_str()),
            Self::KeysRetire { .. } => Self::KEYS.to_owned(),
            // One for each key, so that the admins learn of each.
            Self::NewSiteKey { event, .. } => format!("{}{event}", Self::NEW_SITE_KEY),
        };
        AlarmKey::cut(&key)
    }

    /// The severity.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::SecondKey { .. }
            | Self::Lockdown { level: Some(_), .. }
            | Self::NewSiteKey {
                compromised_since: Some(_),
                ..
            }
            | Self::Peer {
                problem: PeerAlarm::Fork | PeerAlarm::Log | PeerAlarm::OwnLog | PeerAlarm::VoidHeads,
                ..
            } => Severity::Critical,
            Self::DiskLow { free, .. } if *free < CRITICAL_FREE => Severity::Critical,
            Self::KeysRetire { .. } | Self::PeerMessage { .. } => Severity::Info,
            Self::RevokedDevice { .. }
            | Self::TwoPlaces { .. }
            | Self::ContactChanged { .. }
            | Self::Refusals { .. }
            | Self::Peer { .. }
            | Self::DiskLow { .. }
            | Self::NewSiteKey { .. }
            | Self::Lockdown { level: None, .. }
            | Self::BackupOverdue { .. } => Severity::Warning,
        }
    }

    /// Whether an alarm goes over each channel that has an address of the recipient, also over those
    /// that the recipient's preferences leave out: an attacker may have left them out.
    #[must_use]
    pub fn ignores_preferred_channels(alarm: &Alarm) -> bool {
        alarm.raiser == Raiser::Site && alarm.key.as_str().starts_with(Self::CONTACT)
    }

    /// What happened and what to do.
    #[must_use]
    pub fn text(&self, language: Language) -> AlarmText {
        let text = match language {
            Language::En => self.english(),
            Language::De => self.german(),
        };
        AlarmText::cut(&text)
    }

    /// The data of the alarm, from which [`Self::of`] reads the cause.
    #[must_use]
    pub fn data(&self) -> Option<AlarmData> {
        let json: Json = serde_json::from_str(&serde_json::to_string(self).ok()?).ok()?;
        json.try_into().ok()
    }
}

/// Below so many free bytes the disk is low.
const LOW_FREE: u64 = 1 << 30;
/// Below so many free bytes the alarm is critical.
const CRITICAL_FREE: u64 = 256 << 20;
/// A disk with less than a twentieth free is low too, unless that is more than this, in bytes.
const ENOUGH_FREE: u64 = 10 << 30;

/// The space on the disk of the database, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What the site can still write.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
}

impl DiskSpace {
    /// Below so many free bytes the disk is low: a twentieth of it, at least 1 GiB and at most 10 GiB.
    #[must_use]
    pub const fn low(self) -> u64 {
        let share = self.total / 20;
        let share = if share > ENOUGH_FREE {
            ENOUGH_FREE
        } else {
            share
        };
        if share > LOW_FREE { share } else { LOW_FREE }
    }

    /// Whether the site needs space. `before` says whether it needed some before: it then needs a
    /// quarter more than the limit, so that the alarm does not start and end at each write.
    #[must_use]
    pub const fn is_low(self, before: bool) -> bool {
        let limit = self.low();
        let limit = if before { limit + limit / 4 } else { limit };
        self.free < limit
    }
}

#[cfg(test)]
mod tests;

//! The alarms that the site raises itself: their keys, severities and texts
//! (`docs/operate/site-alarms.md`).
//!
//! The data of such an alarm holds its cause, so that a message has the text in the language of its
//! recipient.

use serde::{Deserialize, Serialize};

use super::{Alarm, AlarmData, AlarmKey, AlarmText, Language, Raiser, Severity, Target};
use crate::id::{AccountId, DeviceId, TicketId};
use crate::json::Json;
use crate::lockdown::LockdownLevel;
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
    },
    /// The key of one device is in use on lasting connections from two networks.
    TwoPlaces {
        /// The device.
        device: DeviceId,
        /// Its person.
        account: AccountId,
        /// Its name.
        name: String,
        /// The networks.
        networks: [String; 2],
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
        /// Who imposed it.
        by: String,
    },
    /// A site claims what is another's, or broke the protocol between peers.
    Peer {
        /// Its site id.
        site: String,
        /// Its person, as it claims.
        id: String,
        /// What it did.
        problem: PeerAlarm,
    },
    /// Previous keys of applications are accepted for a short time only.
    KeysRetire {
        /// The application whose previous key retires first.
        application: String,
        /// When it retires.
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
        }
    }
}

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

    /// The cause of an alarm; `None` if the site did not raise it.
    #[must_use]
    pub fn of(alarm: &Alarm) -> Option<Self> {
        let data = alarm
            .data
            .as_ref()
            .filter(|_| alarm.raiser == Raiser::Site)?;
        serde_json::from_str(data.json().as_str()).ok()
    }

    /// The recipients.
    #[must_use]
    pub const fn to(&self) -> Target {
        match self {
            Self::SecondKey {
                account: Some(account),
                ..
            }
            | Self::TwoPlaces { account, .. } => Target::Person(*account),
            Self::SecondKey { account: None, .. }
            | Self::RevokedDevice { .. }
            | Self::Refusals { .. }
            | Self::DiskLow { .. }
            | Self::BackupOverdue { .. }
            | Self::NewSiteKey { .. }
            | Self::Lockdown { .. }
            | Self::Peer { .. }
            | Self::KeysRetire { .. } => Target::Admins,
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
            // One for all keys: a thief of many devices cannot raise many alarms.
            Self::RevokedDevice { .. } => "revoked device".to_owned(),
            // One for all devices of a person, for the same reason.
            Self::TwoPlaces { account, .. } => format!("{}{account}", Self::TWO_PLACES),
            Self::Refusals { operation, .. } => format!("{}{operation}", Self::REFUSALS),
            Self::DiskLow { .. } => Self::DISK.to_owned(),
            Self::BackupOverdue { .. } => Self::BACKUP.to_owned(),
            Self::Lockdown { target, .. } => format!("{}{target}", Self::LOCKDOWN),
            // One for all sites: an attacker with many sites cannot raise many alarms.
            Self::Peer { problem, .. } => format!("peer {}", problem.as_str()),
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
                problem: PeerAlarm::Fork,
                ..
            } => Severity::Critical,
            Self::DiskLow { free, .. } if *free < CRITICAL_FREE => Severity::Critical,
            Self::KeysRetire { .. } => Severity::Info,
            Self::RevokedDevice { .. }
            | Self::TwoPlaces { .. }
            | Self::Refusals { .. }
            | Self::Peer { .. }
            | Self::DiskLow { .. }
            | Self::NewSiteKey { .. }
            | Self::Lockdown { level: None, .. }
            | Self::BackupOverdue { .. } => Severity::Warning,
        }
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

    fn english(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "A second key came with a ticket of {person}, from {source}. If you did not try twice, another \
                 person has the ticket: revoke unknown devices and set a new pass phrase."
            ),
            Self::RevokedDevice { source, .. } => format!(
                "A revoked device tried to connect from {source}. It was refused. Find out who has it, and change \
                 what it may know."
            ),
            Self::TwoPlaces { name, networks, .. } => {
                let [one, other] = networks;
                format!(
                    "The key of the device {name} is in use from {one} and {other} at once. If these are not \
                     both yours, the key was copied: revoke the device and enrol it again."
                )
            }
            Self::Refusals {
                operation,
                actor,
                count,
            } => format!(
                "{actor} was refused {count} times within a minute at {operation}. Look at the audit log; block \
                 the address or lock the account if this is an attack."
            ),
            Self::DiskLow { free, total } => format!(
                "The disk of the site has {} of {} left. Free some space: without it the site refuses logins.",
                size(*free),
                size(*total)
            ),
            Self::BackupOverdue { last: None } => {
                "There is no backup of the site. Make one with `countersign backup create FILE`."
                    .to_owned()
            }
            Self::BackupOverdue { last: Some(last) } => format!(
                "The newest backup of the site is of {last}. Make one with `countersign backup create FILE`."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: None,
            } => format!(
                "The site has a new key, by key event {event}. If no admin made it, seal the site and look at the \
                 audit log."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: Some(since),
            } => format!(
                "The site has a new key, by key event {event}, because the previous one was stolen. What that \
                 signed after {since} is void. Check what the thief did: the audit log, accounts and keys."
            ),
            Self::Lockdown {
                target,
                level: Some(level),
                by,
            } => format!(
                "{by} put the {target} in lockdown at the level {level}. See why with \
                 `countersign lockdown status` on the machine of the site; it is lifted there."
            ),
            Self::Lockdown { target, by, .. } => format!(
                "{by} put the {target} in lockdown. See why with `countersign lockdown status`."
            ),
            Self::Peer { site, id, problem } => match problem {
                PeerAlarm::ZoneTaken => format!(
                    "The site {site} of {id} wanted to become a peer with a zone that belongs to another site. It \
                     was refused. Ask the operators which site has the zone."
                ),
                PeerAlarm::Fork => format!(
                    "The key events of the peer {site} of {id} contradict those that are known. It was refused: a \
                     thief may have its key. Tell its operator, and see `countersign peer show`."
                ),
                PeerAlarm::Garbage => format!(
                    "The peer {site} of {id} broke the protocol again and again and was suspended. Ask its \
                     operator, and allow it again with `countersign peer resume`."
                ),
                PeerAlarm::Log => format!(
                    "The audit log of the peer {site} of {id} contradicts what that site signed before: the log was \
                     shortened or rewritten, or the site was restored from a backup. Tell its operator."
                ),
                PeerAlarm::OwnLog => format!(
                    "The peer {site} of {id} countersigned a head of this site's audit log that is not in the log \
                     any more: the log was shortened or rewritten, or the site was restored from a backup. See \
                     `countersign audit verify --peers`."
                ),
            },
            Self::KeysRetire {
                application,
                retires,
                more,
            } => format!(
                "The previous key of the application {application}{} is accepted until {retires}. Check that it \
                 signs with its new key by then.",
                match more {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                }
            ),
        }
    }

    fn german(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "Mit einem Ticket von {person} kam von {source} ein zweiter Schlüssel. Wenn Sie es nicht zweimal \
                 versucht haben, hat eine andere Person das Ticket: Widerrufen Sie unbekannte Geräte und setzen \
                 Sie eine neue Passphrase."
            ),
            Self::RevokedDevice { source, .. } => format!(
                "Ein widerrufenes Gerät wollte sich von {source} verbinden und wurde abgewiesen. Klären Sie, wer \
                 es hat, und ändern Sie, was es wissen kann."
            ),
            Self::TwoPlaces { name, networks, .. } => {
                let [one, other] = networks;
                format!(
                    "Der Schlüssel des Geräts {name} wird von {one} und {other} zugleich benutzt. Wenn nicht \
                     beide Ihre sind, wurde er kopiert: Widerrufen Sie das Gerät und melden Sie es neu an."
                )
            }
            Self::Refusals {
                operation,
                actor,
                count,
            } => format!(
                "{actor} wurde bei {operation} {count}-mal in einer Minute abgewiesen. Sehen Sie im Audit-Log \
                 nach; sperren Sie die Adresse oder das Konto, wenn es ein Angriff ist."
            ),
            Self::DiskLow { free, total } => format!(
                "Der Datenträger der Site hat noch {} von {} frei. Schaffen Sie Platz: Ohne Platz weist die Site \
                 Anmeldungen ab.",
                size(*free),
                size(*total)
            ),
            Self::BackupOverdue { last: None } => {
                "Es gibt keine Sicherung der Site. Erstellen Sie eine mit `countersign backup create FILE`."
                    .to_owned()
            }
            Self::BackupOverdue { last: Some(last) } => format!(
                "Die neueste Sicherung der Site ist vom {last}. Erstellen Sie eine mit \
                 `countersign backup create FILE`."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: None,
            } => format!(
                "Die Site hat mit dem Schlüsselereignis {event} einen neuen Schlüssel. Wenn ihn keine \
                 Administratorin erzeugt hat, versiegeln Sie die Site und sehen Sie im Audit-Log nach."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: Some(since),
            } => format!(
                "Die Site hat mit dem Schlüsselereignis {event} einen neuen Schlüssel, weil der alte gestohlen \
                 wurde. Was dieser nach {since} signiert hat, ist ungültig. Prüfen Sie Audit-Log, Konten und \
                 Schlüssel."
            ),
            Self::Lockdown {
                target,
                level: Some(level),
                by,
            } => format!(
                "{by} hat einen Lockdown verhängt: {target}, Stufe {level}. Den Grund zeigt \
                 `countersign lockdown status` auf der Maschine der Site; dort wird er aufgehoben."
            ),
            Self::Lockdown { target, by, .. } => format!(
                "{by} hat einen Lockdown verhängt: {target}. Den Grund zeigt `countersign lockdown status`."
            ),
            Self::Peer { site, id, problem } => match problem {
                PeerAlarm::ZoneTaken => format!(
                    "Die Site {site} von {id} wollte mit einer Zone, die einer anderen Site gehört, Peer werden. Sie \
                     wurde abgewiesen. Fragen Sie die Betreiber, welche Site die Zone hat."
                ),
                PeerAlarm::Fork => format!(
                    "Die Schlüsselereignisse des Peers {site} von {id} widersprechen den bekannten. Er wurde \
                     abgewiesen: Ein Dieb kann den Schlüssel haben. Sagen Sie es dem Betreiber; siehe \
                     `countersign peer show`."
                ),
                PeerAlarm::Garbage => format!(
                    "Der Peer {site} von {id} hat das Protokoll immer wieder verletzt und wurde ausgesetzt. Fragen \
                     Sie den Betreiber, und erlauben Sie ihn wieder mit `countersign peer resume`."
                ),
                PeerAlarm::Log => format!(
                    "Das Audit-Log des Peers {site} von {id} widerspricht dem, was die Site vorher unterschrieben \
                     hat: Es wurde gekürzt oder umgeschrieben, oder die Site wurde aus einem Backup \
                     wiederhergestellt. Sagen Sie es dem Betreiber."
                ),
                PeerAlarm::OwnLog => format!(
                    "Der Peer {site} von {id} hat ein Ende des Audit-Logs dieser Site gegengezeichnet, das nicht mehr \
                     im Log steht: Das Log wurde gekürzt oder umgeschrieben, oder die Site wurde aus einem Backup \
                     wiederhergestellt. Siehe `countersign audit verify --peers`."
                ),
            },
            Self::KeysRetire {
                application,
                retires,
                more,
            } => format!(
                "Der frühere Schlüssel der Anwendung {application}{} gilt bis {retires}. Prüfen Sie, dass sie bis \
                 dahin mit dem neuen signiert.",
                match more {
                    0 => String::new(),
                    more => format!(" (und {more} weitere)"),
                }
            ),
        }
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

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes < 10 * 1024 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<SystemAlarm> {
        let (account, at) = (AccountId::from_bytes([1; 16]), Timestamp::from_millis(0));
        let text = str::to_owned;
        vec![
            SystemAlarm::SecondKey {
                ticket: Some(TicketId::from_bytes([2; 16])),
                account: Some(account),
                person: text("ada@example.org"),
                source: text("192.0.2.1"),
            },
            SystemAlarm::RevokedDevice {
                thumbprint: text("00"),
                source: text("192.0.2.1"),
            },
            SystemAlarm::TwoPlaces {
                device: DeviceId::from_bytes([3; 16]),
                account,
                name: "n".repeat(64),
                networks: [text("192.0.2.1"), text("198.51.100.1")],
            },
            SystemAlarm::Refusals {
                operation: text("session.login"),
                actor: text("192.0.2.1"),
                count: 100,
            },
            SystemAlarm::DiskLow {
                free: 300 << 20,
                total: 20 << 30,
            },
            SystemAlarm::BackupOverdue { last: None },
            SystemAlarm::BackupOverdue { last: Some(at) },
            SystemAlarm::NewSiteKey {
                event: 1,
                compromised_since: None,
            },
            SystemAlarm::NewSiteKey {
                event: 2,
                compromised_since: Some(at),
            },
            SystemAlarm::Lockdown {
                target: text("site"),
                level: Some(LockdownLevel::All),
                by: text("local admin (uid 1000)"),
            },
            SystemAlarm::Lockdown {
                target: text("person maria@example.org"),
                level: None,
                by: text("ada@example.org"),
            },
            SystemAlarm::Peer {
                site: "A".repeat(43),
                id: text("bob@b.example"),
                problem: PeerAlarm::Fork,
            },
            SystemAlarm::KeysRetire {
                application: text("billing"),
                retires: at,
                more: 2,
            },
        ]
    }

    // ALM-40
    #[test]
    fn each_alarm_has_a_whole_text_in_both_languages_and_keeps_its_cause() {
        for alarm in all() {
            for language in [Language::En, Language::De] {
                let text = alarm.text(language);
                assert!(!text.as_str().ends_with('…'), "{}", text.as_str());
                assert!(text.as_str().ends_with('.'), "{}", text.as_str());
            }
            let data = alarm.data().unwrap();
            let read: SystemAlarm = serde_json::from_str(data.json().as_str()).unwrap();
            assert_eq!(read, alarm);
        }
    }

    // ALM-41
    #[test]
    fn a_disk_is_low_below_one_gibibyte_or_a_twentieth_and_is_enough_a_quarter_above() {
        let space = |free: u64, total: u64| DiskSpace {
            free: free << 20,
            total: total << 20,
        };
        assert!(!space(1024, 10_000).is_low(false) && space(1023, 10_000).is_low(false));
        assert!(space(1279, 10_000).is_low(true) && !space(1280, 10_000).is_low(true));
        assert!(space(2_000, 100_000).is_low(false) && !space(5_001, 100_000).is_low(false));
        assert!(!space(10 * 1024, 10_000_000).is_low(false));
        assert!(!space(u64::MAX >> 21, u64::MAX >> 21).is_low(true));
    }

    #[test]
    fn the_alarm_of_an_almost_full_disk_is_critical() {
        let severity = |free: u64| {
            let free = free << 20;
            SystemAlarm::DiskLow {
                free,
                total: 1 << 40,
            }
            .severity()
        };
        assert_eq!(severity(256), Severity::Warning);
        assert_eq!(severity(255), Severity::Critical);
    }
}

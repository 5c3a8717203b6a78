//! The texts of the site's alarms: what happened and what to do.

use super::{RevokedOf, SystemAlarm};

impl SystemAlarm {
    pub(super) fn english(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "A second key came with a ticket of {person}, from {source}. If you did not try twice, another \
                 person has the ticket: revoke unknown devices and set a new pass phrase."
            ),
            Self::RevokedDevice { source, owner, .. } => format!(
                "{} tried to connect from {source}. It was refused. Find out who has it, and change what it may \
                 know.",
                match owner {
                    Some(RevokedOf { person, name, .. }) =>
                        format!("The revoked device {name} of {person}"),
                    None => "A revoked device".to_owned(),
                }
            ),
            Self::TwoPlaces {
                name,
                person,
                networks: [one, other],
                ..
            } => format!(
                "The key of the device {name} of {person} is in use from {one} and {other} at once. If these are \
                 not both the person's, the key was copied: revoke the device and enrol it again."
            ),
            Self::ContactChanged { person, .. } => format!(
                "{person} changed where alarms go: an address or the channels. If this was not you, another \
                 person has your pass phrase or your session: set a new pass phrase."
            ),
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
            Self::KeysRetire {
                applications,
                retires,
                more,
            } => format!(
                "The previous keys of these applications are accepted for a short time only, the first until \
                 {retires}: {}{}. Check that each signs with its new key by then.",
                applications.join(", "),
                match more {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                }
            ),
        }
    }

    pub(super) fn german(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "Mit einem Ticket von {person} kam von {source} ein zweiter Schlüssel. Wenn Sie es nicht zweimal \
                 versucht haben, hat eine andere Person das Ticket: Widerrufen Sie unbekannte Geräte und setzen \
                 Sie eine neue Passphrase."
            ),
            Self::RevokedDevice { source, owner, .. } => format!(
                "{} wollte sich von {source} verbinden und wurde abgewiesen. Klären Sie, wer es hat, und ändern \
                 Sie, was es wissen kann.",
                match owner {
                    Some(RevokedOf { person, name, .. }) =>
                        format!("Das widerrufene Gerät {name} von {person}"),
                    None => "Ein widerrufenes Gerät".to_owned(),
                }
            ),
            Self::TwoPlaces {
                name,
                person,
                networks: [one, other],
                ..
            } => format!(
                "Der Schlüssel des Geräts {name} von {person} wird von {one} und {other} zugleich benutzt. Wenn \
                 nicht beide der Person gehören, wurde er kopiert: Widerrufen Sie das Gerät und melden Sie es neu \
                 an."
            ),
            Self::ContactChanged { person, .. } => format!(
                "{person} hat geändert, wohin Alarme gehen: eine Adresse oder die Kanäle. Wenn Sie das nicht \
                 waren, hat eine andere Person Ihre Passphrase oder Ihre Sitzung: Setzen Sie eine neue Passphrase."
            ),
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
            Self::KeysRetire {
                applications,
                retires,
                more,
            } => format!(
                "Die früheren Schlüssel dieser Anwendungen gelten nur noch kurz, der erste bis {retires}: {}{}. \
                 Prüfen Sie, dass jede bis dahin mit dem neuen signiert.",
                applications.join(", "),
                match more {
                    0 => String::new(),
                    more => format!(" (und {more} weitere)"),
                }
            ),
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes < 10 * 1024 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    }
}
